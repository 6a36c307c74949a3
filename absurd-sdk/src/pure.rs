//! What a claim and its steps cost in our process alone. The benchmarks measure it; it is for
//! nobody else and may change at any time.

use std::{hint::black_box, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use crate::{
    checkpoints::{Checkpoints, Nondeterminism},
    context::{Context, DetachedContext},
    db::writes::{PlainWrites, Write},
    error::TaskError,
    ids::{InvalidName, RunId, TaskId},
    payload::{self, PayloadError},
    retry::RetryPolicy,
    vault::{PayloadStorage, Vault},
    writer::{Order, answer_all},
};

/// A context as a claim makes it, from the names, states and places of checkpoints.
pub fn claimed(checkpoints: Vec<(String, Value, Option<i32>)>) -> Result<Context, InvalidName> {
    DetachedContext::new().build_claimed(checkpoints)
}

/// The names of a run's operations, in the order of the function.
#[derive(Debug, Default)]
pub struct Names(Checkpoints);

impl Names {
    /// The concrete name of the next operation, held against what is recorded.
    pub fn enter(&mut self, base: &str) -> Result<String, Nondeterminism> {
        let name = self.0.next_name(base);
        self.0.next_place(&name)?;
        Ok(name)
    }
}

/// A value on its way into the database's JSON.
pub fn encoded<T: Serialize + ?Sized>(value: &T) -> Result<Value, PayloadError> {
    payload::encode(|| "it".to_owned(), value)
}

/// A value on its way out of it.
pub fn decoded<T: DeserializeOwned>(json: &Value) -> Result<T, PayloadError> {
    payload::decode(|| "it".to_owned(), json)
}

/// Seals and opens payloads as a client does.
pub struct Storage(Vault);

impl Storage {
    /// A client that was told this; the error says what is wrong with it.
    pub fn new(storage: PayloadStorage) -> Result<Self, String> {
        Vault::new(storage).map(Self)
    }

    /// What is to be stored of a payload.
    pub async fn seal(&self, plain: Value) -> Result<Value, PayloadError> {
        self.0.seal(|| "it".to_owned(), plain).await
    }

    /// The payload that was stored.
    pub async fn open(&self, stored: Value) -> Result<Value, PayloadError> {
        self.0.open(|| "it".to_owned(), stored).await
    }
}

/// The pause after failure `n`, from 1.
pub fn pause(policy: RetryPolicy, failure: u32) -> Duration {
    policy.delay(failure)
}

/// One batch of the writer from end to end: so many results of steps are ordered, gathered, bound
/// to the statement and, when the database has kept all of them, answered. The number of answers.
pub fn batch(writes: usize, state: &Value) -> Result<usize, TaskError> {
    let give_up = Instant::now();
    let (orders, answers): (Vec<_>, Vec<_>) = (0..writes)
        .map(|number| {
            let (reply, answer) = oneshot::channel();
            let write = checkpoint(number, state.clone());
            let order = Order {
                write,
                give_up,
                reply,
            };
            (order, answer)
        })
        .unzip();
    let mut gathered = PlainWrites::default();
    for order in &orders {
        gathered.add(&order.write);
    }
    let bound = gathered.bind("worker");
    black_box(bound.map_err(|error| TaskError::msg(error.to_string()))?);
    answer_all(orders);
    let answered = answers.into_iter().map(|mut answer| answer.try_recv());
    Ok(answered
        .filter(|answer| matches!(answer, Ok(Ok(_))))
        .count())
}

fn checkpoint(number: usize, state: Value) -> Write {
    Write::Checkpoint {
        run: RunId(Uuid::nil()),
        task: TaskId(Uuid::nil()),
        step: format!("step {number}"),
        place: i32::try_from(number).ok(),
        state,
        extend: 0,
    }
}
