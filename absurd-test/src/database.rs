//! A database for one test.

use std::{
    env,
    sync::{Arc, mpsc},
    time::Duration,
};

use absurd_sdk::{Client, migrate};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use crate::{
    clock::Clock,
    error::TestError,
    server::{Postgres, blocking},
    shared::Shared,
};

/// Key of the advisory lock under which the template is made.
const TEMPLATE_LOCK: i64 = 0x7465_6d70;

/// How long a test's end waits for its database to be dropped.
const DROP_PATIENCE: Duration = Duration::from_secs(2);

/// A database with the schema and a queue named `default`, dropped with its handle.
#[derive(Debug)]
pub struct Database {
    url: String,
    admin_url: String,
    name: String,
    client: Option<Client>,
    /// Keeps the shared server running.
    _shared: Option<Arc<Shared>>,
}

impl Database {
    /// A database on the shared server.
    pub async fn start() -> Result<Self, TestError> {
        let (admin_url, shared) = shared_server().await?;
        Self::create(admin_url, shared, true).await
    }

    /// A database without the schema, on the shared server. It has no client yet.
    pub async fn empty() -> Result<Self, TestError> {
        let (admin_url, shared) = shared_server().await?;
        Self::create(admin_url, shared, false).await
    }

    /// A database on a server of the test's own.
    pub async fn on(server: &Postgres) -> Result<Self, TestError> {
        Self::create(server.url("postgres"), None, true).await
    }

    /// A database without the schema, on a server of the test's own. It has no client yet.
    pub async fn empty_on(server: &Postgres) -> Result<Self, TestError> {
        Self::create(server.url("postgres"), None, false).await
    }

    /// The URL, with the password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client of the queue `default`.
    ///
    /// # Panics
    ///
    /// On a database made by [`Database::empty`] or [`Database::empty_on`].
    pub fn client(&self) -> &Client {
        #[expect(
            clippy::expect_used,
            reason = "a mistake in a test, which is to fail loudly"
        )]
        self.client
            .as_ref()
            .expect("an empty database has no client; connect one")
    }

    /// Stops the engine's clock at a time; it is moved by hand from then on.
    pub async fn clock(&self, at: Timestamp) -> Result<Clock, TestError> {
        Clock::stop_at(self.client().clone(), at).await
    }

    async fn create(
        admin_url: String,
        shared: Option<Arc<Shared>>,
        with_schema: bool,
    ) -> Result<Self, TestError> {
        let mut admin = PgConnection::connect(&admin_url).await?;
        let name = format!("test_{}", Uuid::new_v4().simple());
        let template = if with_schema {
            template(&mut admin, &admin_url).await?
        } else {
            "template0".to_owned()
        };
        execute(
            &mut admin,
            &format!("create database {name} template {template}"),
        )
        .await?;
        admin.close().await?;
        let url = in_database(&admin_url, &name);
        let client = if with_schema {
            Some(Client::connect(&url).await?)
        } else {
            None
        };
        Ok(Self {
            url,
            admin_url,
            name,
            client,
            _shared: shared,
        })
    }
}

impl Drop for Database {
    /// Drops the database from a thread of its own, for this may be inside a runtime. It waits
    /// for that a moment only: PostgreSQL in turn waits for connections that are just being
    /// made, and those may need the thread that is dropping this. What stays goes with the
    /// shared server's folder, which every run makes anew.
    fn drop(&mut self) {
        let drop = format!("drop database if exists {} with (force)", self.name);
        let url = std::mem::take(&mut self.admin_url);
        let (done, dropped) = mpsc::channel();
        std::thread::spawn(move || {
            // Nobody could do anything about an error here.
            let _ = drop_database(&url, drop);
            let _ = done.send(());
        });
        let _ = dropped.recv_timeout(DROP_PATIENCE);
    }
}

fn drop_database(url: &str, drop: String) -> Result<(), TestError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(TestError::file("the runtime"))?;
    runtime.block_on(async {
        let mut admin = PgConnection::connect(url).await?;
        admin.execute(AssertSqlSafe(drop)).await?;
        Ok(admin.close().await?)
    })
}

/// The server's URL, and what keeps it running.
#[expect(
    clippy::disallowed_methods,
    reason = "the variable is the test kit's own setting"
)]
async fn shared_server() -> Result<(String, Option<Arc<Shared>>), TestError> {
    if let Ok(url) = env::var("ABSURD_TEST_DATABASE_URL") {
        return Ok((url, None));
    }
    let shared = blocking(Shared::join).await?;
    Ok((shared.place.url("postgres"), Some(Arc::new(shared))))
}

/// The same server's URL with another database.
fn in_database(url: &str, name: &str) -> String {
    let (address, query) = url
        .split_once('?')
        .map_or((url, ""), |(url, query)| (url, query));
    let server = address
        .rsplit_once('/')
        .map_or(address, |(server, _)| server);
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{server}/{name}{mark}{query}")
}

/// The name of the template for this very schema, made where it is missing.
async fn template(admin: &mut PgConnection, admin_url: &str) -> Result<String, TestError> {
    let fingerprint = migrate::fingerprint();
    let name = format!("absurd_template_{}", &fingerprint[..16]);
    execute(admin, &format!("select pg_advisory_lock({TEMPLATE_LOCK})")).await?;
    let ready = "select exists (select from pg_database where datname = $1 and datistemplate)";
    let ready: bool = sqlx::query_scalar(ready)
        .bind(&name)
        .fetch_one(&mut *admin)
        .await?;
    if !ready {
        // Half-made by a process that died.
        execute(
            admin,
            &format!("drop database if exists {name} with (force)"),
        )
        .await?;
        execute(admin, &format!("create database {name} template template0")).await?;
        let client = Client::connect(in_database(admin_url, &name)).await?;
        client.migrate().await?;
        client.create_queue().await?;
        client.pool().close().await;
        execute(admin, &format!("alter database {name} is_template true")).await?;
    }
    execute(
        admin,
        &format!("select pg_advisory_unlock({TEMPLATE_LOCK})"),
    )
    .await?;
    Ok(name)
}

/// Names come from this file, not from anybody's input.
async fn execute(connection: &mut PgConnection, sql: &str) -> Result<(), TestError> {
    connection.execute(AssertSqlSafe(sql.to_owned())).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_of_a_url_changes() {
        let url = "postgresql://u:p@h:5/postgres?sslmode=disable";
        assert_eq!(
            in_database(url, "x"),
            "postgresql://u:p@h:5/x?sslmode=disable"
        );
        assert_eq!(in_database("postgresql://h/a", "x"), "postgresql://h/x");
    }
}
