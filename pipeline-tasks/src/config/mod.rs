//! The worker's settings, by the names that the operators' documents give them: from the
//! environment, and from a TOML file below it.

mod error;
mod keys;

mod layers;
mod stage_queues;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use absurd_sdk::QueueName;

pub use error::ConfigError;

use keys::{
    CATALOGUE, CONCURRENCY, DATABASE_URL, ENABLED, INPUT_DIR, MAX_RETRIES, MOSAIC_SCHEDULE,
    MOSAIC_WAIT, OUTPUT_DIR, POLL_INTERVAL, QUEUE_NAME, STAGE_QUEUES, TASK_TIMEOUT,
    VLA_CALIBRATORS,
};
use layers::{FILE, Layers};

use crate::model::Stage;

/// Settings of a worker.
#[derive(Clone, PartialEq)]
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
    /// `PIPELINE_MOSAIC_SCHEDULE`: when windows of groups become mosaics; never where it is absent.
    pub mosaic_schedule: Option<String>,
    /// `PIPELINE_MOSAIC_WAIT_SEC`: how long windows that lack groups wait for them.
    pub mosaic_wait: Duration,
    /// `PIPELINE_STAGE_QUEUES`: stages that workflows leave to workers of other queues.
    pub stage_queues: BTreeMap<Stage, QueueName>,
}

impl Config {
    /// Reads the environment, and the file that `PIPELINE_CONFIG` names, or
    /// `/etc/dsa110/pipeline.toml` where it is there. Variables that nobody knows are warned of:
    /// most are slips of the pen.
    pub fn from_env() -> Result<Self, ConfigError> {
        let layers = Layers::read(std::env::vars_os(), Path::new(FILE))?;
        for warning in layers.warnings() {
            tracing::warn!("{warning}");
        }
        Self::read(&layers)
    }

    fn read(layers: &Layers) -> Result<Self, ConfigError> {
        if !layers.is_on(ENABLED)? {
            return Err(ConfigError::Place {
                place: "ABSURD_ENABLED is off".to_owned(),
                problem: "workers are switched off; set it to true, or remove it".to_owned(),
            });
        }
        let path = |key| Ok(layers.text(key)?.map(PathBuf::from));
        Ok(Self {
            database_url: layers.text(DATABASE_URL)?,
            queue: layers.text_or_default(QUEUE_NAME)?,
            concurrency: layers.number(CONCURRENCY)?,
            poll_interval: layers.seconds(POLL_INTERVAL)?,
            task_timeout: layers.seconds(TASK_TIMEOUT)?,
            max_attempts: layers.number(MAX_RETRIES)?,
            input: layers.text_or_default(INPUT_DIR)?.into(),
            output: layers.text_or_default(OUTPUT_DIR)?.into(),
            catalogue: path(CATALOGUE)?,
            vla_calibrators: path(VLA_CALIBRATORS)?,
            mosaic_schedule: layers.text(MOSAIC_SCHEDULE)?,
            mosaic_wait: layers.seconds(MOSAIC_WAIT)?,
            stage_queues: layers
                .understood(STAGE_QUEUES, stage_queues::parse)?
                .unwrap_or_default(),
        })
    }
}

impl fmt::Debug for Config {
    /// All but the database's URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            database_url,
            queue,
            concurrency,
            poll_interval,
            task_timeout,
            max_attempts,
            input,
            output,
            catalogue,
            vla_calibrators,
            mosaic_schedule,
            mosaic_wait,
            stage_queues,
        } = self;
        f.debug_struct("Config")
            .field("database_url", &database_url.as_ref().map(|_| "hidden"))
            .field("queue", queue)
            .field("concurrency", concurrency)
            .field("poll_interval", poll_interval)
            .field("task_timeout", task_timeout)
            .field("max_attempts", max_attempts)
            .field("input", input)
            .field("output", output)
            .field("catalogue", catalogue)
            .field("vla_calibrators", vla_calibrators)
            .field("mosaic_schedule", mosaic_schedule)
            .field("mosaic_wait", mosaic_wait)
            .field("stage_queues", stage_queues)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        Config::read(&Layers::read(pairs, Path::new("/none"))?)
    }

    #[test]
    fn both_spellings_of_a_time_are_read() -> Result<(), ConfigError> {
        for name in [
            "ABSURD_WORKER_POLL_INTERVAL_SEC",
            "ABSURD_WORKER_POLL_INTERVAL",
        ] {
            let interval = read(&[(name, "0.5")])?.poll_interval;
            assert_eq!(interval, Duration::from_millis(500));
        }
        let timeout = read(&[("ABSURD_TASK_TIMEOUT", "7200")])?.task_timeout;
        assert_eq!(timeout.as_secs(), 7_200);
        Ok(())
    }

    #[test]
    fn without_settings_the_defaults_hold() -> Result<(), ConfigError> {
        let expected = Config {
            database_url: None,
            queue: "dsa110-pipeline".into(),
            concurrency: 4,
            poll_interval: Duration::from_secs(1),
            task_timeout: Duration::from_hours(1),
            max_attempts: 3,
            input: "/data/incoming".into(),
            output: "/stage/dsa110-contimg".into(),
            catalogue: None,
            vla_calibrators: None,
            mosaic_schedule: None,
            mosaic_wait: Duration::from_hours(6),
            stage_queues: BTreeMap::new(),
        };
        assert_eq!(read(&[])?, expected);
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
    fn passwords_are_not_shown() -> Result<(), ConfigError> {
        let config = read(&[("ABSURD_DATABASE_URL", "postgresql://u:secret@h/d")])?;
        assert_eq!(
            config.database_url.as_deref(),
            Some("postgresql://u:secret@h/d")
        );
        let shown = format!("{config:?}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("dsa110-pipeline"), "{shown}");
        Ok(())
    }
}
