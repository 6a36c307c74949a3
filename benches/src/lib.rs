//! What the engine costs in our own process, without a database: pieces of work of a fixed size.
//! Criterion times them (`benches/benches/`), and `instructions` counts what they execute.
//!
//! Nothing here waits for anything, so every future is ready when it is first looked at, and no
//! runtime is needed.

use absurd_sdk::{DetachedContext, prelude::*, pure};
use futures::future::FutureExt as _;
use serde_json::Value;

/// A step's payload: a JSON string of a hundred bytes with its quotes.
const PAYLOAD_BYTES: usize = 98;

/// The columns of a claim that bring checkpoints along, as the driver receives them.
#[derive(Debug)]
pub struct Claim {
    names: Vec<String>,
    states: Vec<Vec<u8>>,
}

impl Claim {
    /// A run that has taken so many steps.
    pub fn of(steps: usize) -> TaskResult<Self> {
        let state = serde_json::to_vec(&payload())?;
        Ok(Self {
            names: (0..steps).map(step_name).collect(),
            states: vec![state; steps],
        })
    }

    /// Replays it: from the bytes of the claim to the end of the function, which finds all of
    /// its steps done. How many those were.
    pub fn replay(&self) -> TaskResult<usize> {
        let rows = self.names.iter().zip(&self.states).zip(1..);
        let checkpoints = rows.map(|((name, state), place)| {
            let state: Value = serde_json::from_slice(state)?;
            Ok((name.clone(), state, Some(place)))
        });
        let checkpoints = checkpoints.collect::<TaskResult<Vec<_>>>()?;
        stepped(pure::claimed(checkpoints)?, self.names.len())
    }
}

/// Takes fresh steps, whose results are kept at once. How many were taken.
pub fn fresh_steps(steps: usize) -> TaskResult<usize> {
    stepped(DetachedContext::new().build()?, steps)
}

/// Runs the function of a task of so many steps, of which each returns a hundred bytes.
fn stepped(mut context: Context, steps: usize) -> TaskResult<usize> {
    let function = async {
        let mut taken = 0;
        for number in 0..steps {
            let step = context.step(step_name(number), || async { Ok::<_, TaskError>(text()) });
            taken += usize::from(step.await?.len() == PAYLOAD_BYTES);
        }
        Ok(taken)
    };
    ready(function)
}

/// The name of a step, as tasks make it.
pub fn step_name(number: usize) -> String {
    format!("step {number}")
}

fn text() -> String {
    "x".repeat(PAYLOAD_BYTES)
}

/// A step's payload of a hundred bytes.
pub fn payload() -> Value {
    Value::String(text())
}

/// The value of a future that waits for nothing.
pub fn ready<T>(future: impl Future<Output = TaskResult<T>>) -> TaskResult<T> {
    let waited = || TaskError::msg("it waited for something, and nothing here may wait");
    future.now_or_never().unwrap_or_else(|| Err(waited()))
}
