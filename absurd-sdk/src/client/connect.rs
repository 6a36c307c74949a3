//! From options to a connected client.

use std::sync::{Arc, OnceLock};

use super::{BeforeSpawn, Client, Shared, SpawnOptions, Spawner};
use crate::{
    config,
    db::{self, Db, PgPool},
    eager::Desks,
    error::Error,
    ids::QueueName,
    observe::StatementObserver,
    vault::{PayloadStorage, Vault},
};

/// Options for a [`Client`].
#[derive(Default)]
#[must_use]
pub struct ClientBuilder {
    url: Option<String>,
    pool: Option<PgPool>,
    pool_size_max: Option<u32>,
    queue: Option<String>,
    default_max_attempts: Option<u32>,
    before_spawn: Option<Box<BeforeSpawn>>,
    observer: Option<Arc<dyn StatementObserver>>,
    payloads: Option<PayloadStorage>,
}

impl ClientBuilder {
    /// The database, as `postgresql://user:password@host:port/name`. TLS by the URL's
    /// `sslmode`, `sslrootcert`, `sslcert` and `sslkey`. Without it the environment decides.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// A pool of the caller's, with the caller's options. It is never closed by the client.
    pub fn pool(mut self, pool: PgPool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Most connections of the client's own pool; else `ABSURD_POOL_MAX_SIZE`, else 10. A running
    /// worker has some of its own beside them: one to claim, and one, seldom up to eight, to write.
    pub fn pool_size_max(mut self, size: u32) -> Self {
        self.pool_size_max = Some(size);
        self
    }

    /// The queue; `default` where it is not set.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// Attempts of tasks that don't say it themselves; 5 where it is not set.
    pub fn default_max_attempts(mut self, attempts: u32) -> Self {
        self.default_max_attempts = Some(attempts);
        self
    }

    /// A function that sees the task's name and may change the options of every spawn,
    /// for example to add headers for tracing.
    pub fn before_spawn(
        mut self,
        hook: impl Fn(&str, &mut SpawnOptions) + Send + Sync + 'static,
    ) -> Self {
        self.before_spawn = Some(Box::new(hook));
        self
    }

    /// How payloads are stored: compressed, through a codec, in an object store. Plain JSON where
    /// it is not set. Compressed payloads are read in any case.
    pub fn payloads(mut self, storage: PayloadStorage) -> Self {
        self.payloads = Some(storage);
        self
    }

    /// Tells somebody of every statement; for tests.
    pub fn observer(mut self, observer: Arc<dyn StatementObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Checks the options and connects once, so that a wrong URL or password shows here.
    pub async fn connect(self) -> Result<Client, Error> {
        let queue = QueueName::new(self.queue.as_deref().unwrap_or(config::QUEUE_DEFAULT))?;
        let attempts = self
            .default_max_attempts
            .unwrap_or(config::MAX_ATTEMPTS_DEFAULT);
        if attempts == 0 {
            let problem = "a task needs at least one attempt".into();
            return Err(Error::Option {
                option: "default_max_attempts",
                problem,
            });
        }
        let vault = self
            .payloads
            .map_or_else(|| Ok(Vault::default()), Vault::new);
        let vault = vault.map_err(|problem| Error::Option {
            option: "payloads",
            problem: problem.into(),
        })?;
        let pool = match self.pool {
            Some(pool) => pool,
            None => own_pool(self.url, self.pool_size_max).await?,
        };
        let db = Db::new(pool, self.observer);
        let desks = Desks::default();
        let shared = Shared {
            spawner: Spawner::new(db.clone(), desks.clone()),
            desks,
            db,
            default_max_attempts: attempts,
            before_spawn: self.before_spawn,
            listener: OnceLock::new(),
            vault,
        };
        Ok(Client {
            shared: Arc::new(shared),
            queue,
        })
    }
}

async fn own_pool(url: Option<String>, size_max: Option<u32>) -> Result<PgPool, Error> {
    let url = url.unwrap_or_else(config::database_url);
    let size_max = match size_max {
        Some(size) => size,
        None => config::pool_size_max().map_err(|problem| Error::Option {
            option: config::ENV_POOL_MAX_SIZE,
            problem: problem.into(),
        })?,
    };
    Ok(db::open(&url, size_max).await?)
}
