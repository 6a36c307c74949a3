//! Eager starts: a call that makes work for a queue takes along the claim of a worker of the same
//! process that waits for some. A task starts with its spawn's answer, a waiter with its event's,
//! instead of a notification and a claim later.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, oneshot};

use crate::{
    db::{Claim, ClaimedRow, Db, DbError, NewEvent, NewSpawn, SpawnRow},
    ids::QueueName,
};

/// The desks of all workers of a client and its clones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desks(Arc<Mutex<Vec<Arc<Desk>>>>);

/// Where a worker takes a call while it waits for work.
#[derive(Debug)]
pub(crate) struct Desk {
    queue: QueueName,
    /// What its worker can execute.
    tasks: BTreeSet<&'static str>,
    state: Mutex<State>,
    ordered: Notify,
}

#[derive(Debug, Default)]
enum State {
    /// The worker is busy.
    #[default]
    Closed,
    Open,
    Ordered(Order),
}

/// A worker's own desk. With this it goes, and declines what was ordered.
#[derive(Debug)]
pub(crate) struct OwnDesk {
    desk: Arc<Desk>,
    all: Desks,
}

/// A call to be made together with a claim.
#[derive(Debug)]
pub(crate) enum Order {
    Spawn(Arc<NewSpawn>, Reply<SpawnRow>),
    Emit(Arc<NewEvent>, Reply<()>),
}

/// What became of an order.
pub(crate) struct Made {
    /// None: nothing was claimed, and nobody knows whether there is something.
    pub(crate) claimed: Option<Vec<ClaimedRow>>,
    /// Answers the caller. Without this it takes the worker for dead.
    pub(crate) answer: Box<dyn FnOnce() + Send>,
}

/// None: nothing was made.
type Reply<T> = oneshot::Sender<Option<Result<T, DbError>>>;

impl Desks {
    /// A desk for a worker of this queue and these tasks.
    pub(crate) fn set_up(&self, queue: QueueName, tasks: BTreeSet<&'static str>) -> OwnDesk {
        let desk = Arc::new(Desk {
            queue,
            tasks,
            state: Mutex::default(),
            ordered: Notify::new(),
        });
        self.lock().push(Arc::clone(&desk));
        OwnDesk {
            desk,
            all: self.clone(),
        }
    }

    /// One of a queue whose worker waits. With a task: one that can execute it.
    pub(crate) fn open(&self, queue: &QueueName, task: Option<&str>) -> Option<Arc<Desk>> {
        let desks = self.lock();
        let fits = |desk: &&Arc<Desk>| {
            desk.queue == *queue
                && task.is_none_or(|task| desk.tasks.contains(task))
                && matches!(*desk.lock(), State::Open)
        };
        desks.iter().find(fits).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Desk>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Spawns a task of the queue. None: it did not, and the caller is to do it alone.
    pub(crate) async fn spawn(&self, spawn: Arc<NewSpawn>) -> Option<Result<SpawnRow, DbError>> {
        let made = self.order(|reply| Order::Spawn(Arc::clone(&spawn), reply));
        match made.await? {
            Err(_) if spawn.may_repeat() => None,
            made => Some(made),
        }
    }

    /// Emits an event of the queue. False: perhaps it did not, and the caller is to do it alone.
    pub(crate) async fn emit(&self, event: Arc<NewEvent>) -> bool {
        let made = self.order(|reply| Order::Emit(event, reply));
        matches!(made.await, Some(Ok(())))
    }

    async fn order<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Option<Result<T, DbError>> {
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.lock();
            if !matches!(*state, State::Open) {
                return None;
            }
            *state = State::Ordered(order(reply));
        }
        self.ordered.notify_one();
        // No answer: the worker was dropped meanwhile.
        let gone = |_| Some(Err(DbError::given_up("spawn_and_claim")));
        match answer.await.unwrap_or_else(gone) {
            // The transaction was undone; whether the call or the claim is at fault, the call
            // alone will tell.
            Some(Err(DbError::Refused { .. })) => None,
            made => made,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnDesk {
    /// Ready when something was ordered. Only while this is awaited anything can be.
    pub(crate) async fn ordered(&self) {
        *self.desk.lock() = State::Open;
        let _closing = Closing(&self.desk);
        self.desk.ordered.notified().await;
    }

    /// What was ordered.
    pub(crate) fn take(&self) -> Option<Order> {
        match mem::take(&mut *self.desk.lock()) {
            State::Ordered(order) => Some(order),
            State::Closed | State::Open => None,
        }
    }
}

impl Drop for OwnDesk {
    fn drop(&mut self) {
        self.all
            .lock()
            .retain(|desk| !Arc::ptr_eq(desk, &self.desk));
        match self.take() {
            // Who has given up needs no answer.
            Some(Order::Spawn(_, reply)) => drop(reply.send(None)),
            Some(Order::Emit(_, reply)) => drop(reply.send(None)),
            None => {}
        }
    }
}

/// Closes an open desk; an order stays.
struct Closing<'a>(&'a Desk);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(*state, State::Open) {
            *state = State::Closed;
        }
    }
}

impl Order {
    /// Makes the call and the claim.
    pub(crate) async fn make(self, db: &Db, claim: &Claim<'_>) -> Made {
        match self {
            Self::Spawn(spawn, reply) => Made::of(reply, db.spawn_and_claim(&spawn, claim).await),
            Self::Emit(event, reply) => {
                let claimed = db.emit_and_claim(&event, claim).await;
                Made::of(reply, claimed.map(|claimed| ((), claimed)))
            }
        }
    }
}

impl Made {
    fn of<T: Send + 'static>(reply: Reply<T>, made: Result<(T, Vec<ClaimedRow>), DbError>) -> Self {
        let (made, claimed) = match made {
            Ok((made, claimed)) => (Ok(made), Some(claimed)),
            Err(error) => (Err(error), None),
        };
        // Who has given up: what was made stays all the same.
        let answer = Box::new(move || drop(reply.send(Some(made))));
        Self { claimed, answer }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll};

    use futures::poll;
    use serde_json::{Value, json};

    use super::*;

    fn spawn(options: Value) -> Arc<NewSpawn> {
        Arc::new(NewSpawn {
            queue: queue(),
            name: "known".into(),
            params: Value::Null,
            options,
        })
    }

    fn queue() -> QueueName {
        QueueName::new("default").unwrap()
    }

    #[tokio::test]
    async fn an_order_that_nobody_takes_is_declined() {
        let desks = Desks::default();
        let own = desks.set_up(queue(), ["known"].into());
        assert!(desks.open(&queue(), None).is_none(), "it does not wait yet");
        {
            let mut waits = pin!(own.ordered());
            assert!(poll!(&mut waits).is_pending());
            assert!(desks.open(&queue(), Some("unknown")).is_none());
        }
        assert!(desks.open(&queue(), None).is_none(), "it waits no more");
        let mut waits = Box::pin(own.ordered());
        assert!(poll!(&mut waits).is_pending());
        let desk = desks.open(&queue(), Some("known")).unwrap();
        let mut first = pin!(desk.spawn(spawn(json!({}))));
        assert!(poll!(&mut first).is_pending());
        let second = desk.spawn(spawn(json!({})));
        assert!(second.await.is_none(), "one at a time");
        // The worker had just gone on for another reason, and ends before it looks.
        drop(waits);
        drop(own);
        assert!(matches!(poll!(first), Poll::Ready(None)));
    }

    #[tokio::test]
    async fn an_order_that_died_on_its_way_is_made_again_only_if_it_may() {
        let desks = Desks::default();
        let own = desks.set_up(queue(), ["known"].into());
        for (options, may_repeat) in [(json!({}), false), (json!({"idempotency_key": 1}), true)] {
            let mut waits = pin!(own.ordered());
            assert!(poll!(&mut waits).is_pending());
            let desk = desks.open(&queue(), None).unwrap();
            let mut spawned = pin!(desk.spawn(spawn(options)));
            assert!(poll!(&mut spawned).is_pending());
            waits.await;
            drop(own.take());
            let answer = spawned.await;
            assert_eq!(answer.is_none(), may_repeat);
            assert!(answer.is_none_or(|answer| answer.is_err_and(|error| error.is_outage())));
        }
    }
}
