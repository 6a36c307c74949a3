//! What can be typed.

mod dead_letter;
mod event;
mod limit;
mod queue;
mod schedule;
mod task;
mod values;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::{
    dead_letter::{Act, DeadLetterCommand, ListLetters, RetryAll, RetryLetter},
    event::EventCommand,
    limit::{LimitCommand, Scope, SetLimit},
    queue::{DetachMode, Policy, QueueCommand, Switch},
    schedule::{ScheduleCommand, SetSchedule},
    task::{ForkTask, ListTasks, SpawnTask, TaskCommand},
};

/// Durable execution on PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "absurd", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// The database; `ABSURD_DATABASE_URL`, then `PGDATABASE`, then a private one, where it is
    /// absent.
    #[arg(long, short = 'd', global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring the database's schema up to date; takes over upstream's schema 0.4 and 0.5.
    Migrate(Migrate),
    /// Create, drop, list, pause and tune queues.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Say how many runs may go at once, and how many may start within a time.
    #[command(subcommand)]
    Limit(LimitCommand),
    /// Spawn, show, steer, fork and export tasks.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Look at tasks that have failed for good, and deal with them.
    #[command(subcommand)]
    DeadLetter(DeadLetterCommand),
    /// Spawn tasks by the clock.
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Emit and list events.
    #[command(subcommand)]
    Event(EventCommand),
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Print the whole schema as one SQL script and touch no database.
    #[arg(long)]
    pub(crate) dump: bool,
}

/// The queue of a command about what lies in one.
#[derive(Debug, Args)]
pub(crate) struct InQueue {
    /// The queue.
    #[arg(long, short = 'q', default_value = "default")]
    pub(crate) queue: String,
}

#[cfg(test)]
mod tests {
    use clap::{Command as Described, CommandFactory as _};

    use super::*;

    const ID: &str = "019a0000-0000-7000-8000-000000000000";

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// What is said to a command that can't be meant; empty if it can.
    fn refusal(line: &str) -> String {
        let typed = Cli::try_parse_from(line.split(' '));
        let refused = typed.err().map(|error| error.to_string());
        refused.unwrap_or_default()
    }

    #[test]
    fn mistakes_are_answered_with_what_to_type() {
        let id = |line: &str| line.replace("ID", ID);
        let cases = [
            ("absurd task spawn a --params b", "no JSON"),
            ("absurd task spawn a --attribute b", "name=value"),
            ("absurd task spawn a --delay soon", "write for example"),
            (
                "absurd task spawn a --start-at soon",
                "2026-05-01T03:00:00Z",
            ),
            (
                "absurd task spawn a --delay 1m --start-at 2026-05-01T03:00:00Z",
                "cannot be used with",
            ),
            ("absurd task spawn a --unique k", "--within"),
            ("absurd task spawn a --within 1m", "--unique"),
            ("absurd task spawn a --debounce", "--unique"),
            ("absurd task fork ID --delay soon", "write for example"),
            ("absurd limit set --concurrency 1", "--queue-wide"),
            ("absurd limit set --queue-wide", "--concurrency <N>|--rate"),
            ("absurd limit set --queue-wide --period 1s", "--rate"),
            ("absurd limit set --queue-wide --rate 5", "--period"),
            (
                "absurd limit set --task a --key b --concurrency 1",
                "cannot be used with",
            ),
            ("absurd limit remove", "--each-key"),
            ("absurd dead-letter show 7", "absurd dead-letter list"),
            ("absurd dead-letter list --state gone", "`pending`"),
            (
                "absurd dead-letter retry ID --as-new --from-step a",
                "cannot be used with",
            ),
            (
                "absurd dead-letter retry ID --as-new --max-attempts 3",
                "cannot be used with",
            ),
            ("absurd dead-letter retry-all --limit 1001", "1..=1000"),
            ("absurd schedule set a --cron @daily", "--task"),
            (
                "absurd schedule set a --cron @daily --task b --overlap both",
                "`allow`, `skip`, `replace`",
            ),
            (
                "absurd schedule backfill a --from 2026-05-01T03:00:00Z",
                "--until",
            ),
        ];
        for (line, advice) in cases {
            let message = refusal(&id(line));
            assert!(message.contains(advice), "{line}: {message}");
        }
    }

    #[test]
    fn numbers_below_zero_are_priorities() {
        let lower = format!("absurd task priority {ID} -3");
        for line in ["absurd task spawn a --priority -3", &lower] {
            assert_eq!(refusal(line), "", "{line}");
        }
    }

    /// Each command has a line in docs/cli.md, with all its options.
    #[test]
    fn the_page_tells_all_commands_and_options() {
        let page = include_str!("../../../docs/cli.md");
        let mut missing = Vec::new();
        for noun in Cli::command().get_subcommands() {
            if noun.has_subcommands() {
                for verb in noun.get_subcommands() {
                    let name = format!("{} {}", noun.get_name(), verb.get_name());
                    missing.extend(untold(page, &name, verb));
                }
            } else {
                missing.extend(untold(page, noun.get_name(), noun));
            }
        }
        assert_eq!(missing, [""; 0], "add them to docs/cli.md");
    }

    fn untold(page: &str, name: &str, command: &Described) -> Vec<String> {
        let forms = [format!("`{name}`"), format!("`{name} ")];
        let is_row =
            |line: &&str| line.starts_with('|') && forms.iter().any(|form| line.contains(form));
        let rows: Vec<_> = page.lines().filter(is_row).collect();
        if rows.is_empty() {
            return vec![name.to_owned()];
        }
        let options = command
            .get_arguments()
            .filter_map(|option| option.get_long());
        let told = |option: &&str| rows.iter().any(|row| row.contains(&format!("--{option}")));
        let untold = options.filter(|option| *option != "queue" && !told(option));
        untold.map(|option| format!("{name} --{option}")).collect()
    }
}
