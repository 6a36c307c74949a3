//! Tuples of closures as the branches of a join or a race.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;

use super::Context;
use crate::error::TaskResult;

/// A branch whose result is put aside.
pub(super) type Part<'a> = BoxFuture<'a, TaskResult<()>>;

/// Gathers the results of all branches, once they have ended.
type Collect<'a, T> = Box<dyn FnOnce() -> Option<T> + Send + 'a>;

/// Two to eight closures, each given a context of its own: `(|ctx| async move { .. }, ..)`.
#[diagnostic::on_unimplemented(
    message = "these are no branches of a task",
    note = "give a tuple of two to eight closures, each \
            `|mut ctx: Context| async move {{ .. }}` with a `TaskResult`"
)]
pub trait Branches<'a> {
    /// What they return, in the same order.
    type Output;

    /// How many they are.
    const COUNT: usize;

    /// Begins them, with a context for each.
    #[doc(hidden)]
    fn begin(self, contexts: Vec<Context>) -> (Vec<Part<'a>>, Collect<'a, Self::Output>);
}

/// The same, when only the first to be ready counts: all return the same type.
#[diagnostic::on_unimplemented(
    message = "these are no branches that could race for a `{T}`",
    note = "give a tuple of two to eight closures, each \
            `|mut ctx: Context| async move {{ .. }}` with a `TaskResult<{T}>`"
)]
pub trait Racers<'a, T> {
    /// How many they are.
    const COUNT: usize;

    /// Begins them, with a context for each.
    #[doc(hidden)]
    fn begin(self, contexts: Vec<Context>) -> Vec<BoxFuture<'a, TaskResult<T>>>;
}

/// Where a branch puts its result.
struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T> Slot<T> {
    fn new() -> (Self, Self) {
        let slot = Arc::new(Mutex::new(None));
        (Self(Arc::clone(&slot)), Self(slot))
    }

    fn put(&self, result: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

macro_rules! tuples {
    ($($count:literal: $($branch:ident $future:ident $output:ident $slot:ident),+;)*) => {$(
        impl<'a, $($branch, $future, $output),+> Branches<'a> for ($($branch,)+)
        where
            $(
                $branch: FnOnce(Context) -> $future,
                $future: Future<Output = TaskResult<$output>> + Send + 'a,
                $output: Send + 'a,
            )+
        {
            type Output = ($($output,)+);
            const COUNT: usize = $count;

            fn begin(self, contexts: Vec<Context>) -> (Vec<Part<'a>>, Collect<'a, Self::Output>) {
                #[expect(non_snake_case, reason = "the names of types serve for values too")]
                let ($($branch,)+) = self;
                let mut contexts = contexts.into_iter();
                let mut parts: Vec<Part<'a>> = Vec::with_capacity($count);
                $(
                    let (to, $slot) = Slot::new();
                    if let Some(context) = contexts.next() {
                        let working = $branch(context);
                        parts.push(Box::pin(async move {
                            to.put(working.await?);
                            Ok(())
                        }));
                    }
                )+
                (parts, Box::new(move || Some(($($slot.take()?,)+))))
            }
        }

        impl<'a, T, $($branch, $future),+> Racers<'a, T> for ($($branch,)+)
        where
            $(
                $branch: FnOnce(Context) -> $future,
                $future: Future<Output = TaskResult<T>> + Send + 'a,
            )+
        {
            const COUNT: usize = $count;

            fn begin(self, contexts: Vec<Context>) -> Vec<BoxFuture<'a, TaskResult<T>>> {
                #[expect(non_snake_case, reason = "the names of types serve for values too")]
                let ($($branch,)+) = self;
                let mut contexts = contexts.into_iter();
                let mut racers: Vec<BoxFuture<'a, TaskResult<T>>> = Vec::with_capacity($count);
                $(
                    if let Some(context) = contexts.next() {
                        racers.push(Box::pin($branch(context)));
                    }
                )+
                racers
            }
        }
    )*};
}

tuples! {
    2: A FA TA a, B FB TB b;
    3: A FA TA a, B FB TB b, C FC TC c;
    4: A FA TA a, B FB TB b, C FC TC c, D FD TD d;
    5: A FA TA a, B FB TB b, C FC TC c, D FD TD d, E FE TE e;
    6: A FA TA a, B FB TB b, C FC TC c, D FD TD d, E FE TE e, F FF TF f;
    7: A FA TA a, B FB TB b, C FC TC c, D FD TD d, E FE TE e, F FF TF f, G FG TG g;
    8: A FA TA a, B FB TB b, C FC TC c, D FD TD d, E FE TE e, F FF TF f, G FG TG g, H FH TH h;
}
