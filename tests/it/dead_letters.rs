//! Dead letters: nothing that has failed for good is lost, and each can be dealt with.

use std::time::Duration;

use absurd_sdk::{
    Client, DeadLetter, DeadLetterFilter, DeadLetterState, Redrive, TaskFilter,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::Database;

use crate::support::{Counter, TestResult, quick_worker};

#[derive(Debug, thiserror::Error)]
#[error("the disk is full")]
struct DiskFull;

/// Fails in its second step until the disk has room.
#[task(name = "writer", max_attempts = 2)]
async fn writer(ctx: &mut Context, file: String, room: State<Counter>) -> TaskResult<String> {
    let read = ctx.step("read", || async { Ok::<_, DiskFull>(1) }).await?;
    let room = room.clone();
    ctx.step("write", || async move {
        if room.get() == 0 {
            return Err(DiskFull);
        }
        Ok(read)
    })
    .await?;
    Ok(file)
}

async fn letters(client: &Client) -> TestResult<Vec<DeadLetter>> {
    let filter = DeadLetterFilter::default();
    Ok(client.dead_letters(&filter, None, 100).await?)
}

/// A database with one task that has failed.
async fn failed() -> TestResult<(Database, Counter)> {
    let database = Database::start().await?;
    let room = Counter::default();
    let client = database.client();
    client.spawn(writer, "a".into()).await?;
    work(client, &room).await?;
    Ok((database, room))
}

async fn work(client: &Client, room: &Counter) -> TestResult<usize> {
    let worker = quick_worker(client).task(writer).state(room.clone());
    Ok(worker.run_until_idle().await?)
}

#[tokio::test]
async fn an_exhausted_task_leaves_a_letter_that_says_all() -> TestResult {
    let (database, _) = failed().await?;
    let letter = letters(database.client()).await?.remove(0);
    assert_eq!(letter.task_name, "writer");
    assert_eq!(letter.step.as_deref(), Some("write"));
    assert!(letter.error_type.ends_with("DiskFull"), "{letter:?}");
    assert_eq!(letter.message, "the disk is full");
    assert_eq!(letter.params, "a");
    assert_eq!(letter.state, DeadLetterState::Pending);
    let attempts: Vec<_> = letter
        .attempts
        .iter()
        .map(|failed| failed.attempt)
        .collect();
    assert_eq!(attempts, [1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_terminal_failure_leaves_one_at_once_and_a_cancelled_task_none() -> TestResult {
    #[task(name = "hopeless")]
    async fn hopeless(ctx: &mut Context) -> TaskResult<()> {
        let _ = ctx;
        Err(TaskError::terminal(TaskError::msg("no such field")))
    }
    let database = Database::start().await?;
    let client = database.client();
    client.spawn(hopeless, ()).await?;
    let other = client.spawn(hopeless, ()).delay("1h").await?;
    client.cancel(other.task_id()).await?;
    quick_worker(client).task(hopeless).run_until_idle().await?;
    let letters = letters(client).await?;
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].attempts.len(), &*letters[0].message),
        (1, "no such field")
    );
    Ok(())
}

#[tokio::test]
async fn a_retry_in_place_resolves_it_or_fails_it_again() -> TestResult {
    let (database, room) = failed().await?;
    let client = database.client();
    let letter = letters(client).await?.remove(0);
    let how = || Redrive::in_place().actor("ada").note("made room");
    let retried = client
        .retry_dead_letter(letter.dead_letter_id, how())
        .await?;
    assert_eq!(retried.task_id, letter.task_id);
    assert_eq!(letters(client).await?[0].state, DeadLetterState::Retrying);
    let twice = client.retry_dead_letter(letter.dead_letter_id, how()).await;
    assert!(twice.is_err(), "it is under way");
    work(client, &room).await?;
    let failed_again = letters(client).await?.remove(0);
    assert_eq!(failed_again.state, DeadLetterState::Failed);
    assert_eq!(failed_again.attempts.len(), 3);
    room.up();
    client
        .retry_dead_letter(letter.dead_letter_id, how())
        .await?;
    work(client, &room).await?;
    assert_eq!(letters(client).await?[0].state, DeadLetterState::Resolved);
    let audit = client.dead_letter_audit(letter.dead_letter_id).await?;
    assert_eq!(audit.len(), 2);
    assert_eq!(
        (&*audit[0].actor, &*audit[0].action),
        ("ada", "retry in_place")
    );
    assert_eq!(audit[0].note.as_deref(), Some("made room"));
    Ok(())
}

#[tokio::test]
async fn a_plain_retry_settles_the_letter_too() -> TestResult {
    let (database, room) = failed().await?;
    let client = database.client();
    room.up();
    let letter = letters(client).await?.remove(0);
    client.retry(letter.task_id).await?;
    work(client, &room).await?;
    assert_eq!(letters(client).await?[0].state, DeadLetterState::Resolved);
    Ok(())
}

#[tokio::test]
async fn a_retry_as_new_or_from_a_step_speaks_for_the_letter() -> TestResult {
    for (how, checkpoints) in [(Redrive::as_new(), 0), (Redrive::from_step("read"), 0)] {
        let (database, room) = failed().await?;
        let client = database.client();
        let letter = letters(client).await?.remove(0);
        let retried = client.retry_dead_letter(letter.dead_letter_id, how).await?;
        assert_ne!(retried.task_id, letter.task_id);
        let kept = client.list_checkpoints(retried.task_id, None, 9).await?;
        assert_eq!(kept.len(), checkpoints);
        work(client, &room).await?;
        let failed_again = letters(client).await?;
        assert_eq!(failed_again.len(), 1, "no letter of its own");
        assert_eq!(failed_again[0].state, DeadLetterState::Failed);
        assert_eq!(failed_again[0].retried_as, Some(retried.task_id));
        room.up();
        let again = Redrive::as_new();
        client
            .retry_dead_letter(letter.dead_letter_id, again)
            .await?;
        work(client, &room).await?;
        assert_eq!(letters(client).await?[0].state, DeadLetterState::Resolved);
    }
    Ok(())
}

#[tokio::test]
async fn many_are_retried_capped_and_one_after_the_other() -> TestResult {
    let database = Database::start().await?;
    let clock = database.clock("2026-05-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let room = Counter::default();
    client
        .spawn_many(writer, ["a", "b", "c", "d"].map(String::from))
        .await?;
    work(client, &room).await?;
    room.up();
    let filter = DeadLetterFilter {
        task_name: Some("writer".into()),
        step: Some("write".into()),
        ..DeadLetterFilter::default()
    };
    let how = Redrive::in_place().limit(3).stagger("1m");
    let retried = client.retry_dead_letters(&filter, how).await?;
    assert_eq!(retried.len(), 3);
    assert!(
        retried.iter().all(|letter| letter.refusal.is_none()),
        "{retried:?}"
    );
    for executed in [1, 1, 1, 0] {
        assert_eq!(work(client, &room).await?, executed);
        clock.advance(Duration::from_mins(1)).await?;
    }
    let resolved = DeadLetterFilter {
        state: Some(DeadLetterState::Resolved),
        ..DeadLetterFilter::default()
    };
    assert_eq!(client.dead_letters(&resolved, None, 9).await?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_letter_is_resolved_or_deleted_by_somebody() -> TestResult {
    let (database, _) = failed().await?;
    let client = database.client();
    let letter = letters(client).await?.remove(0).dead_letter_id;
    client
        .resolve_dead_letter(letter, "ada", Some("test data"))
        .await?;
    let resolved = letters(client).await?.remove(0);
    assert_eq!(resolved.state, DeadLetterState::Resolved);
    assert_eq!(resolved.note.as_deref(), Some("test data"));
    client.delete_dead_letter(letter, "bob", None).await?;
    assert!(letters(client).await?.is_empty());
    let audit = client.dead_letter_audit(letter).await?;
    let acts: Vec<_> = audit
        .iter()
        .map(|act| (&*act.actor, &*act.action))
        .collect();
    assert_eq!(acts, [("ada", "resolve"), ("bob", "delete")]);
    assert!(
        client
            .delete_dead_letter(letter, "bob", None)
            .await
            .is_err()
    );
    Ok(())
}

#[tokio::test]
async fn a_letter_outlives_its_task() -> TestResult {
    let (database, room) = failed().await?;
    let client = database.client();
    sqlx::query("select absurd.cleanup_tasks('default', 0)")
        .execute(client.pool())
        .await?;
    assert!(
        client
            .list_tasks(&TaskFilter::default(), None, 9)
            .await?
            .is_empty()
    );
    let letter = letters(client).await?.remove(0).dead_letter_id;
    let gone = client.retry_dead_letter(letter, Redrive::in_place()).await;
    assert!(gone.is_err());
    room.up();
    client.retry_dead_letter(letter, Redrive::as_new()).await?;
    work(client, &room).await?;
    assert_eq!(letters(client).await?[0].state, DeadLetterState::Resolved);
    Ok(())
}

#[tokio::test]
async fn a_failure_that_is_rolled_back_leaves_no_letter() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    client.spawn(writer, "a".into()).max_attempts(1).await?;
    let claim = "select run_id from absurd.claim_task('default', 'w', 30, 1)";
    let run: uuid::Uuid = sqlx::query_scalar(claim).fetch_one(client.pool()).await?;
    let mut tx = client.pool().begin().await?;
    sqlx::query("select absurd.fail_run('default', $1, '{\"name\": \"x\"}')")
        .bind(run)
        .execute(&mut *tx)
        .await?;
    tx.rollback().await?;
    assert!(letters(client).await?.is_empty());
    Ok(())
}
