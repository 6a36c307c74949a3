//! The only place that talks to PostgreSQL (besides `migrate`): a pool, one path for
//! every call, and what the database at hand is able to do.

mod calls;
mod claims;
mod connect;
mod contract;
mod features;
mod listen;
mod manage;
mod queues;
mod read;
mod rows;
mod sessions;
mod spawns;
mod sqlstate;
mod statements;
mod timestamp;
mod transaction;
pub(crate) mod writes;

use std::{io, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use sqlx::{
    AssertSqlSafe, SqlSafeStr as _, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgRow},
};
use tokio::{sync::OnceCell, time::Instant};

pub use self::{connect::ConnectError, statements::ALL as STATEMENTS};
/// The driver's error, as the source of ours.
pub use sqlx::Error as DriverError;
pub(crate) use sqlx::{PgConnection, PgPool};

pub(crate) use self::{
    calls::Waited,
    claims::{Claim, NewEvent},
    connect::open,
    contract::needs_ours,
    features::Features,
    listen::{Listener, Topic},
    manage::Command,
    queues::{CleanupRow, PolicyRow},
    read::ReadModel,
    rows::{ClaimedRow, ResultRow, WriteRow},
    sessions::pool_options,
    spawns::{NewSpawn, NewTask, SpawnRow},
    sqlstate::SqlState,
    timestamp::Timestamptz,
    transaction::PgTransaction,
};
use self::{
    sessions::{KeptSessions, Session, pool_beside},
    statements::Statement,
};
use crate::{ids::QueueName, observe::StatementObserver};

/// How long a call that may be repeated goes on trying while the database is away.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(30);

/// What went wrong between us and the database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// The database refused the statement.
    #[error("the database refused `{statement}`: {message}")]
    Refused {
        /// The statement's name.
        statement: &'static str,
        /// The SQLSTATE, five characters.
        code: String,
        /// The database's words.
        message: String,
    },
    /// The database could not be reached, or the connection broke.
    #[error("the database can't be reached (statement `{statement}`)")]
    Unavailable {
        /// The statement's name.
        statement: &'static str,
        /// The driver's error.
        source: DriverError,
    },
    /// The answer was not what the statement promises.
    #[error("the database's answer to `{statement}` can't be read")]
    Answer {
        /// The statement's name.
        statement: &'static str,
        /// The driver's error.
        source: DriverError,
    },
}

impl DbError {
    fn new(statement: &'static str, error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(refusal) => {
                let code = refusal.code().unwrap_or_default().into_owned();
                if sqlstate::is_outage(&code) {
                    let source = sqlx::Error::Database(refusal);
                    return Self::Unavailable { statement, source };
                }
                Self::Refused {
                    statement,
                    code,
                    message: refusal.message().to_owned(),
                }
            }
            source @ (sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed) => Self::Unavailable { statement, source },
            source => Self::Answer { statement, source },
        }
    }

    /// The queue that a refusal says is not there, in words that the contract fixes.
    pub(crate) fn missing_queue(&self) -> Option<String> {
        let Self::Refused { message, .. } = self else {
            return None;
        };
        let named = message.strip_prefix("queue \"")?;
        let queue = named.strip_suffix("\" does not exist")?;
        Some(queue.to_owned())
    }

    /// The same error for one more of those whom it befell together.
    pub(crate) fn shared(error: &Arc<Self>) -> Self {
        let source = sqlx::Error::Io(io::Error::other(Arc::clone(error)));
        match &**error {
            Self::Refused {
                statement,
                code,
                message,
            } => Self::Refused {
                statement,
                code: code.clone(),
                message: message.clone(),
            },
            Self::Unavailable { statement, .. } => Self::Unavailable { statement, source },
            Self::Answer { statement, .. } => Self::Answer { statement, source },
        }
    }

    /// Nobody is there any more who could have sent the statement.
    pub(crate) fn given_up(statement: &'static str) -> Self {
        Self::Unavailable {
            statement,
            source: sqlx::Error::PoolClosed,
        }
    }

    /// The answer lacks a row that was promised.
    pub(crate) fn row_missing(statement: &'static str) -> Self {
        Self::Answer {
            statement,
            source: sqlx::Error::RowNotFound,
        }
    }

    pub(crate) fn state(&self) -> Option<SqlState> {
        match self {
            Self::Refused { code, .. } => Some(SqlState::from_code(code)),
            _ => None,
        }
    }

    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Whether a call may be sent a second time when nobody knows if the first arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    Safe,
    Unsafe,
}

/// A cheap handle to the database.
#[derive(Debug, Clone)]
pub(crate) struct Db {
    pool: PgPool,
    /// Where the pool is nobody else's.
    kept: Option<Arc<KeptSessions>>,
    observer: Option<Arc<dyn StatementObserver>>,
    features: Arc<OnceCell<Features>>,
}

/// The arguments of a statement, made anew for every sending.
macro_rules! args {
    () => {
        || Ok(sqlx::postgres::PgArguments::default())
    };
    ($($value:expr),+ $(,)?) => {
        || {
            let mut arguments = sqlx::postgres::PgArguments::default();
            $(sqlx::Arguments::add(&mut arguments, $value)?;)+
            Ok(arguments)
        }
    };
}
use args;

impl Db {
    pub(crate) fn new(pool: PgPool, observer: Option<Arc<dyn StatementObserver>>) -> Self {
        Self {
            pool,
            kept: None,
            observer,
            features: Arc::default(),
        }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The same database through connections of its own, at most so many: who uses them waits for
    /// nobody else's calls, and few sessions have to plan its statements.
    pub(crate) fn beside(&self, connections: u32) -> Self {
        Self {
            pool: pool_beside(&self.pool, connections),
            kept: Some(Arc::new(KeptSessions::new(connections))),
            ..self.clone()
        }
    }

    /// Sends one statement, on the caller's connection or on one of the pool.
    async fn call(
        &self,
        on: Option<&mut PgConnection>,
        statement: &'static Statement,
        repeat: Repeat,
        arguments: impl Fn() -> Result<PgArguments, BoxDynError> + Send,
    ) -> Result<Vec<PgRow>, DbError> {
        let sql = statement.sql.into_sql_str();
        self.call_sql(on, statement.name, sql, repeat, &arguments)
            .await
    }

    /// Sends one statement to a queue's own function, on a connection of the pool. A queue that
    /// somebody else has made gets its functions now.
    async fn call_own(
        &self,
        queue: &QueueName,
        statement: &'static Statement,
        arguments: impl Fn() -> Result<PgArguments, BoxDynError> + Send + Sync,
    ) -> Result<Vec<PgRow>, DbError> {
        let sql = AssertSqlSafe(statement.of_queue(queue)).into_sql_str();
        let send = || {
            self.call_sql(
                None,
                statement.name,
                sql.clone(),
                Repeat::Unsafe,
                &arguments,
            )
        };
        match send().await {
            Err(error) if error.state() == Some(SqlState::SchemaMissing) => {}
            answer => return answer,
        }
        let make = args![queue.as_str()];
        self.call(None, &statements::QUEUE_FUNCTION, Repeat::Safe, make)
            .await?;
        send().await
    }

    /// On the pool, a broken connection is replaced and the statement sent again where that
    /// can't do anything twice.
    async fn call_sql(
        &self,
        on: Option<&mut PgConnection>,
        name: &'static str,
        sql: SqlStr,
        repeat: Repeat,
        arguments: &(impl Fn() -> Result<PgArguments, BoxDynError> + Send),
    ) -> Result<Vec<PgRow>, DbError> {
        let arguments =
            || arguments().map_err(|error| DbError::new(name, sqlx::Error::Encode(error)));
        if let Some(connection) = on {
            return self.send(connection, name, sql, arguments()?).await;
        }
        let give_up = Instant::now() + OUTAGE_PATIENCE;
        let mut pauses = pauses();
        loop {
            let (error, was_sent) = match self.session().await {
                Err(error) => (DbError::new(name, error), false),
                Ok(mut session) => {
                    let (connection, sql) = (session.connection(), sql.clone());
                    match self.send(connection, name, sql, arguments()?).await {
                        Ok(rows) => {
                            self.keep(session);
                            return Ok(rows);
                        }
                        Err(error) => (error, true),
                    }
                }
            };
            let may_repeat = !was_sent || repeat == Repeat::Safe;
            let pause = pauses.next().unwrap_or_default();
            if !error.is_outage() || !may_repeat || Instant::now() + pause > give_up {
                return Err(error);
            }
            tracing::warn!(statement = name, %error, ?pause, "database away, trying again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn session(&self) -> Result<Session, sqlx::Error> {
        match &self.kept {
            Some(kept) => kept.take(&self.pool).await,
            None => Session::of(&self.pool).await,
        }
    }

    /// A session that isn't kept goes back to the pool.
    fn keep(&self, session: Session) {
        if let Some(kept) = &self.kept {
            kept.keep(session);
        }
    }

    async fn send(
        &self,
        connection: &mut PgConnection,
        name: &'static str,
        sql: SqlStr,
        arguments: PgArguments,
    ) -> Result<Vec<PgRow>, DbError> {
        if let Some(observer) = &self.observer {
            observer.before(name);
        }
        let answer = sqlx::query_with(sql, arguments).fetch_all(connection).await;
        if let Some(observer) = &self.observer {
            observer.after(name);
        }
        answer.map_err(|error| DbError::new(name, error))
    }
}

/// Growing pauses between tries, with jitter so that a fleet doesn't come back in step.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(2))
        .with_jitter()
        .without_max_times()
        .build()
}
