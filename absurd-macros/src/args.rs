//! The options between the parentheses of `#[task(..)]`.

use std::time::Duration;

use proc_macro2::TokenStream;
use syn::{
    Expr, ExprLit, Ident, Lit, LitStr, Token,
    ext::IdentExt as _,
    parse::{ParseStream, Parser as _},
};

use crate::{
    diagnostics::{Diagnostics, list, unknown},
    duration,
    replay::LINT,
    retry::Retry,
    value::{as_ident, integer},
};

const OPTIONS: [&str; 10] = [
    "name",
    "queue",
    "version",
    "priority",
    "max_attempts",
    "retry",
    "timeout",
    "max_delay",
    "max_duration",
    "allow",
];
/// PostgreSQL keeps 63 bytes of an identifier, and the longest one derived from a queue
/// adds six.
const QUEUE_NAME_BYTES_MAX: usize = 57;
/// The engine counts attempts and seconds in PostgreSQL's `integer`.
const INTEGER_MAX: u32 = i32::MAX.unsigned_abs();

/// The options as they were given.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) name: Option<LitStr>,
    pub(crate) queue: Option<LitStr>,
    pub(crate) version: Option<LitStr>,
    pub(crate) priority: Option<i32>,
    pub(crate) max_attempts: Option<MaxAttempts>,
    pub(crate) retry: Option<Retry>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_delay: Option<Duration>,
    pub(crate) max_duration: Option<Duration>,
    /// Whether the body may hold what makes a replay differ.
    pub(crate) allows_nondeterminism: bool,
}

/// How many attempts a task has.
#[derive(Clone, Copy)]
pub(crate) enum MaxAttempts {
    Unlimited,
    AtMost(u32),
}

impl Args {
    /// Reads all options; one that can't be read is noted and left out.
    pub(crate) fn read(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Self {
        let mut args = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for (key, value) in settings(tokens, diagnostics) {
            let word = key.to_string();
            if seen.contains(&word) {
                diagnostics.error(&key, format!("`{word}` is given twice; keep one of them"));
                continue;
            }
            args.set(&key, &value, diagnostics);
            seen.push(word);
        }
        args
    }

    fn set(&mut self, key: &Ident, value: &Expr, diagnostics: &mut Diagnostics) {
        match key.to_string().as_str() {
            "name" => self.name = diagnostics.keep(task_name(value)),
            "queue" => self.queue = diagnostics.keep(queue_name(value)),
            "version" => self.version = diagnostics.keep(version(value)),
            "priority" => self.priority = diagnostics.keep(priority(value)),
            "max_attempts" => self.max_attempts = diagnostics.keep(max_attempts(value)),
            "retry" => self.retry = diagnostics.keep(Retry::read(value)),
            "timeout" => self.timeout = diagnostics.keep(timeout(value)),
            "max_delay" => self.max_delay = diagnostics.keep(limit(value)),
            "max_duration" => self.max_duration = diagnostics.keep(limit(value)),
            "allow" => self.allows_nondeterminism = diagnostics.keep(allowed(value)).is_some(),
            _ => diagnostics.push(unknown("option", key, &OPTIONS)),
        }
    }
}

/// `key = value, ..`; after an error it goes on behind the next comma.
fn settings(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Vec<(Ident, Expr)> {
    let mut settings = Vec::new();
    let read_all = |input: ParseStream<'_>| {
        while !input.is_empty() {
            settings.extend(diagnostics.keep(setting(input)));
            while !input.is_empty() && !input.peek(Token![,]) {
                input.parse::<proc_macro2::TokenTree>()?;
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(())
    };
    let outcome = read_all.parse2(tokens);
    diagnostics.keep(outcome);
    settings
}

fn setting(input: ParseStream<'_>) -> syn::Result<(Ident, Expr)> {
    let Ok(key) = input.call(Ident::parse_any) else {
        let accepted = list(&OPTIONS);
        let message = format!(
            "this is no option; write for example `name = \"process-group\"`, \
             accepted: {accepted}"
        );
        return Err(input.error(message));
    };
    if input.parse::<Token![=]>().is_err() {
        if !OPTIONS.contains(&key.to_string().as_str()) {
            return Err(unknown("option", &key, &OPTIONS));
        }
        let message = format!("`{key}` has no value; write `{key} = {}`", example(&key));
        return Err(syn::Error::new(key.span(), message));
    }
    let value: Expr = input.parse().map_err(|_| {
        let message = format!(
            "the value of `{key}` can't be read; write {}",
            example(&key)
        );
        syn::Error::new(key.span(), message)
    })?;
    if !input.is_empty() && !input.peek(Token![,]) {
        return Err(input.error("this is one token too many; put a comma between options"));
    }
    Ok((key, value))
}

/// What a value may look like.
fn example(key: &Ident) -> &'static str {
    match key.to_string().as_str() {
        "queue" => "\"imaging\"",
        "version" => "\"2\"",
        "priority" => "5",
        "max_attempts" => "3",
        "retry" => "fixed(\"5s\")",
        "timeout" => "\"15m\"",
        "max_delay" => "\"10m\"",
        "max_duration" => "\"1h\"",
        "allow" => "\"nondeterminism\"",
        _ => "\"process-group\"",
    }
}

fn task_name(value: &Expr) -> syn::Result<LitStr> {
    let name = text(
        value,
        "the task's name is a string; write `name = \"process-group\"`",
    )?;
    if name.value().trim().is_empty() {
        let message = "the task's name is empty; give it a name, \
                       or leave `name` out to take the function's";
        return Err(syn::Error::new_spanned(value, message));
    }
    Ok(name)
}

fn queue_name(value: &Expr) -> syn::Result<LitStr> {
    let queue = text(
        value,
        "a queue's name is a string; write `queue = \"imaging\"`",
    )?;
    let bytes = queue.value().len();
    if bytes == 0 {
        let message = "the queue's name is empty; give one, \
                       or leave `queue` out to take the client's";
        return Err(syn::Error::new_spanned(value, message));
    }
    if bytes > QUEUE_NAME_BYTES_MAX {
        let message = format!(
            "the queue's name has {bytes} bytes, at most {QUEUE_NAME_BYTES_MAX} are possible; \
             choose a shorter one"
        );
        return Err(syn::Error::new_spanned(value, message));
    }
    Ok(queue)
}

fn version(value: &Expr) -> syn::Result<LitStr> {
    let version = text(
        value,
        "the task's version is a string; write `version = \"2\"`",
    )?;
    if version.value().trim().is_empty() {
        let message = "the task's version is empty; give one, \
                       or leave `version` out if nobody asks for it";
        return Err(syn::Error::new_spanned(value, message));
    }
    Ok(version)
}

/// The lints that a task may switch off: there is one.
fn allowed(value: &Expr) -> syn::Result<()> {
    let message =
        format!("only the check for {LINT} can be switched off; write `allow = \"{LINT}\"`");
    let lint = text(value, &message)?;
    if lint.value() != LINT {
        return Err(syn::Error::new_spanned(value, message));
    }
    Ok(())
}

fn text(value: &Expr, message: &str) -> syn::Result<LitStr> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(text.clone()),
        other => Err(syn::Error::new_spanned(other, message)),
    }
}

fn max_attempts(value: &Expr) -> syn::Result<MaxAttempts> {
    if as_ident(value).is_some_and(|word| word == "unlimited") {
        return Ok(MaxAttempts::Unlimited);
    }
    let attempts = match value {
        Expr::Lit(ExprLit {
            lit: Lit::Int(attempts),
            ..
        }) => attempts.base10_parse().ok(),
        _ => None,
    };
    let possible = attempts.filter(|attempts| (1..=INTEGER_MAX).contains(attempts));
    possible.map(MaxAttempts::AtMost).ok_or_else(|| {
        let message = format!(
            "this is no number of attempts; give one from 1 to {INTEGER_MAX}, the first attempt \
             included, or `unlimited`"
        );
        syn::Error::new_spanned(value, message)
    })
}

fn priority(value: &Expr) -> syn::Result<i32> {
    let priority = integer(value).and_then(|priority| i32::try_from(priority).ok());
    priority.ok_or_else(|| {
        let message = format!(
            "this is no priority; give a whole number from {} to {}, larger ones go first",
            i32::MIN,
            i32::MAX
        );
        syn::Error::new_spanned(value, message)
    })
}

/// How long one execution may take.
fn timeout(value: &Expr) -> syn::Result<Duration> {
    let timeout = duration::read(value)?;
    if timeout.is_zero() {
        let message = "the timeout is zero, so every attempt would fail at once; \
                       give for example \"15m\"";
        return Err(syn::Error::new_spanned(value, message));
    }
    Ok(timeout)
}

/// A limit of the cancellation policy.
fn limit(value: &Expr) -> syn::Result<Duration> {
    let limit = duration::read(value)?;
    let problem = if limit.subsec_nanos() != 0 {
        "the limit has a fraction of a second; give whole seconds, for example \"10m\""
    } else if limit.is_zero() {
        "the limit is zero, so every task would be cancelled at once; give at least \"1s\""
    } else if limit.as_secs() > u64::from(INTEGER_MAX) {
        "the limit is longer than the engine can count; give at most 2147483647 seconds"
    } else {
        return Ok(limit);
    };
    Err(syn::Error::new_spanned(value, problem))
}
