//! The function under `#[task]`: what it must look like, and the parts of it that matter.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    FnArg, GenericArgument, ItemFn, Pat, PatIdent, PathArguments, PathSegment, ReturnType,
    Signature, Type, TypeReference,
};

use crate::diagnostics::Diagnostics;

const RETURNS: &str = "a task returns `TaskResult<..>`";

/// A function that can be a task.
pub(crate) struct TaskFn {
    pub(crate) item: ItemFn,
    /// The other parameters, in their order.
    pub(crate) arguments: Vec<Argument>,
    /// The `T` of `TaskResult<T>`.
    pub(crate) output: Type,
}

/// A parameter after the context.
pub(crate) enum Argument {
    /// What a spawn gives.
    Params(Type),
    /// What the worker holds: the `T` of `State<T>`.
    State(Type),
}

impl Argument {
    /// Its type, as the SDK knows it.
    pub(crate) fn tokens(&self) -> TokenStream {
        match self {
            Self::Params(params) => params.to_token_stream(),
            Self::State(state) => quote! { ::absurd_sdk::__private::State<#state> },
        }
    }
}

impl TaskFn {
    /// Checks the whole signature; all that is wrong is noted.
    pub(crate) fn check(item: ItemFn, diagnostics: &mut Diagnostics) -> Option<Self> {
        let signature = &item.sig;
        let qualified = check_qualifiers(signature, diagnostics);
        let parameters = check_parameters(signature, diagnostics);
        let result = check_result(signature, diagnostics);
        qualified?;
        let arguments = parameters?;
        let output = result?;
        Some(Self {
            item,
            arguments,
            output,
        })
    }

    /// The type of the params, if there are any.
    pub(crate) fn params(&self) -> Option<&Type> {
        self.arguments.iter().find_map(|argument| match argument {
            Argument::Params(params) => Some(params),
            Argument::State(_) => None,
        })
    }

    /// The types of the states.
    pub(crate) fn states(&self) -> impl Iterator<Item = &Type> {
        self.arguments.iter().filter_map(|argument| match argument {
            Argument::State(state) => Some(state),
            Argument::Params(_) => None,
        })
    }
}

fn check_qualifiers(signature: &Signature, diagnostics: &mut Diagnostics) -> Option<()> {
    let mut fine = Some(());
    let mut refuse = |tokens: &dyn ToTokens, message: &str| {
        diagnostics.error(tokens, message);
        fine = None;
    };
    if signature.asyncness.is_none() {
        refuse(
            &signature.fn_token,
            "the task is not async; write `async fn`",
        );
    }
    if let Some(constness) = &signature.constness {
        refuse(constness, "a task can't be const; remove `const`");
    }
    if let Some(unsafety) = &signature.unsafety {
        refuse(
            unsafety,
            "a task can't be unsafe; remove `unsafe`, and keep it inside",
        );
    }
    if let Some(abi) = &signature.abi {
        refuse(abi, "a task can't be extern; remove this");
    }
    if !signature.generics.params.is_empty() {
        let message = "a task can't be generic, for workers find it by its name; \
                       name the types, and write one task for each";
        refuse(&signature.generics, message);
    } else if let Some(bounds) = &signature.generics.where_clause {
        refuse(bounds, "a task can't be generic; remove the `where` clause");
    }
    if let Some(variadic) = &signature.variadic {
        refuse(variadic, "a task can't be variadic; remove this");
    }
    fine
}

/// What a parameter is, by its type.
enum Role<'a> {
    Context { mutable: bool },
    State(Option<&'a Type>),
    Params,
}

fn check_parameters(signature: &Signature, diagnostics: &mut Diagnostics) -> Option<Vec<Argument>> {
    let mut starts_with_context = false;
    let mut arguments = Vec::new();
    let mut fine = true;
    let mut refuse = |tokens: &dyn ToTokens, message: &str| {
        diagnostics.error(tokens, message);
        fine = false;
    };
    for (position, input) in signature.inputs.iter().enumerate() {
        let FnArg::Typed(input) = input else {
            refuse(
                input,
                "a task is a free function; remove `self`, and take a `State<..>`",
            );
            continue;
        };
        if !is_plain(&input.pat) {
            refuse(
                &input.pat,
                "a task's parameter is a name; take it apart in the body",
            );
        }
        let misplaced = position > 0;
        match role(&input.ty) {
            Role::Context { mutable: true } if misplaced => {
                refuse(
                    input,
                    "the context is not first; make `ctx: &mut Context` the first one",
                );
            }
            Role::Context { mutable } => {
                if !mutable {
                    refuse(
                        &input.ty,
                        "the context is not borrowed mutably; take `&mut Context`",
                    );
                }
            }
            Role::State(Some(state)) => arguments.push(Argument::State(state.clone())),
            Role::State(None) => {
                refuse(
                    &input.ty,
                    "the state has no type; write for example `State<Toolbox>`",
                );
            }
            Role::Params => {
                if let Some(message) = refused_params(&input.ty) {
                    refuse(&input.ty, message);
                }
                if arguments
                    .iter()
                    .any(|argument| matches!(argument, Argument::Params(_)))
                {
                    let message = "a task has one parameter for its params; put both in one \
                                   struct, or take what the worker holds as `State<..>`";
                    refuse(input, message);
                }
                arguments.push(Argument::Params((*input.ty).clone()));
            }
        }
        starts_with_context |= position == 0 && matches!(role(&input.ty), Role::Context { .. });
    }
    if !signature.inputs.iter().any(is_context) {
        let message = "the task has no context; make `ctx: &mut Context` its first parameter";
        refuse(&signature.ident, message);
    }
    (fine && starts_with_context).then_some(arguments)
}

/// Whether a parameter is a plain name, as a call of the function needs it.
fn is_plain(pattern: &Pat) -> bool {
    match pattern {
        Pat::Ident(PatIdent { by_ref, subpat, .. }) => by_ref.is_none() && subpat.is_none(),
        Pat::Wild(_) => true,
        _ => false,
    }
}

fn is_context(input: &FnArg) -> bool {
    matches!(input, FnArg::Typed(input) if matches!(role(&input.ty), Role::Context { .. }))
}

fn role(ty: &Type) -> Role<'_> {
    match ty {
        Type::Reference(TypeReference {
            elem, mutability, ..
        }) => match last_segment(elem) {
            Some(segment) if segment.ident == "Context" => Role::Context {
                mutable: mutability.is_some(),
            },
            _ => Role::Params,
        },
        _ => match last_segment(ty) {
            Some(segment) if segment.ident == "Context" => Role::Context { mutable: false },
            Some(segment) if segment.ident == "State" => Role::State(only_argument(segment)),
            _ => Role::Params,
        },
    }
}

/// Why a type can't be that of the params; `None` when it can.
fn refused_params(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Reference(_) => Some(
            "params are read from the database, so there is nothing to borrow; \
             take an owned type, for example `String` instead of `&str`",
        ),
        Type::ImplTrait(_) => {
            Some("params need a type of their own; write a struct instead of `impl`")
        }
        _ => None,
    }
}

fn check_result(signature: &Signature, diagnostics: &mut Diagnostics) -> Option<Type> {
    let ReturnType::Type(_, returned) = &signature.output else {
        let message = format!("{RETURNS}; write `-> TaskResult<()>` if there is no result");
        diagnostics.error(&signature.ident, message);
        return None;
    };
    let segment = last_segment(returned).filter(|segment| segment.ident == "TaskResult");
    let Some(output) = segment.and_then(only_argument) else {
        let message = format!("{RETURNS}, so that `?` can suspend it; write `TaskResult<..>`");
        diagnostics.error(returned, message);
        return None;
    };
    Some(output.clone())
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    }
}

/// The `T` of `Name<T>`.
fn only_argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(ty)) if arguments.args.len() == 1 => Some(ty),
        _ => None,
    }
}
