//! The tasks that are measured. They do next to nothing themselves.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use absurd_sdk::prelude::*;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

/// The event that wakes the parked tasks of W10.
pub(crate) const GO: &str = "go";
/// A step's payload: a JSON string of a hundred bytes with its quotes.
const PAYLOAD_BYTES: usize = 98;

/// Counts executions and says when there were enough.
#[derive(Debug, Clone)]
pub(crate) struct Executed(Arc<Count>);

#[derive(Debug)]
struct Count {
    executed: AtomicUsize,
    enough: usize,
    reached: Notify,
}

impl Executed {
    /// None yet.
    pub(crate) fn until(enough: usize) -> Self {
        Self(Arc::new(Count {
            executed: AtomicUsize::new(0),
            enough,
            reached: Notify::new(),
        }))
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.0.executed.load(Ordering::SeqCst)
    }

    /// Ready when there were enough.
    pub(crate) async fn enough(&self) {
        self.0.reached.notified().await;
    }

    fn one_more(&self) {
        if self.0.executed.fetch_add(1, Ordering::SeqCst) + 1 == self.0.enough {
            self.0.reached.notify_one();
        }
    }
}

/// Where tasks tell of a moment, with their number.
pub(crate) type Moments = mpsc::UnboundedSender<(usize, Instant)>;
/// Where those who measure hear of it.
pub(crate) type Told = mpsc::UnboundedReceiver<(usize, Instant)>;

/// The way from tasks to those who measure.
pub(crate) fn moments() -> (Moments, Told) {
    mpsc::unbounded_channel()
}

/// A step's payload of a hundred bytes.
pub(crate) fn payload() -> String {
    "x".repeat(PAYLOAD_BYTES)
}

/// Does nothing.
#[task(name = "nothing")]
pub(crate) async fn nothing(
    _ctx: &mut Context,
    _number: usize,
    executed: State<Executed>,
) -> TaskResult<()> {
    executed.one_more();
    Ok(())
}

/// Keeps so many payloads of a hundred bytes.
#[task(name = "steps")]
pub(crate) async fn steps(
    ctx: &mut Context,
    count: usize,
    executed: State<Executed>,
) -> TaskResult<()> {
    for number in 0..count {
        ctx.step(format!("step {number}"), || async {
            Ok::<_, TaskError>(payload())
        })
        .await?;
    }
    executed.one_more();
    Ok(())
}

/// Keeps so many payloads one after the other, and tells after each.
#[task(name = "row")]
pub(crate) async fn row(
    ctx: &mut Context,
    count: usize,
    moments: State<Moments>,
) -> TaskResult<()> {
    for number in 0..count {
        ctx.step(format!("step {number}"), || async {
            Ok::<_, TaskError>(payload())
        })
        .await?;
        tell(&moments, number)?;
    }
    Ok(())
}

/// Tells when it begins.
#[task(name = "begin")]
pub(crate) async fn begin(
    _ctx: &mut Context,
    number: usize,
    moments: State<Moments>,
) -> TaskResult<()> {
    tell(&moments, number)
}

/// Tells when the event of its number has come.
#[task(name = "resume")]
pub(crate) async fn resume(
    ctx: &mut Context,
    number: usize,
    moments: State<Moments>,
) -> TaskResult<()> {
    let _: usize = ctx.await_event(event_of(number)).await?;
    tell(&moments, number)
}

/// The event that the task [`resume`] of a number waits for.
pub(crate) fn event_of(number: usize) -> String {
    format!("event {number}")
}

/// Waits for the one event of W10.
#[task(name = "parked")]
pub(crate) async fn parked(
    ctx: &mut Context,
    _number: usize,
    executed: State<Executed>,
) -> TaskResult<()> {
    let _: usize = ctx.await_event(GO).await?;
    executed.one_more();
    Ok(())
}

/// Takes so many steps, then tells and fails while it has attempts left.
#[task(name = "replay")]
pub(crate) async fn replay(
    ctx: &mut Context,
    order: ReplayOrder,
    moments: State<Moments>,
) -> TaskResult<()> {
    for number in 0..order.steps {
        ctx.step(format!("step {number}"), || async move {
            Ok::<_, TaskError>(number)
        })
        .await?;
    }
    let attempt = ctx.attempt();
    ctx.step("fresh", || async {
        let replays = usize::try_from(attempt)?.saturating_sub(1);
        tell(&moments, replays)?;
        if replays < order.replays {
            return Err(TaskError::msg("once more, to see another replay"));
        }
        Ok(())
    })
    .await
}

/// How many steps and replays.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReplayOrder {
    /// Steps to cache.
    pub(crate) steps: usize,
    /// How often they are replayed.
    pub(crate) replays: usize,
}

fn tell(moments: &Moments, number: usize) -> TaskResult<()> {
    let told = moments.send((number, Instant::now()));
    told.map_err(|_| TaskError::msg("nobody measures any more"))
}
