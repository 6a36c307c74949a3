//! What may be said of a spawn besides name and params, and its wire form.

use std::{borrow::Cow, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    error::Error,
    ids::{QueueName, TaskName},
    names,
    period::{BadPeriod, Period},
    retry::{Attempts, Cancellation, RetryPolicy},
    task::TaskDefaults,
};

/// All that may be said of a spawn besides name and params. What stands below `key` needs our
/// schema.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SpawnOptions {
    /// The queue; the task's own, else the client's, where it is absent.
    pub queue: Option<String>,
    /// How many attempts the task has.
    pub max_attempts: Attempts,
    /// The delays between them.
    pub retry: Option<RetryPolicy>,
    /// When it is cancelled by itself.
    pub cancellation: Cancellation,
    /// Any JSON kept with the task, for tracing and the like.
    pub headers: Map<String, Value>,
    /// A second spawn with the same key in the queue returns the first one's task.
    pub idempotency_key: Option<String>,
    /// Whom it is for: limits can hold for each key, and keys take turns.
    pub key: Option<String>,
    /// Larger goes first, then age; 0 where it is absent.
    pub priority: Option<i32>,
    /// When it may begin; at once where it is absent.
    pub start: Option<Start>,
    /// How long one execution may take, from claim to end or park; then the attempt fails.
    pub timeout: Option<Duration>,
    /// For finding the task: see [`crate::TaskFilter::attributes`].
    pub attributes: Map<String, Value>,
    /// At most one task for a key within a time.
    pub window: Option<SpawnWindow>,
    /// Its parent, or its chain: written by the SDK.
    pub(crate) family: Map<String, Value>,
    /// The period that could not be read.
    pub(crate) refused: Option<BadPeriod>,
}

/// When a task may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// That long after the spawn, by the database's clock.
    After(Duration),
    /// At that time.
    At(Timestamp),
}

/// At most one task for a key within a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpawnWindow {
    /// The key.
    pub key: String,
    /// The window's length, in seconds.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub length: Duration,
    /// Whether a later spawn goes before an earlier one that has not begun: the task begins
    /// when nobody has spawned for the window's length, with the last params.
    pub debounce: bool,
}

fn seconds<S: serde::Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(length.as_secs_f64())
}

/// A spawn's options, resolved.
pub(crate) struct Prepared {
    pub(crate) queue: QueueName,
    pub(crate) options: Value,
    /// What of it upstream's schema can't do.
    pub(crate) needs: Option<&'static str>,
}

impl SpawnOptions {
    pub(crate) fn with_defaults(defaults: TaskDefaults) -> Self {
        let mut headers = Map::new();
        if let Some(version) = defaults.version {
            headers.insert(names::VERSION_HEADER.into(), json!(version));
        }
        Self {
            queue: defaults.queue.map(str::to_owned),
            max_attempts: defaults.max_attempts,
            retry: defaults.retry,
            cancellation: defaults.cancellation,
            headers,
            priority: defaults.priority,
            timeout: defaults.timeout,
            ..Self::default()
        }
    }

    /// A period that can't be read is the spawn's error.
    pub(crate) fn period(&mut self, period: impl Into<Period>) -> Duration {
        period.into().get().unwrap_or_else(|bad| {
            self.refused.get_or_insert(bad);
            Duration::ZERO
        })
    }

    /// The queue the spawn goes to, and the wire form of the rest.
    pub(crate) fn resolve(
        &self,
        name: &str,
        client_queue: &QueueName,
        default_max_attempts: u32,
    ) -> Result<Prepared, Error> {
        TaskName::new(name)?;
        if let Some(bad) = &self.refused {
            return Err(bad.clone().into());
        }
        let queue = match &self.queue {
            Some(queue) => QueueName::new(queue)?,
            None => client_queue.clone(),
        };
        let mut options = self.of_the_contract(default_max_attempts)?;
        let needs = self.add_ours(&mut options)?;
        Ok(Prepared {
            queue,
            options: Value::Object(options),
            needs,
        })
    }

    fn of_the_contract(&self, default_max_attempts: u32) -> Result<Map<String, Value>, Error> {
        let mut options = Map::new();
        let attempts = match self.max_attempts {
            Attempts::Inherit => Some(default_max_attempts),
            Attempts::AtMost(attempts) => Some(attempts),
            Attempts::Unlimited => None,
        };
        if let Some(attempts) = attempts {
            if attempts == 0 || i32::try_from(attempts).is_err() {
                let problem = Cow::from(format!("{attempts} is out of range; at least one"));
                return Err(Error::Option {
                    option: "max_attempts",
                    problem,
                });
            }
            options.insert("max_attempts".into(), json!(attempts));
        }
        if let Some(policy) = self.retry {
            options.insert("retry_strategy".into(), policy.to_json()?);
        }
        if let Some(cancellation) = self.cancellation.to_json() {
            options.insert("cancellation".into(), cancellation);
        }
        if !self.headers.is_empty() {
            options.insert("headers".into(), Value::Object(self.headers.clone()));
        }
        if let Some(key) = &self.idempotency_key {
            options.insert("idempotency_key".into(), json!(key));
        }
        Ok(options)
    }

    /// Adds what only our schema knows, and says what of it a task can't do without.
    fn add_ours(&self, options: &mut Map<String, Value>) -> Result<Option<&'static str>, Error> {
        let mut needs = None;
        let mut add = |name: &str, feature: &'static str, value: Value| {
            options.insert(name.into(), value);
            needs = Some(feature);
        };
        if let Some(key) = &self.key {
            if key.trim().is_empty() {
                let problem = "it is empty; give it a name, or leave it out".into();
                return Err(Error::Option {
                    option: "key",
                    problem,
                });
            }
            add("key", "a key", json!(key));
        }
        if let Some(priority) = self.priority.filter(|priority| *priority != 0) {
            add("priority", "a priority", json!(priority));
        }
        match self.start {
            Some(Start::After(delay)) => {
                add(
                    "delay_seconds",
                    "a delayed start",
                    json!(delay.as_secs_f64()),
                );
            }
            Some(Start::At(time)) => add("start_at", "a delayed start", json!(time)),
            None => {}
        }
        if !self.attributes.is_empty() {
            add("attributes", "attributes", json!(self.attributes));
        }
        if let Some(window) = &self.window {
            add("unique", "a window for one spawn", json!(window));
        }
        let mut policy = self.family.clone();
        if let Some(timeout) = self.timeout {
            policy.insert("timeout".into(), json!(timeout.as_secs_f64()));
        }
        if !policy.is_empty() {
            // Upstream's schema drops all of it. That a parent is not noted harms nobody, so that
            // alone needs nothing.
            let feature = match () {
                () if self.timeout.is_some() => Some("a timeout"),
                () if policy.contains_key("chain") => Some("a chain"),
                () if policy.contains_key("on_parent_end") => Some("ending with the parent"),
                () => None,
            };
            match feature {
                Some(feature) => add("policy", feature, Value::Object(policy)),
                None => drop(options.insert("policy".into(), Value::Object(policy))),
            }
        }
        Ok(needs)
    }
}

/// The setters that spawns from a client and from a task share.
macro_rules! spawn_setters {
    () => {
        /// How many attempts the task has, the first one included.
        pub fn max_attempts(mut self, attempts: u32) -> Self {
            self.options.max_attempts = Attempts::AtMost(attempts);
            self
        }

        /// Attempts without limit.
        pub fn unlimited_attempts(mut self) -> Self {
            self.options.max_attempts = Attempts::Unlimited;
            self
        }

        /// The delays between attempts.
        pub fn retry(mut self, policy: RetryPolicy) -> Self {
            self.options.retry = Some(policy);
            self
        }

        /// When the task is cancelled by itself.
        pub fn cancellation(mut self, cancellation: Cancellation) -> Self {
            self.options.cancellation = cancellation;
            self
        }

        /// Adds a header.
        pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
            self.options.headers.insert(name.into(), value.into());
            self
        }

        /// A second spawn with this key in the queue returns the first one's task,
        /// until that is cleaned up.
        pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
            self.options.idempotency_key = Some(key.into());
            self
        }

        /// The queue, where it is neither the task's nor the caller's.
        pub fn queue(mut self, queue: impl Into<String>) -> Self {
            self.options.queue = Some(queue.into());
            self
        }

        /// Whom it is for: keys take turns, and limits can hold for each.
        pub fn key(mut self, key: impl Into<String>) -> Self {
            self.options.key = Some(key.into());
            self
        }

        /// Larger goes first, then age; 0 where nothing is said.
        pub fn priority(mut self, priority: i32) -> Self {
            self.options.priority = Some(priority);
            self
        }

        /// Begins that long after the spawn.
        pub fn delay(mut self, delay: impl Into<$crate::Period>) -> Self {
            let delay = self.options.period(delay);
            self.options.start = Some($crate::Start::After(delay));
            self
        }

        /// Begins at that time, at once if it is over.
        pub fn start_at(mut self, time: jiff::Timestamp) -> Self {
            self.options.start = Some($crate::Start::At(time));
            self
        }

        /// How long one execution may take, from claim to end or park; then the attempt fails.
        pub fn timeout(mut self, timeout: impl Into<$crate::Period>) -> Self {
            self.options.timeout = Some(self.options.period(timeout));
            self
        }

        /// Adds an attribute, by which the task can be found.
        pub fn attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
            self.options.attributes.insert(name.into(), value.into());
            self
        }

        /// Within that time from the first spawn with this key, further ones return its task.
        pub fn unique_within(
            mut self,
            key: impl Into<String>,
            length: impl Into<$crate::Period>,
        ) -> Self {
            self.options.window = Some($crate::SpawnWindow {
                key: key.into(),
                length: self.options.period(length),
                debounce: false,
            });
            self
        }

        /// Begins when nobody has spawned with this key for that time, with the last params.
        pub fn debounce(
            mut self,
            key: impl Into<String>,
            quiet: impl Into<$crate::Period>,
        ) -> Self {
            self.options.window = Some($crate::SpawnWindow {
                key: key.into(),
                length: self.options.period(quiet),
                debounce: true,
            });
            self
        }
    };
}
pub(crate) use spawn_setters;
