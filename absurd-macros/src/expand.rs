//! What `#[task]` writes.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, ItemFn, LitStr, Visibility};

use crate::{
    args::{Args, MaxAttempts},
    diagnostics::Diagnostics,
    input::{Argument, TaskFn},
    replay,
    retry::Retry,
};

/// The whole expansion: the task, or all that is wrong with it. The function stays in either
/// case, so that the rest of the file sees no errors that are not its own.
pub(crate) fn task(args: TokenStream, item: TokenStream) -> TokenStream {
    let Ok(function) = syn::parse2::<ItemFn>(item.clone()) else {
        let message = "`#[task]` is for an async function; put it on `async fn`";
        let error = syn::Error::new_spanned(&item, message).into_compile_error();
        return quote! { #item #error };
    };
    let mut diagnostics = Diagnostics::default();
    let args = Args::read(args, &mut diagnostics);
    let checked = TaskFn::check(function.clone(), &mut diagnostics);
    if !args.allows_nondeterminism {
        replay::check(&function.block, &mut diagnostics);
    }
    let errors = diagnostics.into_tokens();
    match checked {
        Some(task) if errors.is_empty() => expand(&args, &task),
        _ => quote! { #function #errors },
    }
}

/// The function itself, whose future names the task, and a type that stands for the task.
fn expand(args: &Args, task: &TaskFn) -> TokenStream {
    let ident = &task.item.sig.ident;
    let marker = quote::format_ident!("__absurd_task_{ident}", span = ident.span());
    let visibility = &task.item.vis;
    let name = args.name.clone();
    let name = name.unwrap_or_else(|| LitStr::new(&ident.to_string(), ident.span()));
    let params = task.params();
    let params = params.map_or_else(|| quote! { () }, |params| quote! { #params });
    let output = &task.output;
    let defaults = defaults(args);
    let function = function(task, &marker);
    let call = call(task);
    let states = task.states();
    quote! {
        #function

        #[doc(hidden)]
        #[allow(non_camel_case_types, reason = "it stands for the function of this name")]
        #[derive(Debug)]
        #visibility struct #marker;

        const _: () = {
            use ::absurd_sdk::__private as absurd;

            impl absurd::TaskDef for #marker {
                type Params = #params;
                type Output = #output;
                const NAME: &'static str = #name;

                fn defaults() -> absurd::TaskDefaults {
                    #defaults
                }
            }

            impl absurd::TaskHandler for #marker {
                #call

                fn required_states() -> ::std::vec::Vec<absurd::StateKey> {
                    ::std::vec![#(absurd::StateKey::of::<#states>()),*]
                }
            }
        };
    }
}

/// The function as it was written, inside one of the same name whose future names the task.
fn function(task: &TaskFn, marker: &syn::Ident) -> TokenStream {
    let mut inner = task.item.clone();
    let (docs, attributes) = inner.attrs.into_iter().partition(is_doc);
    let docs: Vec<Attribute> = docs;
    inner.attrs = attributes;
    inner.vis = Visibility::Inherited;
    inner.sig.ident = syn::Ident::new("run", task.item.sig.ident.span());
    let visibility = &task.item.vis;
    let ident = &task.item.sig.ident;
    let types: Vec<_> = task.arguments.iter().map(Argument::tokens).collect();
    let names: Vec<_> = (0..types.len())
        .map(|place| quote::format_ident!("argument_{place}"))
        .collect();
    quote! {
        #(#docs)*
        #visibility fn #ident<'a>(
            context: &'a mut ::absurd_sdk::__private::Context,
            #(#names: #types),*
        ) -> ::absurd_sdk::__private::TaskCall<'a, #marker> {
            #[allow(clippy::unused_async, reason = "a task is async whether it waits or not")]
            #inner
            ::absurd_sdk::__private::TaskCall::new(run(context, #(#names),*))
        }
    }
}

fn is_doc(attribute: &Attribute) -> bool {
    attribute.path().is_ident("doc")
}

/// Calls the function with the parameters in their order, states taken from the worker's.
fn call(task: &TaskFn) -> TokenStream {
    let ident = &task.item.sig.ident;
    let arguments = task.arguments.iter().map(|argument| match argument {
        Argument::Params(_) => quote! { params },
        Argument::State(state) => quote! { absurd::State::<#state>::from_states(states)? },
    });
    let unused = task.params().is_none().then(|| quote! { let () = params; });
    quote! {
        fn call<'a>(
            context: &'a mut absurd::Context,
            params: Self::Params,
            states: &'a absurd::States,
        ) -> absurd::BoxFuture<'a, absurd::TaskResult<Self::Output>> {
            #unused
            let _ = states;
            ::std::boxed::Box::pin(async move { #ident(context, #(#arguments),*).await })
        }
    }
}

/// The settings that a spawn takes where it has none of its own.
fn defaults(args: &Args) -> TokenStream {
    let queue = args.queue.iter();
    let queue = quote! { #(queue: ::std::option::Option::Some(#queue),)* };
    let version = args.version.iter();
    let version = quote! { #(version: ::std::option::Option::Some(#version),)* };
    let priority = args.priority.iter();
    let priority = quote! { #(priority: ::std::option::Option::Some(#priority),)* };
    let attempts = args.max_attempts.map(|attempts| match attempts {
        MaxAttempts::Unlimited => quote! { max_attempts: absurd::Attempts::Unlimited, },
        MaxAttempts::AtMost(attempts) => {
            quote! { max_attempts: absurd::Attempts::AtMost(#attempts), }
        }
    });
    let retry = args.retry.map(|retry| {
        let retry = retry_policy(retry);
        quote! { retry: ::std::option::Option::Some(#retry), }
    });
    let timeout = args.timeout.map(|limit| {
        let limit = duration(limit);
        quote! { timeout: ::std::option::Option::Some(#limit), }
    });
    let delay = args.max_delay.map(|limit| {
        let limit = duration(limit);
        quote! { max_delay: ::std::option::Option::Some(#limit), }
    });
    let longest = args.max_duration.map(|limit| {
        let limit = duration(limit);
        quote! { max_duration: ::std::option::Option::Some(#limit), }
    });
    let all_said = delay.is_some() && longest.is_some();
    let rest = (!all_said).then(|| quote! { ..::std::default::Default::default() });
    let cancellation = (delay.is_some() || longest.is_some()).then(|| {
        quote! { cancellation: absurd::Cancellation { #delay #longest #rest }, }
    });
    quote! {
        absurd::TaskDefaults {
            #queue
            #version
            #priority
            #attempts
            #retry
            #timeout
            #cancellation
            ..::std::default::Default::default()
        }
    }
}

fn retry_policy(retry: Retry) -> TokenStream {
    match retry {
        Retry::Immediate => quote! { absurd::RetryPolicy::Immediate },
        Retry::Fixed { base } => {
            let base = duration(base);
            quote! { absurd::RetryPolicy::Fixed { base: #base } }
        }
        Retry::Exponential { base, factor, max } => {
            let base = duration(base);
            let max = max.map(duration);
            let max = max.map_or_else(
                || quote! { ::std::option::Option::None },
                |max| quote! { ::std::option::Option::Some(#max) },
            );
            quote! {
                absurd::RetryPolicy::Exponential { base: #base, factor: #factor, max: #max }
            }
        }
    }
}

/// Milliseconds are the shortest unit that can be written.
fn duration(duration: Duration) -> TokenStream {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    quote! { ::std::time::Duration::new(#seconds, #nanos) }
}
