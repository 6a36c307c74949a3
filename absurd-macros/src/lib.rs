//! The `#[task]` attribute of `absurd-sdk`.
//!
//! Parse, check, print, one file each: `args` reads the options, `input` checks the function,
//! `replay` its body, and `expand` prints. `diagnostics` gathers what is wrong on the way, so
//! that all of it shows at once. What is printed speaks to the SDK through
//! `::absurd_sdk::__private` only.

mod args;
mod diagnostics;
mod duration;
mod expand;
mod input;
mod replay;
mod retry;
mod value;

#[cfg(test)]
mod tests;

/// Makes an async function a durable task. Documented where users meet it: `absurd_sdk::task`.
#[proc_macro_attribute]
pub fn task(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand::task(args.into(), item.into()).into()
}
