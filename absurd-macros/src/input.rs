//! The function under `#[task]`: what it must look like, and the parts of it that matter.

use syn::{
    FnArg, GenericArgument, ItemFn, Pat, PatIdent, PathArguments, PathSegment, ReturnType,
    Signature, Type, TypeReference,
};

use crate::diagnostics::Diagnostics;

const RETURNS: &str = "a task returns `TaskResult<..>`";

/// A function that can be a task.
pub(crate) struct TaskFn {
    pub(crate) item: ItemFn,
    /// The type of the first parameter, as written.
    pub(crate) context: Type,
    /// The other parameters, in their order.
    pub(crate) arguments: Vec<Argument>,
    /// The type that is returned, as written.
    pub(crate) returned: Type,
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

impl TaskFn {
    /// Checks the whole signature; all that is wrong is noted.
    pub(crate) fn check(item: ItemFn, diagnostics: &mut Diagnostics) -> Option<Self> {
        let signature = &item.sig;
        let qualified = check_qualifiers(signature, diagnostics);
        let parameters = check_parameters(signature, diagnostics);
        let result = check_result(signature, diagnostics);
        qualified?;
        let (context, arguments) = parameters?;
        let (returned, output) = result?;
        Some(Self { item, context, arguments, returned, output })
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
    let mut refuse = |tokens: &dyn quote::ToTokens, message: &str| {
        diagnostics.error(tokens, message);
        fine = None;
    };
    if signature.asyncness.is_none() {
        refuse(&signature.fn_token, "the task is not async; write `async fn`");
    }
    if let Some(constness) = &signature.constness {
        refuse(constness, "a task can't be const; remove `const`");
    }
    if let Some(unsafety) = &signature.unsafety {
        refuse(unsafety, "a task can't be unsafe; remove `unsafe`, and keep it inside");
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

fn check_parameters(
    signature: &Signature,
    diagnostics: &mut Diagnostics,
) -> Option<(Type, Vec<Argument>)> {
    let mut context = None;
    let mut arguments = Vec::new();
    let mut fine = true;
    let mut refuse = |tokens: &dyn quote::ToTokens, message: &str| {
        diagnostics.error(tokens, message);
        fine = false;
    };
    for (position, input) in signature.inputs.iter().enumerate() {
        let FnArg::Typed(input) = input else {
            refuse(input, "a task is a free function; remove `self`, and take a `State<..>`");
            continue;
        };
        if !is_plain(&input.pat) {
            refuse(&input.pat, "a task's parameter is a name; take it apart in the body");
        }
        let misplaced = context.is_some() || position > 0;
        match role(&input.ty) {
            Role::Context { mutable: true } if misplaced => {
                refuse(input, "the context is not first; make `ctx: &mut Context` the first one");
            }
            Role::Context { mutable } => {
                if !mutable {
                    refuse(&input.ty, "the context is not borrowed mutably; take `&mut Context`");
                }
            }
            Role::State(Some(state)) => arguments.push(Argument::State(state.clone())),
            Role::State(None) => {
                refuse(&input.ty, "the state has no type; write for example `State<Toolbox>`");
            }
            Role::Params => {
                if let Some(message) = refused_params(&input.ty) {
                    refuse(&input.ty, message);
                }
                if arguments.iter().any(|argument| matches!(argument, Argument::Params(_))) {
                    let message = "a task has one parameter for its params; put both in one struct, \
                                   or take what the worker holds as `State<..>`";
                    refuse(input, message);
                }
                arguments.push(Argument::Params((*input.ty).clone()));
            }
        }
        if position == 0 {
            context = matches!(role(&input.ty), Role::Context { .. }).then(|| (*input.ty).clone());
        }
    }
    let message = "the task has no context; make `ctx: &mut Context` its first parameter";
    let contexts = signature.inputs.iter().filter(|input| is_context(input)).count();
    if contexts == 0 {
        refuse(&signature.ident, message);
    }
    context.filter(|_| fine).map(|context| (context, arguments))
}
