//! `absurd event`

use clap::Subcommand;
use serde_json::Value;

use super::{InQueue, values::json};

#[derive(Debug, Subcommand)]
pub(crate) enum EventCommand {
    /// Emit an event; the first emit of a name wins.
    Emit {
        name: String,
        /// Its payload as JSON.
        #[arg(long, default_value = "null", value_parser = json)]
        payload: Value,
        #[command(flatten)]
        queue: InQueue,
    },
    /// Events, newest first.
    List {
        #[command(flatten)]
        queue: InQueue,
        /// Only events whose name begins so.
        #[arg(long)]
        prefix: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
    /// Who waits for what.
    Waits {
        #[command(flatten)]
        queue: InQueue,
        /// Only who waits for this event.
        #[arg(long)]
        event: Option<String>,
    },
}
