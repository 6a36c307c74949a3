//! Branches: several parts of a task at once, each with a context of its own, so that the names
//! of their steps are the same on every replay whatever the timing.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Context,
    gate::{Gate, Seat},
    parts::{Branches, Part, Racers},
};
use crate::{
    error::{TaskError, TaskResult},
    payload::{decode, encode},
};

/// Makes the contexts of branches, one by one.
struct BranchMaker {
    /// A context that no branch has; it holds what is stored of all of them.
    trunk: Context,
    gate: Arc<Gate>,
    group: String,
}

impl BranchMaker {
    fn make(&mut self, index: usize) -> Context {
        let prefix = format!("{}/{index}/", self.group);
        let mut branch = self.trunk.offshoot(&prefix);
        branch.checkpoints = self.trunk.checkpoints.take_branch(&prefix);
        branch.seat = Some(self.gate.seat());
        branch
    }
}

/// Many branches of one kind about to begin: `.await` it.
#[must_use = "nothing begins until this is awaited"]
pub struct MapBranches<'c, I, F, T> {
    context: &'c mut Context,
    items: Vec<I>,
    work: F,
    at_once: usize,
    output: PhantomData<fn() -> T>,
}

impl<I, F, T> MapBranches<'_, I, F, T> {
    /// At most that many branches at once, those that wait included; all where it is not set.
    pub fn concurrency(mut self, branches: usize) -> Self {
        self.at_once = branches.max(1);
        self
    }
}

impl Context {
    /// Runs several closures at once, each with a context of its own, and returns what they
    /// return. The first error ends the others.
    ///
    /// While all of them wait, the task waits once, holding no worker.
    pub fn join<'c, B: Branches<'c> + Send + 'c>(
        &'c mut self,
        branches: B,
    ) -> BoxFuture<'c, TaskResult<B::Output>> {
        Box::pin(async move {
            let mut maker = self.branch_maker("$join").await?;
            let contexts = (0..B::COUNT).map(|index| maker.make(index)).collect();
            let (parts, collect) = branches.begin(contexts);
            let gate = Arc::clone(&maker.gate);
            run_group(self.seat.as_mut(), &gate, parts.into_iter(), usize::MAX).await?;
            collect().ok_or_else(|| TaskError::msg("a branch has ended without a result"))
        })
    }

    /// Runs a closure for each item, with a context of its own, and returns what they return,
    /// in the order of the items. The first error ends the others.
    ///
    /// The items must be the same, in the same order, on every replay.
    pub fn map<I, F, Fut, T>(
        &mut self,
        items: impl IntoIterator<Item = I>,
        work: F,
    ) -> MapBranches<'_, I, F, T>
    where
        F: Fn(Context, I) -> Fut,
        Fut: Future<Output = TaskResult<T>>,
    {
        MapBranches {
            context: self,
            items: items.into_iter().collect(),
            work,
            at_once: usize::MAX,
            output: PhantomData,
        }
    }

    /// Runs several closures at once, each with a context of its own, and returns what the first
    /// one to be ready returns; the others are dropped. Which one it was is kept under `name`,
    /// in one write, so a replay knows no other winner.
    pub fn race<'c, T, R>(
        &'c mut self,
        name: impl Into<String>,
        racers: R,
    ) -> BoxFuture<'c, TaskResult<T>>
    where
        T: Serialize + DeserializeOwned + Send + 'c,
        R: Racers<'c, T> + Send + 'c,
    {
        let name = name.into();
        let begin = |maker: &mut BranchMaker| {
            racers.begin((0..R::COUNT).map(|index| maker.make(index)).collect())
        };
        Box::pin(async move { self.first_of(&name, begin).await })
    }

    /// Waits for all of several events and returns their payloads, in the order of the names.
    pub async fn await_all_events<T: DeserializeOwned + Send>(
        &mut self,
        events: impl IntoIterator<Item = impl Into<String>>,
    ) -> TaskResult<Vec<T>> {
        let events: Vec<String> = events.into_iter().map(Into::into).collect();
        self.map(events, |mut branch, event| async move {
            branch.await_event::<T>(event).await
        })
        .await
    }

    /// Waits for the first of several events and returns its name and payload. Which one it was
    /// is kept under `name`.
    pub async fn await_any_event<T: Serialize + DeserializeOwned + Send>(
        &mut self,
        name: impl AsRef<str>,
        events: impl IntoIterator<Item = impl Into<String>>,
    ) -> TaskResult<(String, T)> {
        let events: Vec<String> = events.into_iter().map(Into::into).collect();
        let begin = |maker: &mut BranchMaker| {
            let waits = events.into_iter().enumerate().map(|(index, event)| {
                let mut branch = maker.make(index);
                let wait: BoxFuture<'_, TaskResult<(String, T)>> = Box::pin(async move {
                    let payload = branch.await_event::<T>(event.clone()).await?;
                    Ok((event, payload))
                });
                wait
            });
            waits.collect()
        };
        Box::pin(self.first_of(name.as_ref(), begin)).await
    }

    async fn first_of<'p, T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        begin: impl FnOnce(&mut BranchMaker) -> Vec<BoxFuture<'p, TaskResult<T>>>,
    ) -> TaskResult<T> {
        let name = Self::checked(name)?;
        let name = self.enter(name.as_str()).await?;
        let what = || format!("the stored result of race `{name}`");
        if let Some(stored) = self.checkpoints.get(&name) {
            let value = stored.get("value").unwrap_or(&Value::Null);
            return Ok(decode(what, value)?);
        }
        let mut maker = self.branch_maker_of(name.clone());
        let racers = begin(&mut maker).into_iter().enumerate();
        let racers = racers.map(|(index, racer)| async move { (index, racer.await) });
        let mut racers: FuturesUnordered<_> = racers.collect();
        if let Some(seat) = &mut self.seat {
            seat.set_away(true);
        }
        let first = racers.next().await;
        drop(racers);
        if let Some(seat) = &mut self.seat {
            seat.set_away(false);
        }
        let (winner, value) = first.ok_or_else(|| TaskError::msg("a race needs a branch"))?;
        let value = encode(what, &value?)?;
        // The losers' operations are no part of the path.
        self.checkpoints.forget_path();
        self.keep(name.clone(), json!({ "winner": winner, "value": value }))
            .await?;
        Ok(decode(what, &value)?)
    }

    async fn branch_maker(&mut self, base: &str) -> TaskResult<BranchMaker> {
        let group = self.enter_group(base).await?;
        Ok(self.branch_maker_of(group))
    }

    fn branch_maker_of(&mut self, group: String) -> BranchMaker {
        let gate = match &self.seat {
            Some(seat) => Arc::clone(seat.gate()),
            None => Gate::new(Arc::clone(&self.store)),
        };
        let prefix = format!("{group}/");
        let mut trunk = self.offshoot(&prefix);
        trunk.checkpoints = self.checkpoints.take_branch(&prefix);
        BranchMaker { trunk, gate, group }
    }
}

/// Runs parts of a task, some at once. The first error ends them all.
async fn run_group<'p>(
    mut seat: Option<&mut Seat>,
    gate: &Gate,
    mut parts: impl Iterator<Item = Part<'p>>,
    at_once: usize,
) -> TaskResult<()> {
    let mut under_way: FuturesUnordered<Part<'p>> = parts.by_ref().take(at_once).collect();
    if let Some(seat) = &mut seat {
        seat.set_away(true);
    }
    let result = loop {
        match under_way.next().await {
            None => break Ok(()),
            Some(Err(error)) => break Err(error),
            Some(Ok(())) => match parts.next() {
                Some(part) => under_way.push(part),
                None if under_way.is_empty() => {}
                None => gate.settle().await,
            },
        }
    };
    drop(under_way);
    if let Some(seat) = &mut seat {
        seat.set_away(false);
    }
    result
}

impl<'c, I, F, Fut, T> IntoFuture for MapBranches<'c, I, F, T>
where
    I: Send + 'c,
    F: Fn(Context, I) -> Fut + Send + Sync + 'c,
    Fut: Future<Output = TaskResult<T>> + Send + 'c,
    T: Send + 'c,
{
    type Output = TaskResult<Vec<T>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let context = self.context;
            let mut maker = context.branch_maker("$map").await?;
            let results: Vec<Option<T>> = self.items.iter().map(|_| None).collect();
            let results = Arc::new(Mutex::new(results));
            let gate = Arc::clone(&maker.gate);
            let work = &self.work;
            let parts = self.items.into_iter().enumerate().map(|(index, item)| {
                let working = work(maker.make(index), item);
                let results = Arc::clone(&results);
                let part: Part<'_> = Box::pin(async move {
                    let result = working.await?;
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(slot) = results.get_mut(index) {
                        *slot = Some(result);
                    }
                    Ok(())
                });
                part
            });
            run_group(context.seat.as_mut(), &gate, parts, self.at_once).await?;
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            let results = std::mem::take(&mut *results).into_iter().collect();
            let results: Option<Vec<T>> = results;
            results.ok_or_else(|| TaskError::msg("a branch has ended without a result"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DetachedContext;

    #[tokio::test]
    async fn branches_return_what_their_closures_return() {
        let mut context = DetachedContext::new().build().expect("a context");
        let joined =
            context
                .join((
                    |mut a: Context| async move {
                        a.step("x", || async { Ok::<_, TaskError>(1) }).await
                    },
                    |b: Context| async move { Ok(b.task_name().to_owned()) },
                ))
                .await;
        assert_eq!(joined.expect("both"), (1, "detached".to_owned()));
        let squares = context
            .map(0..3, |mut branch, n: u32| async move {
                branch
                    .step("square", || async { Ok::<_, TaskError>(n * n) })
                    .await
            })
            .concurrency(2)
            .await;
        assert_eq!(squares.expect("all"), [0, 1, 4]);
        let first = context
            .race(
                "first",
                (
                    |_: Context| async move { std::future::pending::<TaskResult<u32>>().await },
                    |_: Context| async move { Ok(7) },
                ),
            )
            .await;
        assert_eq!(first.expect("the second"), 7);
    }
}
