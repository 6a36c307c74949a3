//! The value of the option `retry`, held to the engine's rules.

use std::time::Duration;

use syn::{Expr, ExprAssign, ExprCall, Ident, punctuated::Punctuated, spanned::Spanned, token};

use crate::{
    diagnostics::{Diagnostics, unknown},
    duration,
    value::{as_ident, number},
};

/// The longest delay the engine accepts: one day.
const DELAY_MAX: Duration = Duration::from_hours(24);
const POLICIES: [&str; 3] = ["none", "fixed", "exponential"];
const ARGUMENTS: [&str; 2] = ["factor", "max"];
const EXAMPLES: &str = "`none`, `fixed(\"5s\")` or `exponential(\"2s\", factor = 2, max = \"5m\")`";

/// When a failed task is tried again.
#[derive(Clone, Copy)]
pub(crate) enum Retry {
    Immediate,
    Fixed {
        base: Duration,
    },
    Exponential {
        base: Duration,
        factor: f64,
        max: Option<Duration>,
    },
}

impl Retry {
    pub(crate) fn read(value: &Expr) -> syn::Result<Self> {
        let (policy, arguments) = match value {
            Expr::Call(ExprCall { func, args, .. }) => (as_ident(func), Some(args)),
            other => (as_ident(other), None),
        };
        let Some(policy) = policy else {
            let message = format!("this is no retry policy; write {EXAMPLES}");
            return Err(syn::Error::new_spanned(value, message));
        };
        match (policy.to_string().as_str(), arguments) {
            ("none", None) => Ok(Self::Immediate),
            ("none", Some(arguments)) => {
                let message = "the policy `none` has no delays; write `retry = none`";
                Err(syn::Error::new_spanned(arguments, message))
            }
            ("fixed", Some(arguments)) => fixed(policy, arguments),
            ("exponential", Some(arguments)) => exponential(policy, arguments),
            ("fixed" | "exponential", None) => {
                let message = format!("the policy `{policy}` has no delay; write {EXAMPLES}");
                Err(syn::Error::new_spanned(policy, message))
            }
            _ => Err(unknown("retry policy", policy, &POLICIES)),
        }
    }
}

type Arguments = Punctuated<Expr, token::Comma>;

fn fixed(policy: &Ident, arguments: &Arguments) -> syn::Result<Retry> {
    let base = first_delay(policy, arguments)?;
    if let Some(more) = arguments.iter().nth(1) {
        let message = "the policy `fixed` has one delay only; \
                       for growing delays write `exponential(\"2s\", factor = 2)`";
        return Err(syn::Error::new_spanned(more, message));
    }
    Ok(Retry::Fixed { base })
}

fn exponential(policy: &Ident, arguments: &Arguments) -> syn::Result<Retry> {
    let mut diagnostics = Diagnostics::default();
    let base = diagnostics
        .keep(first_delay(policy, arguments))
        .unwrap_or_default();
    let (mut factor, mut max) = (None, None);
    for argument in arguments.iter().skip(usize::from(!starts_named(arguments))) {
        let Some((key, value)) = as_named(argument) else {
            let message = "only the first delay has no name; \
                           write `factor = 2` or `max = \"5m\"` after it";
            diagnostics.error(argument, message);
            continue;
        };
        let duplicate = match key.to_string().as_str() {
            "factor" => factor
                .replace(diagnostics.keep(growth(value)).unwrap_or(2.0))
                .is_some(),
            "max" => max
                .replace(diagnostics.keep(delay(value)).unwrap_or_default())
                .is_some(),
            _ => {
                diagnostics.push(unknown("argument", key, &ARGUMENTS));
                false
            }
        };
        if duplicate {
            diagnostics.error(key, format!("`{key}` is given twice; keep one of them"));
        }
    }
    diagnostics.finish(Retry::Exponential {
        base,
        factor: factor.unwrap_or(2.0),
        max,
    })
}

/// The delay that comes first, without a name.
fn first_delay(policy: &Ident, arguments: &Arguments) -> syn::Result<Duration> {
    match arguments.first() {
        Some(first) if as_named(first).is_none() => delay(first),
        _ => {
            let message = format!(
                "the policy `{policy}` has no first delay; write for example `{policy}(\"2s\")`"
            );
            Err(syn::Error::new(policy.span(), message))
        }
    }
}

fn starts_named(arguments: &Arguments) -> bool {
    arguments
        .first()
        .is_some_and(|first| as_named(first).is_some())
}

fn as_named(argument: &Expr) -> Option<(&Ident, &Expr)> {
    match argument {
        Expr::Assign(ExprAssign { left, right, .. }) => Some((as_ident(left)?, right)),
        _ => None,
    }
}

fn delay(value: &Expr) -> syn::Result<Duration> {
    let delay = duration::read(value)?;
    if delay > DELAY_MAX {
        let message = "the delay is longer than the engine accepts; give at most \"24h\"";
        return Err(syn::Error::new(value.span(), message));
    }
    Ok(delay)
}

fn growth(value: &Expr) -> syn::Result<f64> {
    number(value)
        .filter(|factor| factor.is_finite() && *factor >= 0.0)
        .ok_or_else(|| {
            let message = "the factor is out of range; give a finite number that is not negative, \
                       for example `factor = 2`";
            syn::Error::new_spanned(value, message)
        })
}
