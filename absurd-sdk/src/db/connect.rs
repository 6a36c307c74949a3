//! From a URL to a pool.

use sqlx::{
    Connection as _, PgPool,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgConnection},
};

use super::{DriverError, pool_options};

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL of the database can't be read. It may hold a password, so it isn't shown.
    #[error("the database URL can't be read; it looks like postgresql://user@host:5432/name")]
    Url(#[source] DriverError),
    /// The database can't be reached, or refuses to let us in.
    #[error("can't connect to the database at {address}; {hint}")]
    Refused {
        /// Host, port and database name.
        address: String,
        /// What to do.
        hint: &'static str,
        /// The driver's reason.
        source: DriverError,
    },
}

/// Connects once, so that a wrong URL or password shows here, then pools.
pub(crate) async fn open(url: &str, size_max: u32) -> Result<PgPool, ConnectError> {
    let options: PgConnectOptions = url.parse().map_err(ConnectError::Url)?;
    let options = options.application_name("absurd-sdk");
    let first = PgConnection::connect_with(&options)
        .await
        .map_err(|source| ConnectError::Refused {
            address: address(&options),
            hint: hint(&source),
            source,
        })?;
    // The check is done; whether the goodbye arrives doesn't matter.
    let _ = first.close().await;
    Ok(pool_options(size_max).connect_lazy_with(options))
}

/// Where we tried to connect to, without the password.
fn address(options: &PgConnectOptions) -> String {
    let database = options
        .get_database()
        .unwrap_or_else(|| options.get_username());
    format!("{}:{}/{database}", options.get_host(), options.get_port())
}

fn hint(error: &DriverError) -> &'static str {
    let code = error.as_database_error().and_then(DatabaseError::code);
    match code.as_deref() {
        Some("28P01" | "28000") => "check user and password",
        Some("3D000") => "create the database first, for example with `createdb`",
        Some("53300") => "the server has no connection left; lower the pools or raise the limit",
        Some("57P03") => "the server is starting up or shutting down; try again",
        _ => "check that the server runs and that host and port are right",
    }
}
