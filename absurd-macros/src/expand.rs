//! What `#[task]` writes.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, ItemFn, LitStr, Visibility};

use crate::{
    args::{Args, MaxAttempts},
    diagnostics::Diagnostics,
    input::{Argument, TaskFn},
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
    let errors = diagnostics.into_tokens();
    match checked {
        Some(task) if errors.is_empty() => expand(&args, &task),
        _ => quote! { #function #errors },
    }
}

/// A unit struct that names the task, implements it, and runs the function when it is called.
fn expand(args: &Args, task: &TaskFn) -> TokenStream {
    let ident = &task.item.sig.ident;
    let visibility = &task.item.vis;
    let docs = task.item.attrs.iter().filter(|attribute| is_doc(attribute));
    let name = args.name.clone();
    let name = name.unwrap_or_else(|| LitStr::new(&ident.to_string(), ident.span()));
    let params = task.params();
    let params = params.map_or_else(|| quote! { () }, |params| quote! { #params });
    let output = &task.output;
    let defaults = defaults(args);
    let function = function(task);
    let call = call(task);
    let states = task.states();
    let pointer = pointer(task);
    quote! {
        #(#docs)*
        #[allow(non_camel_case_types, reason = "it stands for the function of this name")]
        #[derive(Clone, Copy, Debug)]
        #visibility struct #ident;

        const _: () = {
            use ::absurd_sdk::__private as absurd;

            #function

            impl absurd::TaskDef for #ident {
                type Params = #params;
                type Output = #output;
                const NAME: &'static str = #name;

                fn defaults() -> absurd::TaskDefaults {
                    #defaults
                }
            }

            impl absurd::TaskHandler for #ident {
                #call

                fn required_states() -> ::std::vec::Vec<absurd::StateKey> {
                    ::std::vec![#(absurd::StateKey::of::<#states>()),*]
                }
            }

            impl ::std::ops::Deref for #ident {
                #pointer
            }
        };
    }
}

fn is_doc(attribute: &Attribute) -> bool {
    attribute.path().is_ident("doc")
}

/// The function as it was written, under another name: inside it, its own name is the task's.
fn function(task: &TaskFn) -> TokenStream {
    let mut function = task.item.clone();
    function.attrs.retain(|attribute| !is_doc(attribute));
    function.vis = Visibility::Inherited;
    function.sig.ident = syn::Ident::new("run", function.sig.ident.span());
    quote! {
        #[allow(clippy::unused_async, reason = "a task is async whether it waits or not")]
        #function
    }
}

/// Calls the function with the parameters in their order, states taken from the worker's.
fn call(task: &TaskFn) -> TokenStream {
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
            ::std::boxed::Box::pin(async move { run(context, #(#arguments),*).await })
        }
    }
}

/// Lets the task be called like the function, in unit tests.
fn pointer(task: &TaskFn) -> TokenStream {
    let types: Vec<_> = task
        .arguments
        .iter()
        .map(|argument| match argument {
            Argument::Params(params) => quote! { #params },
            Argument::State(state) => quote! { absurd::State<#state> },
        })
        .collect();
    let names: Vec<_> = (0..types.len())
        .map(|place| quote::format_ident!("argument_{place}"))
        .collect();
    let returned = &task.returned;
    quote! {
        type Target = for<'a> fn(&'a mut absurd::Context, #(#types),*)
            -> absurd::BoxFuture<'a, #returned>;

        fn deref(&self) -> &Self::Target {
            fn boxed<'a>(
                context: &'a mut absurd::Context,
                #(#names: #types),*
            ) -> absurd::BoxFuture<'a, #returned> {
                ::std::boxed::Box::pin(run(context, #(#names),*))
            }
            static BOXED: for<'a> fn(&'a mut absurd::Context, #(#types),*)
                -> absurd::BoxFuture<'a, #returned> = boxed;
            &BOXED
        }
    }
}

/// The settings that a spawn takes where it has none of its own.
fn defaults(args: &Args) -> TokenStream {
    let queue = args.queue.iter();
    let queue = quote! { #(queue: ::std::option::Option::Some(#queue),)* };
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
    let delay = args.max_delay.map(|limit| {
        let limit = duration(limit);
        quote! { max_delay: ::std::option::Option::Some(#limit), }
    });
    let longest = args.max_duration.map(|limit| {
        let limit = duration(limit);
        quote! { max_duration: ::std::option::Option::Some(#limit), }
    });
    let cancellation = (delay.is_some() || longest.is_some()).then(|| {
        quote! {
            cancellation: absurd::Cancellation {
                #delay
                #longest
                ..::std::default::Default::default()
            },
        }
    });
    quote! {
        absurd::TaskDefaults {
            #queue
            #attempts
            #retry
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
