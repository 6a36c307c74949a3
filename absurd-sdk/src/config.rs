//! Where the database is and how to use it: arguments first, then the environment.

use std::{env, time::Duration};

/// URL of the database.
pub const ENV_DATABASE_URL: &str = "ABSURD_DATABASE_URL";
/// libpq's database name, also accepted as a URL.
pub const ENV_PGDATABASE: &str = "PGDATABASE";
/// Most connections of a client's pool.
pub const ENV_POOL_MAX_SIZE: &str = "ABSURD_POOL_MAX_SIZE";

/// The queue of a client that names none.
pub const QUEUE_DEFAULT: &str = "default";
/// Attempts of a task where neither spawn nor task nor client say otherwise.
pub const MAX_ATTEMPTS_DEFAULT: u32 = 5;
/// A lease's length: short, because it is renewed in the background while the worker lives.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(30);
/// How often a worker looks by itself, beside the notifications that wake it.
pub const POLL_INTERVAL_DEFAULT: Duration = Duration::from_secs(1);

const POOL_SIZE_DEFAULT: u32 = 10;
const URL_DEFAULT: &str = "postgresql://localhost/absurd";

/// The database's URL: `ABSURD_DATABASE_URL`, else `PGDATABASE`, else a local default.
/// An empty variable counts as unset.
pub fn database_url() -> String {
    url_from(variable(ENV_DATABASE_URL), variable(ENV_PGDATABASE))
}

/// Whether the environment says where the database is.
pub fn names_database() -> bool {
    variable(ENV_DATABASE_URL).is_some() || variable(ENV_PGDATABASE).is_some()
}

/// A bare database name becomes a URL on this host.
fn url_from(url: Option<String>, pgdatabase: Option<String>) -> String {
    match (url, pgdatabase) {
        (Some(url), _) => url,
        (None, Some(name)) if name.contains("://") => name,
        (None, Some(name)) => format!("postgresql://localhost/{name}"),
        (None, None) => URL_DEFAULT.to_owned(),
    }
}

/// Most connections of the pool; text that is no number is refused with a reason.
pub(crate) fn pool_size_max() -> Result<u32, String> {
    let Some(text) = variable(ENV_POOL_MAX_SIZE) else {
        return Ok(POOL_SIZE_DEFAULT);
    };
    match text.parse() {
        Ok(size) if size > 0 => Ok(size),
        _ => Err(format!(
            "{ENV_POOL_MAX_SIZE} is `{text}`; give a number from 1 on"
        )),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the SDK's one place that reads them"
)]
fn variable(name: &str) -> Option<String> {
    env::var(name)
        .ok()
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_goes_before_a_name_before_the_default() {
        let url = |url: Option<&str>, name: Option<&str>| {
            url_from(url.map(str::to_owned), name.map(str::to_owned))
        };
        assert_eq!(url(Some("postgresql://a/b"), Some("c")), "postgresql://a/b");
        assert_eq!(url(None, Some("c")), "postgresql://localhost/c");
        assert_eq!(url(None, Some("postgres://x/y")), "postgres://x/y");
        assert_eq!(url(None, None), URL_DEFAULT);
    }
}
