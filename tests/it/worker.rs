//! Workers: leases, cancellation, graceful stop, hooks.

use std::sync::{Arc, Mutex};

use absurd_sdk::{
    Client, Error, TaskId, TaskState,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::{Database, eventually};
use futures::FutureExt as _;
use sqlx::{Postgres, Transaction};
use tokio::sync::Notify;

use crate::support::{
    Counter, TestResult, attempts, end_leases, quick_worker, recorded, work_while,
};

/// Lets a test see that a step runs, and hold it there.
#[derive(Debug, Clone, Default)]
struct Gate(Arc<Doors>);

#[derive(Debug, Default)]
struct Doors {
    entered: Notify,
    leave: Notify,
    dropped: Counter,
}

/// Counts its own end, however that comes.
struct OnDrop(Gate);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.0.dropped.up();
    }
}

/// Counts a step, then stays in another one until the gate opens.
#[task(name = "gated")]
async fn gated(ctx: &mut Context, gate: State<Gate>, counter: State<Counter>) -> TaskResult<u32> {
    let (ran, held) = (counter.clone(), (*gate).clone());
    ctx.step("count", || async move { Ok::<_, TaskError>(ran.up()) })
        .await?;
    ctx.step("held", || async move {
        let _on_drop = OnDrop(held.clone());
        held.0.entered.notify_one();
        held.0.leave.notified().await;
        Ok::<_, TaskError>(())
    })
    .await?;
    Ok(counter.get())
}

#[tokio::test]
async fn a_stop_hands_work_back_without_spending_an_attempt() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let (gate, counter) = (Gate::default(), Counter::default());
    let handle = client.spawn(gated, ()).await?;
    let worker = || {
        let worker = quick_worker(client).task(gated);
        worker.state(gate.clone()).state(counter.clone())
    };
    let running = worker().start()?;
    gate.0.entered.notified().await;
    running.stop().await?;
    let expected = [(1, "pending".to_owned())];
    assert_eq!(attempts(client, handle.task_id()).await?, expected);
    assert_eq!(gate.0.dropped.get(), 1, "the step was dropped");
    gate.0.leave.notify_one();
    let result = handle.result();
    let result = work_while(worker(), async { result.await }).await??;
    assert_eq!(result, 1, "the first step was not repeated");
    let expected = [(1, "completed".to_owned())];
    assert_eq!(attempts(client, handle.task_id()).await?, expected);
    Ok(())
}

#[tokio::test]
async fn a_stop_lets_work_end_within_its_grace() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let (gate, counter) = (Gate::default(), Counter::default());
    let handle = client.spawn(gated, ()).await?;
    let worker = quick_worker(client).task(gated).shutdown_grace("60s");
    let running = worker.state(gate.clone()).state(counter).start()?;
    gate.0.entered.notified().await;
    let stopping = running.stop();
    gate.0.leave.notify_one();
    stopping.await?;
    assert_eq!(handle.result().await?, 1);
    Ok(())
}

#[tokio::test]
async fn cancelling_reaches_a_running_step() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let (gate, counter) = (Gate::default(), Counter::default());
    let handle = client.spawn(gated, ()).await?;
    let worker = quick_worker(client).task(gated).lease("1s");
    let running = worker.state(gate.clone()).state(counter).start()?;
    gate.0.entered.notified().await;
    client.cancel(handle.task_id()).await?;
    eventually("the step is dropped", async || gate.0.dropped.get() == 1).await?;
    running.stop().await?;
    let ended = handle.result().await;
    assert!(matches!(ended, Err(Error::TaskCancelled(_))), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_cannot_write() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let (gate, counter) = (Gate::default(), Counter::default());
    let handle = client.spawn(gated, ()).await?;
    // Deaf: who listens looks after its leases when it is connected, and would learn too early.
    let worker = || {
        let worker = quick_worker(client).task(gated).listen(false);
        worker.state(gate.clone()).state(counter.clone())
    };
    let late = worker().worker_id("late").lease("1h").start()?;
    gate.0.entered.notified().await;
    end_leases(client).await?;
    let second = worker().worker_id("second").start()?;
    gate.0.entered.notified().await;
    // Both are inside the step now. The late one goes on first, and is refused.
    gate.0.leave.notify_one();
    eventually("one has ended", async || gate.0.dropped.get() == 1).await?;
    late.stop().await?;
    gate.0.leave.notify_one();
    handle.result().await?;
    second.stop().await?;
    let runs = client.list_runs(handle.task_id()).await?;
    let ended: Vec<_> = runs
        .iter()
        .map(|run| (run.attempt, run.state, run.claimed_by.as_deref()))
        .collect();
    let expected = [
        (1, TaskState::Failed, Some("late")),
        (2, TaskState::Completed, Some("second")),
    ];
    assert_eq!(ended, expected);
    let held = client.list_checkpoints(handle.task_id(), None, 10).await?;
    let owner = held.iter().find(|kept| kept.checkpoint_name == "held");
    assert_eq!(
        owner.and_then(|kept| kept.owner_run_id),
        Some(runs[1].run_id)
    );
    Ok(())
}

#[tokio::test]
async fn leases_are_renewed_while_the_worker_lives() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let (gate, counter) = (Gate::default(), Counter::default());
    let handle = client.spawn(gated, ()).await?;
    let worker = quick_worker(client).task(gated).lease("1s");
    let running = worker.state(gate.clone()).state(counter).start()?;
    gate.0.entered.notified().await;
    let lease = async || -> TestResult<_> {
        let runs = client.list_runs(handle.task_id()).await?;
        Ok(runs[0].claim_expires_at)
    };
    let first = lease().await?;
    eventually("the lease has moved twice its length", async || {
        let now = lease().await.ok().flatten();
        now.zip(first)
            .is_some_and(|(now, first)| now.duration_since(first).as_secs() >= 2)
    })
    .await?;
    gate.0.leave.notify_one();
    assert_eq!(handle.result().await?, 1);
    running.stop().await?;
    assert_eq!(attempts(client, handle.task_id()).await?.len(), 1);
    Ok(())
}

/// Says in which run it is.
#[task(name = "whoami")]
async fn whoami(ctx: &mut Context, _unused: ()) -> TaskResult<bool> {
    let ambient = absurd_sdk::current_run().ok_or_else(|| TaskError::msg("no run"))?;
    Ok(ambient == *ctx.info() && ambient.headers.get("from") == Some(&"hook".into()))
}

#[tokio::test]
async fn hooks_see_every_spawn_and_every_execution() -> TestResult {
    let database = Database::start().await?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let client = Client::builder()
        .url(database.url())
        .before_spawn(|_, options| {
            options.headers.insert("from".into(), "hook".into());
        })
        .connect()
        .await?;
    let handle = client.spawn(whoami, ()).await?;
    let log = Arc::clone(&seen);
    let worker = quick_worker(&client).task(whoami);
    let worker = worker.wrap_execution(move |run, execution| {
        let (log, name) = (Arc::clone(&log), run.task_name.clone());
        async move {
            let result = execution.await;
            if let Ok(mut log) = log.lock() {
                log.push(name);
            }
            result
        }
        .boxed()
    });
    worker.run_until_idle().await?;
    assert!(handle.result().await?);
    assert_eq!(*seen.lock().map_err(|_| "poisoned")?, ["whoami"]);
    Ok(())
}

#[tokio::test]
async fn an_aborted_worker_leaves_its_work_to_the_next() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let (gate, counter) = (Gate::default(), Counter::default());
    let handle = client.spawn(gated, ()).await?;
    let worker = || {
        let worker = quick_worker(client).task(gated);
        worker.state(gate.clone()).state(counter.clone())
    };
    let crashed = worker().start()?;
    gate.0.entered.notified().await;
    crashed.abort();
    end_leases(client).await?;
    gate.0.leave.notify_one();
    let result = handle.result().timeout("60s");
    assert_eq!(work_while(worker(), async { result.await }).await??, 1);
    assert_eq!(attempts(client, handle.task_id()).await?.len(), 2);
    Ok(())
}

/// Holds up whoever writes a task's end, until it is rolled back.
async fn holding(client: &Client, task: TaskId) -> TestResult<Transaction<'static, Postgres>> {
    let mut holder = client.pool().begin().await?;
    sqlx::query("select from absurd.t_default where task_id = $1 for update")
        .bind(task.0)
        .execute(&mut *holder)
        .await?;
    Ok(holder)
}

#[tokio::test]
async fn the_next_task_begins_while_an_end_is_being_written() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let (gate, counter) = (Gate::default(), Counter::default());
    let first = client.spawn(gated, ()).await?;
    let second = client.spawn(gated, ()).await?;
    let worker = quick_worker(client).task(gated).concurrency(1);
    let worker = worker.state(gate.clone()).state(counter.clone());
    let worker = worker.build()?.start();
    gate.0.entered.notified().await;
    let holder = holding(client, first.task_id()).await?;
    gate.0.leave.notify_one();
    // It need not have written anything: that may share a batch with the end that is held up.
    eventually("the second one runs", async || counter.get() == 2).await?;
    holder.rollback().await?;
    gate.0.leave.notify_one();
    first.result().await?;
    second.result().await?;
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn an_end_that_is_on_its_way_is_not_renewed() -> TestResult {
    let database = Database::start().await?;
    let (client, recorder) = recorded(&database).await?;
    let (gate, counter) = (Gate::default(), Counter::default());
    let worker = quick_worker(&client).task(gated).concurrency(2);
    let worker = worker.state(gate.clone()).state(counter.clone()).start()?;
    let first = client.spawn(gated, ()).await?;
    gate.0.entered.notified().await;
    let second = client.spawn(gated, ()).await?;
    gate.0.entered.notified().await;
    let holder = holding(&client, first.task_id()).await?;
    recorder.take();
    gate.0.leave.notify_one();
    let ends = Mutex::new(Vec::new());
    eventually("the end of the first one is sent", async || {
        ends.lock().is_ok_and(|mut ends| {
            ends.extend(recorder.take());
            ends.contains(&"write_plain")
        })
    })
    .await?;
    // The worker looks after all of its leases now.
    client.cancel(second.task_id()).await?;
    eventually("the second one is dropped", async || {
        gate.0.dropped.get() == 2
    })
    .await?;
    holder.rollback().await?;
    first.result().await?;
    worker.stop().await?;
    let sent = recorder.take();
    let singly = sent.iter().filter(|sent| **sent == "write_runs").count();
    assert_eq!(singly, 1, "only the cancelled one's renewal: {sent:?}");
    Ok(())
}

#[tokio::test]
async fn a_claim_that_passed_by_while_somebody_began_to_await_the_task_comes_again() -> TestResult {
    let database = Database::start().await?;
    let (client, recorder) = recorded(&database).await?;
    let worker = quick_worker(&client).task(whoami).poll_interval("1h");
    let worker = worker.start()?;
    let sent = Mutex::new(Vec::new());
    eventually(
        "the worker is noted as idle and has looked once more",
        async || {
            sent.lock().is_ok_and(|mut sent| {
                sent.extend(recorder.take());
                sent.iter().filter(|sent| **sent == "claim_runs").count() >= 2
            })
        },
    )
    .await?;
    // What is left after such a claim: a due task, and nobody who looks.
    let mut connection = client.pool().acquire().await?;
    sqlx::raw_sql("set absurd.notify = off")
        .execute(&mut *connection)
        .await?;
    let handle = client.spawn(whoami, ()).on(&mut connection).await?;
    drop(connection.detach());
    handle.result().await?;
    worker.stop().await?;
    Ok(())
}

/// Keeps a connection of the pool until the gate opens.
#[task(name = "greedy")]
async fn greedy(ctx: &mut Context, gate: State<Gate>, client: State<Client>) -> TaskResult<()> {
    let (held, client) = ((*gate).clone(), (*client).clone());
    ctx.step("keep", || async move {
        let kept = client.pool().begin().await?;
        held.0.entered.notify_one();
        held.0.leave.notified().await;
        drop(kept);
        Ok::<_, TaskError>(())
    })
    .await?;
    Ok(())
}

#[task(name = "modest")]
async fn modest(ctx: &mut Context, number: u32) -> TaskResult<u32> {
    let double = ctx.step("double", || async move { Ok::<_, TaskError>(2 * number) });
    double.await
}

#[tokio::test]
async fn a_worker_writes_through_one_session_while_nothing_is_held_up() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let worker = quick_worker(client).task(modest).start()?;
    for number in 0..20 {
        let spawned = client.spawn(modest, number).await?;
        assert_eq!(spawned.result().await?, 2 * number);
    }
    let writers: i64 = sqlx::query_scalar(
        r#"select count(*) from pg_stat_activity
        where datname = current_database() and query ~ 'absurd\."f[wk]_default'"#,
    )
    .fetch_one(client.pool())
    .await?;
    worker.stop().await?;
    assert_eq!(writers, 1, "the pool would take turns between two");
    Ok(())
}

#[tokio::test]
async fn tasks_that_keep_the_pool_hold_nothing_up() -> TestResult {
    let database = Database::start().await?;
    let others = database.client();
    let small = Client::builder().url(database.url()).pool_size_max(1);
    let small = small.connect().await?;
    let gate = Gate::default();
    let worker = quick_worker(&small).task(greedy).task(modest);
    let worker = worker.state(gate.clone()).state(small.clone()).start()?;
    let kept = others.spawn(greedy, ()).await?;
    gate.0.entered.notified().await;
    let spawned = others.spawn(modest, 21).await?;
    assert_eq!(spawned.result().await?, 42, "while the pool is empty");
    gate.0.leave.notify_one();
    kept.result().await?;
    worker.stop().await?;
    Ok(())
}
