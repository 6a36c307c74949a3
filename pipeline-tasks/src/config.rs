//! The worker's settings, by the names that the operators' documents give them.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use thiserror::Error;

/// Settings of a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `ABSURD_DATABASE_URL`; the SDK's own default where it is absent. It may hold a password.
    pub database_url: Option<String>,
    /// `ABSURD_QUEUE_NAME`.
    pub queue: String,
    /// `ABSURD_WORKER_CONCURRENCY`: tasks at once.
    pub concurrency: usize,
    /// `ABSURD_WORKER_POLL_INTERVAL_SEC` or `ABSURD_WORKER_POLL_INTERVAL`.
    pub poll_interval: Duration,
    /// `ABSURD_TASK_TIMEOUT_SEC` or `ABSURD_TASK_TIMEOUT`: how long a program of the field may run.
    pub task_timeout: Duration,
    /// `ABSURD_MAX_RETRIES`: attempts of a task.
    pub max_attempts: u32,
    /// `PIPELINE_INPUT_DIR`: where the correlator's files arrive.
    pub input: PathBuf,
    /// `PIPELINE_OUTPUT_DIR`: where products go, and what is half-made.
    pub output: PathBuf,
    /// `PIPELINE_CATALOGUE`: the sources of the field, as CSV.
    pub catalogue: Option<PathBuf>,
    /// `PIPELINE_VLA_CALIBRATORS`: NRAO's list of calibrators.
    pub vla_calibrators: Option<PathBuf>,
}

/// A setting that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name} is `{value}`: {problem}")]
pub struct ConfigError {
    name: &'static str,
    value: String,
    problem: String,
}

/// All names that begin with `ABSURD_` and mean something to some part of the system.
const KNOWN: [&str; 22] = [
    "ABSURD_ENABLED",
    "ABSURD_DATABASE_URL",
    "ABSURD_QUEUE_NAME",
    "ABSURD_WORKER_CONCURRENCY",
    "ABSURD_WORKER_POLL_INTERVAL_SEC",
    "ABSURD_WORKER_POLL_INTERVAL",
    "ABSURD_TASK_TIMEOUT_SEC",
    "ABSURD_TASK_TIMEOUT",
    "ABSURD_MAX_RETRIES",
    "ABSURD_DLQ_ENABLED",
    "ABSURD_DLQ_QUEUE_NAME",
    "ABSURD_POOL_MAX_SIZE",
    "ABSURD_API_KEY",
    "ABSURD_TEST_DATABASE_URL",
    "ABSURD_TEST_KILL",
    "ABSURD_SCHEMAS",
    "ABSURD_INTEROP_VENV",
    "ABSURD_INTEROP_VENV_04",
    "ABSURD_INTEROP_NODE",
    "ABSURD_DENY_ADVISORIES",
    "ABSURD_LOG",
    "ABSURD_DEMO_FOLDER",
];

impl Config {
    /// Reads the environment, and warns of names that nobody knows: most are slips of the pen.
    pub fn from_env() -> Result<Self, ConfigError> {
        let variables: BTreeMap<String, String> = std::env::vars().collect();
        for name in unknown(&variables) {
            tracing::warn!(name, "unknown setting, it changes nothing; is it misspelt?");
        }
        Self::read(&variables)
    }

    fn read(variables: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let settings = Settings(variables);
        if settings.get("ABSURD_ENABLED").is_some_and(is_off) {
            return Err(ConfigError {
                name: "ABSURD_ENABLED",
                value: "false".into(),
                problem: "workers are switched off; set it to true, or remove it".into(),
            });
        }
        let path = |name| settings.get(name).map(PathBuf::from);
        let text = |name, default: &str| settings.get(name).unwrap_or(default).to_owned();
        Ok(Self {
            database_url: settings.get("ABSURD_DATABASE_URL").map(str::to_owned),
            queue: text("ABSURD_QUEUE_NAME", "dsa110-pipeline"),
            concurrency: settings.number("ABSURD_WORKER_CONCURRENCY", 4)?,
            poll_interval: settings.seconds(
                [
                    "ABSURD_WORKER_POLL_INTERVAL_SEC",
                    "ABSURD_WORKER_POLL_INTERVAL",
                ],
                1.0,
            )?,
            task_timeout: settings
                .seconds(["ABSURD_TASK_TIMEOUT_SEC", "ABSURD_TASK_TIMEOUT"], 3_600.0)?,
            max_attempts: settings.number("ABSURD_MAX_RETRIES", 3)?,
            input: text("PIPELINE_INPUT_DIR", "/data/incoming").into(),
            output: text("PIPELINE_OUTPUT_DIR", "/stage/dsa110-contimg").into(),
            catalogue: path("PIPELINE_CATALOGUE"),
            vla_calibrators: path("PIPELINE_VLA_CALIBRATORS"),
        })
    }
}

fn unknown(variables: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    let names = variables.keys().map(String::as_str);
    names.filter(|name| name.starts_with("ABSURD_") && !KNOWN.contains(name))
}

fn is_off(value: &str) -> bool {
    ["0", "false", "no", "off"].contains(&value.to_ascii_lowercase().as_str())
}

struct Settings<'v>(&'v BTreeMap<String, String>);

impl Settings<'_> {
    /// An empty variable counts as unset.
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    fn number<T: std::str::FromStr + Default + PartialOrd>(
        &self,
        name: &'static str,
        default: T,
    ) -> Result<T, ConfigError> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        let number = value.parse().ok().filter(|number| *number > T::default());
        number.ok_or_else(|| ConfigError {
            name,
            value: value.to_owned(),
            problem: "give a whole number from 1 on".into(),
        })
    }

    /// A time under either of its two names; under both only if they agree.
    fn seconds(
        &self,
        [name, short]: [&'static str; 2],
        default: f64,
    ) -> Result<Duration, ConfigError> {
        let refuse = |name, value: &str, problem: String| ConfigError {
            name,
            value: value.to_owned(),
            problem,
        };
        let (name, value) = match (self.get(name), self.get(short)) {
            (Some(long), Some(other)) if long != other => {
                let problem = format!("{short} says `{other}`; keep one of the two");
                return Err(refuse(name, long, problem));
            }
            (Some(value), _) => (name, value),
            (None, Some(value)) => (short, value),
            (None, None) => return Ok(Duration::from_secs_f64(default)),
        };
        let seconds = value.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
        let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let problem = "give seconds as a number above 0";
        duration.ok_or_else(|| refuse(name, value, problem.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::read(&pairs.collect())
    }

    #[test]
    fn both_spellings_of_a_time_are_read() -> Result<(), ConfigError> {
        for name in [
            "ABSURD_WORKER_POLL_INTERVAL_SEC",
            "ABSURD_WORKER_POLL_INTERVAL",
        ] {
            assert_eq!(
                read(&[(name, "0.5")])?.poll_interval,
                Duration::from_millis(500)
            );
        }
        assert_eq!(
            read(&[("ABSURD_TASK_TIMEOUT", "7200")])?
                .task_timeout
                .as_secs(),
            7_200
        );
        assert_eq!(read(&[])?.queue, "dsa110-pipeline");
        Ok(())
    }

    #[test]
    fn what_cannot_be_used_says_how_to_mend_it() {
        let message = |pairs: &[_]| read(pairs).err().map(|e| e.to_string()).unwrap_or_default();
        let none = message(&[("ABSURD_WORKER_CONCURRENCY", "0")]);
        assert!(none.contains("from 1 on"), "{none}");
        let both = message(&[
            ("ABSURD_TASK_TIMEOUT_SEC", "1"),
            ("ABSURD_TASK_TIMEOUT", "2"),
        ]);
        assert!(both.contains("keep one of the two"), "{both}");
        let off = message(&[("ABSURD_ENABLED", "False")]);
        assert!(off.contains("switched off"), "{off}");
    }

    #[test]
    fn unknown_names_are_noticed() {
        let names = ["ABSURD_QUEUE", "ABSURD_QUEUE_NAME", "PATH"];
        let variables = names.map(|name| (name.to_owned(), String::new())).into();
        assert_eq!(unknown(&variables).collect::<Vec<_>>(), ["ABSURD_QUEUE"]);
    }
}
