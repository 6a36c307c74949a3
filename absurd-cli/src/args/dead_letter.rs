//! `absurd dead-letter`

use absurd_sdk::{DeadLetterFilter, DeadLetterState, Period};
use clap::{Args, Subcommand, value_parser};
use uuid::Uuid;

use super::values::{letter, period, word};

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// Dead letters of all queues, newest first.
    List(ListLetters),
    /// A dead letter with its attempts, and what was done with it.
    Show {
        #[arg(value_parser = letter)]
        id: Uuid,
    },
    /// Try its task again; when that completes, the letter is resolved.
    Retry(RetryLetter),
    /// Try all again that the filter finds, oldest first.
    RetryAll(RetryAll),
    /// Say that it needs nothing more.
    Resolve {
        #[arg(value_parser = letter)]
        id: Uuid,
        #[command(flatten)]
        act: Act,
    },
    /// Delete it; its task and the audit stay.
    Delete {
        #[arg(value_parser = letter)]
        id: Uuid,
        /// Really.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        act: Act,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListLetters {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only those older than this one: the next page.
    #[arg(long, value_name = "ID", value_parser = letter)]
    pub(crate) before: Option<Uuid>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u16,
}

#[derive(Debug, Args)]
pub(crate) struct RetryLetter {
    #[arg(value_parser = letter)]
    pub(crate) id: Uuid,
    /// Spawn its task anew, from the first step.
    #[arg(long, conflicts_with = "from_step")]
    pub(crate) as_new: bool,
    /// Spawn its task anew, with what it remembered before this step.
    #[arg(long, value_name = "STEP")]
    pub(crate) from_step: Option<String>,
    /// Attempts up to this limit instead of one more, for a retry in place.
    #[arg(long, value_name = "N", conflicts_with_all = ["as_new", "from_step"])]
    pub(crate) max_attempts: Option<u32>,
    #[command(flatten)]
    pub(crate) act: Act,
}

#[derive(Debug, Args)]
pub(crate) struct RetryAll {
    #[command(flatten)]
    pub(crate) which: Which,
    /// At most that many.
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Each begins that long after the one before, for example "5s".
    #[arg(long, value_name = "PERIOD", value_parser = period)]
    pub(crate) stagger: Option<Period>,
    /// Spawn their tasks anew, from the first step.
    #[arg(long)]
    pub(crate) as_new: bool,
    #[command(flatten)]
    pub(crate) act: Act,
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Only those of this queue.
    #[arg(long, value_name = "QUEUE")]
    queue_name: Option<String>,
    /// Only those of tasks of this name.
    #[arg(long, value_name = "NAME")]
    task_name: Option<String>,
    /// Only those that failed in this step.
    #[arg(long)]
    step: Option<String>,
    /// Only those with this kind of error.
    #[arg(long, value_name = "TYPE")]
    error_type: Option<String>,
    /// Only those that are pending, retrying, resolved, or failed again.
    #[arg(long, value_parser = word::<DeadLetterState>)]
    state: Option<DeadLetterState>,
}

impl From<Which> for DeadLetterFilter {
    fn from(which: Which) -> Self {
        Self {
            queue_name: which.queue_name,
            task_id: None,
            task_name: which.task_name,
            step: which.step,
            error_type: which.error_type,
            state: which.state,
        }
    }
}

/// What the audit says of it.
#[derive(Debug, Args)]
pub(crate) struct Act {
    /// Who does it.
    #[arg(long, env = "USER", hide_env_values = true, default_value = UNNAMED)]
    actor: String,
    /// Why.
    #[arg(long)]
    pub(crate) note: Option<String>,
}

const UNNAMED: &str = "operator";

impl Act {
    /// Who does it; an empty variable counts as unset.
    pub(crate) fn actor(&self) -> &str {
        let actor = self.actor.trim();
        if actor.is_empty() { UNNAMED } else { actor }
    }
}
