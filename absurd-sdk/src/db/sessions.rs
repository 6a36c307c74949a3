//! Sessions that a worker keeps from one call to the next.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{
    Connection as _, PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgPoolOptions,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// A connection that rested longer than this is pinged before it is used, so that a database
/// restart costs nobody an error and a busy pool no extra trips.
const PING_AFTER_REST: Duration = Duration::from_secs(1);

/// A kept session goes back to its pool after this time, which ends those that are too old.
const KEPT_FOR: Duration = Duration::from_mins(1);

/// Sessions that nobody else uses, the last used on top. A pool asks each connection that comes
/// back whether it is alive: a trip for every call, during which the next call opens another
/// connection, where all statements are to be planned anew.
#[derive(Debug)]
pub(super) struct KeptSessions {
    kept: Mutex<Vec<Session>>,
    /// As many as the pool has connections. Who waits, waits for one of these: the pool would not
    /// know of a session that is kept.
    turns: Arc<Semaphore>,
}

/// A connection of a pool.
#[derive(Debug)]
pub(super) struct Session {
    connection: PoolConnection<Postgres>,
    kept_since: Instant,
    rests_since: Instant,
    /// While it is used, and could be kept afterwards.
    turn: Option<OwnedSemaphorePermit>,
}

impl Session {
    /// One from the pool itself.
    pub(super) async fn of(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let connection = pool.acquire().await?;
        let now = Instant::now();
        Ok(Self {
            connection,
            kept_since: now,
            rests_since: now,
            turn: None,
        })
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    async fn is_alive(&mut self) -> bool {
        self.rests_since.elapsed() < PING_AFTER_REST || self.connection.ping().await.is_ok()
    }
}

impl KeptSessions {
    /// For a pool of so many connections.
    pub(super) fn new(connections: u32) -> Self {
        let turns = usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            kept: Mutex::default(),
            turns: Arc::new(Semaphore::new(turns)),
        }
    }

    /// The last used one that is alive, or one from the pool.
    pub(super) async fn take(&self, pool: &PgPool) -> Result<Session, sqlx::Error> {
        let session = timeout(pool.options().get_acquire_timeout(), self.next(pool));
        session.await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    async fn next(&self, pool: &PgPool) -> Result<Session, sqlx::Error> {
        // Nobody closes the semaphore.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        while let Some(mut session) = self.last_used() {
            if session.is_alive().await {
                return Ok(Session { turn, ..session });
            }
        }
        let session = Session::of(pool).await?;
        Ok(Session { turn, ..session })
    }

    /// Those that were kept for long go back to their pool.
    fn last_used(&self) -> Option<Session> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|session| session.kept_since.elapsed() < KEPT_FOR);
        kept.pop()
    }

    /// Keeps one whose call was answered.
    pub(super) fn keep(&self, mut session: Session) {
        let turn = session.turn.take();
        session.rests_since = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(session);
        drop(kept);
        // Whoever is next finds it.
        drop(turn);
    }
}

impl Drop for KeptSessions {
    /// Closes them here: to go back to the pool they would need a runtime.
    fn drop(&mut self) {
        let kept = self.kept.get_mut().unwrap_or_else(PoisonError::into_inner);
        for session in mem::take(kept) {
            drop(session.connection.detach());
        }
    }
}

/// A pool like another one, with at most so many connections of its own.
pub(super) fn pool_beside(pool: &PgPool, connections: u32) -> PgPool {
    let options = pool.options().clone();
    options
        .min_connections(0)
        .max_connections(connections)
        .connect_lazy_with((*pool.connect_options()).clone())
}

/// The pool options that the SDK's own pools have.
pub(crate) fn pool_options(size_max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(size_max)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for < PING_AFTER_REST {
                    return Ok(true);
                }
                Ok(connection.ping().await.is_ok())
            })
        })
}
