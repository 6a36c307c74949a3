//! Payloads that are compressed, in an object store, or encrypted: what is stored is another
//! thing, what is read is the same.

use std::{path::Path, sync::Arc};

use absurd_sdk::{
    Client, CodecError, Error, PayloadCodec, PayloadStorage, TaskId,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::Database;
use chacha20poly1305::{
    XChaCha20Poly1305,
    aead::{Aead as _, AeadCore as _, KeyInit as _, OsRng},
};
use object_store::local::LocalFileSystem;
use serde_json::{Value, json};

use crate::support::{Counter, TestResult, quick_worker};

/// Stands in every payload of these tests.
const MARKER: &str = "MARKER";

/// Rows of a measurement, as unlike each other as such rows are.
fn rows(count: u32) -> Vec<String> {
    let row = |n: u32| {
        let noise = n.wrapping_mul(2_654_435_761) >> 16;
        format!("{MARKER} antenna {} amplitude 0.{noise:05}", n % 110)
    };
    (0..count).map(row).collect()
}

/// Images what it is given.
#[task(name = "image")]
async fn image(_ctx: &mut Context, mut rows: Vec<String>) -> TaskResult<Vec<String>> {
    rows.reverse();
    Ok(rows)
}

/// Has a large value in every operation, and fails once after all of them.
#[task(name = "observe", max_attempts = 2)]
async fn observe(
    ctx: &mut Context,
    rows: Vec<String>,
    ran: State<Counter>,
) -> TaskResult<Vec<String>> {
    ctx.on_rollback(image, rows.clone()).await?;
    let stepped = ctx.step("step", || async {
        ran.up();
        Ok::<_, TaskError>(rows)
    });
    let stepped = stepped.await?;
    let kept = ctx.transaction("kept", async |_| Ok::<_, TaskError>(stepped));
    let kept = kept.await?;
    let raced = ctx.race(
        "raced",
        (
            |_: Context| async move { Ok(kept) },
            |_: Context| async move { std::future::pending().await },
        ),
    );
    let raced: Vec<String> = raced.await?;
    let child = ctx.spawn(image, raced).await?;
    let imaged = ctx.await_task(&child).await?;
    ctx.emit_event("imaged", &imaged).await?;
    let mut told: Vec<String> = ctx.await_event("imaged").await?;
    let [sky]: [Vec<String>; 1] = ctx
        .await_all_events(["sky"])
        .await?
        .try_into()
        .map_err(|_| TaskError::msg("one event, one payload"))?;
    if ctx.attempt() == 1 {
        return Err(TaskError::msg("after all operations"));
    }
    told.extend(sky);
    Ok(told)
}

/// The test's own user data in the shape of what is stored.
#[task(name = "disguised")]
async fn disguised(ctx: &mut Context, params: Value) -> TaskResult<Value> {
    ctx.step("same", || async { Ok::<_, TaskError>(params) })
        .await
}

async fn client(database: &Database, storage: Option<PayloadStorage>) -> TestResult<Client> {
    let builder = Client::builder().url(database.url());
    let builder = match storage {
        Some(storage) => builder.payloads(storage),
        None => builder,
    };
    Ok(builder.connect().await?)
}

/// Runs `observe` with `count` rows by this storage, and checks its result.
async fn observed(
    database: &Database,
    storage: Option<PayloadStorage>,
    count: u32,
) -> TestResult<(Client, TaskId)> {
    let client = client(database, storage).await?;
    let rows = rows(count);
    let handle = client.spawn(observe, rows.clone()).await?;
    let [also] = client.spawn_many(image, [rows.clone()]).await?[..] else {
        return Err("one task".into());
    };
    client.emit_event("sky", &rows).await?;
    let ran = Counter::default();
    let worker = quick_worker(&client).task(observe).task(image);
    worker.state(ran.clone()).run_until_idle().await?;
    assert_eq!(ran.get(), 1, "a replay finds the step's result");
    let mut expected: Vec<String> = rows.iter().rev().cloned().collect();
    let result: Vec<String> = client.result_of(also.task_id).await?;
    assert!(result == expected);
    expected.extend(rows);
    assert!(handle.result().await? == expected);
    Ok((client, handle.task_id()))
}

/// What all payloads of the queue take as text, and on disk.
async fn stored_bytes(client: &Client) -> TestResult<(i64, i64)> {
    let sql = "select sum(length(payload::text)), sum(pg_column_size(payload)) from (
        select state from absurd.c_default
        union all select params from absurd.t_default
        union all select completed_payload from absurd.t_default
        union all select payload from absurd.e_default) as stored (payload)";
    Ok(sqlx::query_as(sql).fetch_one(client.pool()).await?)
}

/// Tables in which the marker can be read, as text or behind base64.
async fn readable_in(client: &Client) -> TestResult<Vec<String>> {
    let tables = "select tablename::text from pg_tables where schemaname = 'absurd' order by 1";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(client.pool()).await?;
    let mut readable = Vec::new();
    for table in tables {
        let sql = format!(
            "select coalesce(bool_or(position($1 in text) > 0 or exists (
                select from regexp_matches(text, '\"data\": \"([A-Za-z0-9+/=]+)\"', 'g') data
                 where position($1::bytea in decode(data[1], 'base64')) > 0)), false)
               from (select to_jsonb(row)::text as text from absurd.{table} row) as rows"
        );
        let sql = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(MARKER);
        if sql.fetch_one(client.pool()).await? {
            readable.push(table);
        }
    }
    Ok(readable)
}

#[tokio::test]
async fn compressed_payloads_take_less_room_and_every_client_reads_them() -> TestResult {
    let (database, plain_database) = (Database::start().await?, Database::start().await?);
    let (plain, _) = observed(&plain_database, None, 1_000).await?;
    let storage = PayloadStorage::new().compress_above(1_000);
    let (compressed, task) = observed(&database, Some(storage), 1_000).await?;
    let ((plain, plain_disk), (text, disk)) = (
        stored_bytes(&plain).await?,
        stored_bytes(&compressed).await?,
    );
    assert!(text * 3 < plain, "{text} characters instead of {plain}");
    // PostgreSQL compresses large values too, and less well.
    assert!(
        disk * 5 / 4 < plain_disk,
        "{disk} bytes instead of {plain_disk}"
    );
    let knows_nothing = client(&database, None).await?;
    let result: Vec<String> = knows_nothing.result_of(task).await?;
    assert_eq!(result.len(), 2_000);
    Ok(())
}

fn in_folder(folder: &Path) -> TestResult<PayloadStorage> {
    let store = LocalFileSystem::new_with_prefix(folder)?;
    let storage = PayloadStorage::new().compress_above(usize::MAX);
    Ok(storage
        .object_store(Arc::new(store), "payloads")
        .offload_above(1_000))
}

#[tokio::test]
async fn large_payloads_lie_in_the_object_store() -> TestResult {
    let database = Database::start().await?;
    let folder = tempfile::tempdir()?;
    let (there, task) = observed(&database, Some(in_folder(folder.path())?), 500).await?;
    assert_eq!(readable_in(&there).await?, [""; 0]);
    assert!(stored_bytes(&there).await?.0 < 10_000, "only names");
    let objects: Vec<_> = std::fs::read_dir(folder.path().join("payloads"))?.collect();
    assert!(objects.len() >= 4, "{objects:?}");

    let elsewhere = client(&database, None)
        .await?
        .result_of::<Value>(task)
        .await;
    let refused = elsewhere.expect_err("no object store");
    assert!(
        refused.to_string().contains("object `payloads/"),
        "{refused}"
    );
    for object in objects {
        std::fs::write(object?.path(), "tampered")?;
    }
    let tampered = there.result_of::<Value>(task).await;
    let refused = tampered.expect_err("another hash");
    assert!(refused.to_string().contains("other bytes"), "{refused}");
    Ok(())
}

/// Encryption as a user would write it: a fresh nonce before each ciphertext.
struct Encrypted(XChaCha20Poly1305);

const NONCE_BYTES: usize = 24;

impl Encrypted {
    fn with(key: [u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(&key.into()))
    }
}

impl PayloadCodec for Encrypted {
    fn encode(&self, plain: Vec<u8>) -> Result<Vec<u8>, CodecError> {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let sealed = self.0.encrypt(&nonce, &*plain);
        let sealed = sealed.map_err(|_| "it is too long to be encrypted")?;
        Ok([&nonce[..], &sealed].concat())
    }

    fn decode(&self, stored: Vec<u8>) -> Result<Vec<u8>, CodecError> {
        let (nonce, sealed) = stored.split_at_checked(NONCE_BYTES).ok_or("too short")?;
        let opened = self.0.decrypt(nonce.into(), sealed);
        Ok(opened.map_err(|_| "it was encrypted with another key, or changed")?)
    }

    fn name(&self) -> &'static str {
        "xchacha20poly1305"
    }
}

#[tokio::test]
async fn nothing_is_readable_behind_a_codec() -> TestResult {
    let (database, plain_database) = (Database::start().await?, Database::start().await?);
    let (plain, _) = observed(&plain_database, None, 10).await?;
    let readable = readable_in(&plain).await?;
    for table in ["c_default", "e_default", "r_default", "t_default"] {
        assert!(readable.iter().any(|found| found == table), "{readable:?}");
    }
    let storage = || PayloadStorage::new().compress_above(usize::MAX);
    let encrypted = || storage().codec(Encrypted::with([7; 32]));
    let (client_with, task) = observed(&database, Some(encrypted()), 10).await?;
    assert_eq!(readable_in(&client_with).await?, [""; 0]);
    let folder = tempfile::tempdir()?;
    let both = in_folder(folder.path())?.codec(Encrypted::with([7; 32]));
    let other = Database::start().await?;
    let (both, _) = observed(&other, Some(both), 500).await?;
    assert_eq!(readable_in(&both).await?, [""; 0]);
    for object in std::fs::read_dir(folder.path().join("payloads"))? {
        let bytes = std::fs::read(object?.path())?;
        assert!(
            !bytes
                .windows(MARKER.len())
                .any(|some| some == MARKER.as_bytes())
        );
    }
    let wrong_key = storage().codec(Encrypted::with([8; 32]));
    for (storage, said) in [(None, "doesn't have"), (Some(wrong_key), "can't decode")] {
        let client = client(&database, storage).await?;
        let refused = client.result_of::<Value>(task).await;
        let refused = refused.expect_err("no such codec").to_string();
        assert!(refused.contains("`xchacha20poly1305`"), "{refused}");
        assert!(refused.contains(said), "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_without_the_codec_fails_the_task_for_good_and_quotes_nothing() -> TestResult {
    let database = Database::start().await?;
    let storage = PayloadStorage::new().codec(Encrypted::with([7; 32]));
    let with = client(&database, Some(storage)).await?;
    let without = client(&database, None).await?;
    let lost = with.spawn(image, rows(1)).await?;
    quick_worker(&without).task(image).run_until_idle().await?;
    let ended = lost.result().await;
    let Err(Error::TaskFailed { failure, .. }) = ended else {
        return Err(format!("not a failure: {ended:?}").into());
    };
    assert!(failure.message.contains("`xchacha20poly1305`"), "{failure}");
    assert_eq!(with.list_runs(lost.task_id()).await?.len(), 1, "terminal");

    // Params of another type than the task's: the message would quote them.
    let unfit = with.spawn_by_name("image", json!(MARKER)).await?;
    quick_worker(&with).task(image).run_until_idle().await?;
    let ended = unfit.result().await;
    let Err(Error::TaskFailed { failure, .. }) = ended else {
        return Err(format!("not a failure: {ended:?}").into());
    };
    assert!(failure.message.contains("kept secret"), "{failure}");
    assert_eq!(readable_in(&with).await?, [""; 0]);
    Ok(())
}

/// Has more steps than a claim brings checkpoints, and fails once after all of them.
#[task(name = "many", max_attempts = 2)]
async fn many(ctx: &mut Context, steps: u32, ran: State<Counter>) -> TaskResult<u32> {
    for _ in 0..steps {
        ctx.step("step", || async { Ok::<_, TaskError>(ran.up()) })
            .await?;
    }
    if ctx.attempt() == 1 {
        return Err(TaskError::msg("after all steps"));
    }
    Ok(ran.get())
}

#[tokio::test]
async fn checkpoints_that_come_later_are_opened_too() -> TestResult {
    let database = Database::start().await?;
    let storage = PayloadStorage::new().codec(Encrypted::with([7; 32]));
    let client = client(&database, Some(storage)).await?;
    let handle = client.spawn(many, 300).await?;
    let worker = quick_worker(&client).task(many).state(Counter::default());
    worker.run_until_idle().await?;
    assert_eq!(handle.result().await?, 300);
    Ok(())
}

#[tokio::test]
async fn data_that_looks_stored_is_data() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let params = json!({ "$absurd": { "encoding": ["json", "zstd"], "data": "bm8=" } });
    let handle = client.spawn(disguised, params.clone()).await?;
    quick_worker(client)
        .task(disguised)
        .run_until_idle()
        .await?;
    assert_eq!(handle.result().await?, params);
    Ok(())
}
