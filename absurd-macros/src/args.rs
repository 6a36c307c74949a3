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
    retry::Retry,
    value::as_ident,
};

const OPTIONS: [&str; 6] = [
    "name",
    "queue",
    "max_attempts",
    "retry",
    "max_delay",
    "max_duration",
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
    pub(crate) max_attempts: Option<MaxAttempts>,
    pub(crate) retry: Option<Retry>,
    pub(crate) max_delay: Option<Duration>,
    pub(crate) max_duration: Option<Duration>,
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
            "max_attempts" => self.max_attempts = diagnostics.keep(max_attempts(value)),
            "retry" => self.retry = diagnostics.keep(Retry::read(value)),
            "max_delay" => self.max_delay = diagnostics.keep(limit(value)),
            "max_duration" => self.max_duration = diagnostics.keep(limit(value)),
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
        "max_attempts" => "3",
        "retry" => "fixed(\"5s\")",
        "max_delay" => "\"10m\"",
        "max_duration" => "\"1h\"",
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
