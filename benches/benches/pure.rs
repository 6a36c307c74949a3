//! What runs in our process for each claim, step and payload, timed by Criterion.
//!
//! Each piece of work is done once before it is timed, so that no error is timed as if it were
//! the work.

use std::{hint::black_box, time::Duration};

use absurd_sdk::{CronPattern, PayloadStorage, TaskResult, prelude::*, pure};
use benches::{Claim, fresh_steps, payload, ready, step_name};
use criterion::{BatchSize, Criterion, Throughput};
use serde_json::{Value, json};

/// Steps of the task that is replayed.
const STEPS: usize = 1000;
/// Writes of one batch.
const WRITES: usize = 256;

fn main() -> TaskResult<()> {
    let mut criterion = Criterion::default().configure_from_args();
    steps(&mut criterion)?;
    names(&mut criterion)?;
    writes(&mut criterion)?;
    values(&mut criterion)?;
    storage(&mut criterion)?;
    times(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// The function of a task, with all of its steps cached and with none.
fn steps(criterion: &mut Criterion) -> TaskResult<()> {
    let claim = Claim::of(STEPS)?;
    check(claim.replay()? == STEPS && fresh_steps(STEPS)? == STEPS)?;
    let mut group = criterion.benchmark_group("steps");
    group.throughput(Throughput::Elements(STEPS as u64));
    group.bench_function("replay 1,000", |timer| timer.iter(|| claim.replay()));
    group.bench_function("take 1,000", |timer| timer.iter(|| fresh_steps(STEPS)));
    group.finish();
    Ok(())
}

/// Concrete names of operations whose names come twice.
fn names(criterion: &mut Criterion) -> TaskResult<()> {
    let bases: Vec<String> = (0..STEPS).map(|number| step_name(number / 2)).collect();
    let all = || {
        let mut names = pure::Names::default();
        let entered = bases.iter().map(|base| names.enter(base));
        entered.collect::<Result<Vec<String>, _>>()
    };
    check(all()?.last().is_some_and(|name| name.ends_with("#2")))?;
    let mut group = criterion.benchmark_group("names");
    group.throughput(Throughput::Elements(STEPS as u64));
    group.bench_function("enter 1,000", |timer| timer.iter(all));
    group.finish();
    Ok(())
}

/// A batch of the writer, from its orders to their answers.
fn writes(criterion: &mut Criterion) -> TaskResult<()> {
    let state = payload();
    check(pure::batch(WRITES, &state)? == WRITES)?;
    let mut group = criterion.benchmark_group("writes");
    group.throughput(Throughput::Elements(WRITES as u64));
    group.bench_function("batch of 256", |timer| {
        timer.iter(|| pure::batch(WRITES, &state));
    });
    group.finish();
    Ok(())
}

/// A step's result that is no mere text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Measured {
    group: String,
    channels: Vec<f64>,
    flagged: Option<u32>,
}

/// Values to JSON and back.
fn values(criterion: &mut Criterion) -> TaskResult<()> {
    let value = Measured {
        group: "2026-01-25T22:26:05".to_owned(),
        channels: (0..16).map(|channel| f64::from(channel) * 1.5).collect(),
        flagged: None,
    };
    let json = pure::encoded(&value)?;
    check(pure::decoded::<Measured>(&json)? == value)?;
    let mut group = criterion.benchmark_group("values");
    group.bench_function("encode", |timer| {
        timer.iter(|| pure::encoded(black_box(&value)));
    });
    group.bench_function("decode", |timer| {
        timer.iter(|| pure::decoded::<Measured>(black_box(&json)));
    });
    group.finish();
    Ok(())
}

/// Payloads through a client's storage: short ones, which stay as they are, and a long one that
/// is compressed.
fn storage(criterion: &mut Criterion) -> TaskResult<()> {
    let storage = pure::Storage::new(PayloadStorage::new()).map_err(TaskError::msg)?;
    let seal = |plain: Value| ready(async { Ok(storage.seal(plain).await?) });
    let open = |stored: Value| ready(async { Ok(storage.open(stored).await?) });
    // About 200 kB of text that shrinks as JSON of measurements does.
    let long = json!(
        (0..20_000)
            .map(|n| n * 37 % 1000)
            .collect::<Vec<u32>>()
            .repeat(3)
    );
    let sealed = seal(long.clone())?;
    check(sealed != long && open(sealed.clone())? == long)?;
    let mut group = criterion.benchmark_group("storage");
    let mut timed = |name: &str, given: &Value, work: &dyn Fn(Value) -> TaskResult<Value>| {
        group.bench_function(name, |timer| {
            timer.iter_batched(|| given.clone(), work, BatchSize::LargeInput);
        });
    };
    timed("seal 100 bytes", &payload(), &seal);
    timed("compress 200 kB", &long, &seal);
    timed("decompress 200 kB", &sealed, &open);
    group.finish();
    Ok(())
}

/// Pauses between tries, and ticks of a schedule.
fn times(criterion: &mut Criterion) -> TaskResult<()> {
    let policy = RetryPolicy::exponential(Duration::from_secs(1));
    let start = "2026-01-25T22:26:05Z".parse()?;
    let every_night = CronPattern::new("30 3 * * *", "America/Los_Angeles")?;
    check(every_night.next_after(start).is_some())?;
    let mut group = criterion.benchmark_group("times");
    group.bench_function("pause after the fifth failure", |timer| {
        timer.iter(|| pure::pause(black_box(policy), black_box(5)));
    });
    group.bench_function("next tick of a pattern", |timer| {
        timer.iter(|| every_night.next_after(black_box(start)));
    });
    group.finish();
    Ok(())
}

/// Refuses to time work that doesn't do what it should.
fn check(holds: bool) -> TaskResult<()> {
    if holds {
        return Ok(());
    }
    Err(TaskError::msg("the work to be timed does something else"))
}
