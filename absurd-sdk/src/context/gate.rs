//! Where the branches of a task meet to wait: when all of them wait, the run parks once, on
//! whatever comes first.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use crate::{
    db::{Waited, writes::Wait},
    store::{Refusal, RunStore},
};

/// How often branches that wait look for what they wait for while others work.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

type Answer = Result<Waited, Refusal>;

/// Shared by all branches of one execution.
pub(super) struct Gate {
    store: Arc<dyn RunStore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Branches that do not wait.
    working: usize,
    waiting: Vec<Waiting>,
    /// A look is under way.
    looking: bool,
    next_seat: u64,
}

struct Waiting {
    seat: u64,
    wait: Wait,
    answer: oneshot::Sender<Answer>,
}

/// One branch's place at the gate; whatever becomes of the branch, its seat is given up.
pub(super) struct Seat {
    gate: Arc<Gate>,
    id: u64,
    /// Branches of its own stand for it.
    away: bool,
}

impl Gate {
    pub(super) fn new(store: Arc<dyn RunStore>) -> Arc<Self> {
        Arc::new(Self {
            store,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a branch, which works from now on.
    pub(super) fn seat(self: &Arc<Self>) -> Seat {
        let mut state = self.state();
        state.working += 1;
        state.next_seat += 1;
        Seat {
            gate: Arc::clone(self),
            id: state.next_seat,
            away: false,
        }
    }

    /// Parks the run if nobody works any more. Called by whoever stopped working last.
    pub(super) async fn settle(&self) {
        self.ask(true).await;
    }

    /// Looks whether what branches wait for has come while others work.
    async fn look(&self) {
        self.ask(false).await;
        // The others may have stopped working meanwhile.
        self.settle().await;
    }

    /// Asks for all that wait, if nobody else is asking. Those who wait stay in their places
    /// meanwhile: the branch that asks for them may be given up before it has the answer.
    async fn ask(&self, park: bool) {
        let (seats, waits): (Vec<u64>, Vec<Wait>) = {
            let mut state = self.state();
            if state.looking || state.waiting.is_empty() || (park && state.working > 0) {
                return;
            }
            state.looking = true;
            let waiting = state.waiting.iter();
            waiting.map(|w| (w.seat, w.wait.clone())).unzip()
        };
        let looking = Looking(self);
        let answered = self.store.wait_for_any(waits, park).await;
        drop(looking);
        let over = match answered {
            Ok(over) if over.is_empty() && park => {
                let parked = seats.iter().map(|seat| (*seat, Ok(Waited::Parked)));
                parked.collect()
            }
            Ok(over) => {
                let seated = |(place, waited)| Some((*seats.get::<usize>(place)?, Ok(waited)));
                over.into_iter().filter_map(seated).collect()
            }
            Err(refusal) => {
                let refused = seats.iter().map(|seat| (*seat, Err(refusal.clone())));
                refused.collect::<Vec<(u64, Answer)>>()
            }
        };
        let mut state = self.state();
        for (seat, answer) in over {
            state.answer(seat, answer);
        }
    }
}

impl State {
    /// Lets a branch go on; one that was given up meanwhile has left its place.
    fn answer(&mut self, seat: u64, answer: Answer) {
        let place = self.waiting.iter().position(|waiting| waiting.seat == seat);
        if let Some(place) = place {
            self.working += 1;
            // Whoever is gone doesn't want to know.
            let _ = self.waiting.swap_remove(place).answer.send(answer);
        }
    }
}

/// A look under way; over also when the branch that looks is given up.
struct Looking<'g>(&'g Gate);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.state().looking = false;
    }
}

impl Seat {
    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The branch has branches of its own from now on, or has them no longer.
    pub(super) fn set_away(&mut self, away: bool) {
        if self.away != away {
            self.away = away;
            let mut state = self.gate.state();
            if away {
                state.working -= 1;
            } else {
                state.working += 1;
            }
        }
    }

    /// Waits, with all other branches that do.
    pub(super) async fn wait(&self, wait: Wait) -> Answer {
        let (answer, mut answered) = oneshot::channel();
        let others_work = {
            let mut state = self.gate.state();
            state.working -= 1;
            state.waiting.push(Waiting {
                seat: self.id,
                wait,
                answer,
            });
            state.working > 0
        };
        if others_work {
            self.gate.look().await;
        } else {
            self.gate.settle().await;
        }
        let mut look_at = Instant::now() + LOOK_INTERVAL;
        loop {
            tokio::select! {
                biased;
                answer = &mut answered => return answer.unwrap_or(Err(Refusal::LeaseLost)),
                () = tokio::time::sleep_until(look_at) => self.gate.look().await,
            }
            look_at = Instant::now() + LOOK_INTERVAL;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        let waiting = state.waiting.len();
        state.waiting.retain(|waiting| waiting.seat != self.id);
        if waiting == state.waiting.len() && !self.away {
            state.working = state.working.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use serde_json::Value;
    use tokio::sync::Notify;
    use uuid::Uuid;

    use super::*;
    use crate::{
        db::{
            PgConnection, PgTransaction,
            writes::{WaitOn, Write},
        },
        ids::{RunId, TaskId},
        store::Checkpoint,
    };

    /// Answers nothing until it is told to; then parks.
    #[derive(Default)]
    struct Slow {
        asked: Notify,
        answer: Notify,
        parks: Mutex<usize>,
    }

    impl RunStore for Slow {
        fn wait_for_any(
            &self,
            waits: Vec<Wait>,
            park: bool,
        ) -> BoxFuture<'_, Result<Vec<(usize, Waited)>, Refusal>> {
            Box::pin(async move {
                if park {
                    *self.parks.lock().expect("no panic") += waits.len();
                    return Ok(Vec::new());
                }
                self.asked.notify_one();
                self.answer.notified().await;
                Ok(Vec::new())
            })
        }

        fn write(&self, _: Write) -> BoxFuture<'_, Result<Value, Refusal>> {
            unreachable!("branches only wait here")
        }

        fn wait(&self, _: Wait) -> BoxFuture<'_, Result<Waited, Refusal>> {
            unreachable!("branches only wait here")
        }

        fn checkpoints(
            &self,
            _: TaskId,
            _: RunId,
        ) -> BoxFuture<'_, Result<Vec<Checkpoint>, Refusal>> {
            unreachable!("branches only wait here")
        }

        fn begin(&self) -> BoxFuture<'_, Result<PgTransaction, Refusal>> {
            unreachable!("branches only wait here")
        }

        fn write_on<'a>(
            &'a self,
            _: &'a mut PgConnection,
            _: Write,
        ) -> BoxFuture<'a, Result<(), Refusal>> {
            unreachable!("branches only wait here")
        }

        fn open<'a>(&'a self, _: &'a str, _: Value) -> BoxFuture<'a, Result<Value, Refusal>> {
            unreachable!("branches only wait here")
        }

        fn tell(&self, _: Write) {}
    }

    fn event(name: &str) -> Wait {
        Wait {
            run: RunId(Uuid::nil()),
            task: TaskId(Uuid::nil()),
            step: name.to_owned(),
            on: WaitOn::Event(name.to_owned()),
            timeout: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_branch_given_up_while_it_looks_leaves_the_others_waiting() {
        let store = Arc::new(Slow::default());
        let gate = Gate::new(Arc::clone(&store) as Arc<dyn RunStore>);
        let (first, loser, winner) = (gate.seat(), gate.seat(), gate.seat());
        // It waits, then the loser of a race does, and looks for both of them.
        let first_waits = tokio::spawn(async move { first.wait(event("a")).await });
        store.asked.notified().await;
        store.answer.notify_one();
        let loser_waits = tokio::spawn(async move { loser.wait(event("b")).await });
        store.asked.notified().await;
        // The race is decided meanwhile.
        loser_waits.abort();
        assert!(loser_waits.await.is_err(), "it was given up");
        assert!(!first_waits.is_finished(), "it still waits");
        // The winner's branch ends up waiting too: now the run parks, on both.
        let winner_waits = winner.wait(event("c"));
        let parked = tokio::time::timeout(Duration::from_mins(1), winner_waits).await;
        assert!(matches!(parked, Ok(Ok(Waited::Parked))), "{parked:?}");
        assert!(matches!(first_waits.await, Ok(Ok(Waited::Parked))));
        assert_eq!(*store.parks.lock().expect("no panic"), 2);
    }
}
