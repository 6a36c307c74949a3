//! The database of one peer, one workload and one round: made, filled where the peer is absurd,
//! cleaned like the others before the clock starts, and counted afterwards.

use std::path::PathBuf;

use tokio::process::Command;

use super::{
    list::{Checks, Peer, Schema},
    order::{Order, Workload},
    program,
};
use crate::{
    error::Result,
    server::{Arena, Server},
};

/// The contract's own function, which both schemas have. In a list of columns it is called for
/// each row, whatever its arguments.
const FILL: &str = "select count(*) from (
    select absurd.spawn_task('default', '{name}', to_jsonb({params}), '{}')
    from generate_series(0, {last}) n) spawned";

/// Makes the database, with tasks in it where the schema is absurd's and they are to be drained.
pub(super) async fn prepare(server: &Server, peer: &Peer, order: &Order) -> Result<Arena> {
    let arena = match peer.schema {
        Schema::Ours => server.arena().await?,
        Schema::Own => return server.blank_arena().await,
        Schema::Upstream => {
            let arena = server.blank_arena().await?;
            absurdctl(&arena, &["init"]).await?;
            absurdctl(&arena, &["create-queue", "default"]).await?;
            arena
        }
    };
    if let Some((name, params)) = match order.workload {
        Workload::W3 => Some(("nothing", "n".to_owned())),
        Workload::W4 => Some(("steps", order.steps.to_string())),
        _ => None,
    } {
        let last = order.tasks.saturating_sub(1).to_string();
        let fill = FILL
            .replace("{name}", name)
            .replace("{params}", &params)
            .replace("{last}", &last);
        arena.execute(fill).await?;
        if let Some(checks) = &peer.checks {
            expect(&arena, "filled in", checks.queued, order.tasks).await?;
        }
    }
    Ok(arena)
}

async fn absurdctl(arena: &Arena, words: &[&str]) -> Result {
    let path: PathBuf = program::tools().join("python/bin/absurdctl");
    let done = Command::new(&path)
        .args(words)
        .args(["--database", arena.url()])
        .output()
        .await
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(format!("absurdctl {words:?}: {said}").into())
}

/// Brings all peers to the same beginning: no dead rows, statistics of today, a checkpoint.
pub(super) async fn settle(server: &Server, arena: &Arena) -> Result {
    arena.execute("vacuum (analyze)".to_owned()).await?;
    server.alter("checkpoint").await
}

/// Counts what the peer left in the database.
pub(super) async fn check(arena: &Arena, checks: &Checks, order: &Order) -> Result {
    match order.workload {
        Workload::W1 | Workload::W2 => expect(arena, "spawned", checks.queued, order.tasks).await,
        Workload::W3 | Workload::W4 => {
            expect(arena, "unfinished", checks.unfinished, 0).await?;
            if let Some(finished) = checks.finished {
                expect(arena, "finished", finished, order.tasks).await?;
            }
            match checks.steps {
                Some(steps) if order.workload == Workload::W4 => {
                    expect(arena, "steps", steps, order.tasks * order.steps).await
                }
                _ => Ok(()),
            }
        }
        Workload::W5 | Workload::W6 | Workload::W7 => Ok(()),
    }
}

async fn expect(arena: &Arena, what: &str, sql: &'static str, expected: usize) -> Result {
    let found = arena.count(sql).await?;
    if usize::try_from(found)? == expected {
        return Ok(());
    }
    Err(format!("{what}: the database has {found} of them instead of {expected}").into())
}
