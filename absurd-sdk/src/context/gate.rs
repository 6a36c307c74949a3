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
        let waiting = {
            let mut state = self.state();
            if state.working > 0 || state.looking {
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        if !waiting.is_empty() {
            self.ask(waiting, true).await;
        }
    }

    /// Looks whether what branches wait for has come while others work.
    async fn look(&self) {
        let waiting = {
            let mut state = self.state();
            if state.looking || state.waiting.is_empty() {
                return;
            }
            state.looking = true;
            std::mem::take(&mut state.waiting)
        };
        self.ask(waiting, false).await;
        self.state().looking = false;
        // The others may have stopped working meanwhile.
        Box::pin(self.settle()).await;
    }

    async fn ask(&self, waiting: Vec<Waiting>, park: bool) {
        // Branches that were given up don't wait for anything.
        let waiting: Vec<_> = waiting
            .into_iter()
            .filter(|w| !w.answer.is_closed())
            .collect();
        let waits = waiting.iter().map(|waiting| waiting.wait.clone()).collect();
        let answered = self.store.wait_for_any(waits, park).await;
        let mut state = self.state();
        let over = match answered {
            Ok(over) => over,
            Err(refusal) => {
                state.working += waiting.len();
                for waiting in waiting {
                    // Whoever is gone doesn't want to know.
                    let _ = waiting.answer.send(Err(refusal.clone()));
                }
                return;
            }
        };
        let parked = park && over.is_empty();
        for (place, waiting) in waiting.into_iter().enumerate() {
            let answer = over.iter().find(|(over, _)| *over == place);
            let answer = answer.map(|(_, waited)| waited.clone());
            match answer.or_else(|| parked.then_some(Waited::Parked)) {
                Some(waited) => {
                    state.working += 1;
                    let _ = waiting.answer.send(Ok(waited));
                }
                None => state.waiting.push(waiting),
            }
        }
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
