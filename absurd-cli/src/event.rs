//! `absurd event`

use absurd_sdk::{Client, EventFilter};

use super::{CliError, args::EventCommand, output::Output};

pub(crate) async fn run(
    client: &Client,
    command: EventCommand,
    output: Output,
) -> Result<(), CliError> {
    match command {
        EventCommand::Emit {
            name,
            payload,
            queue,
        } => {
            let client = client.on_queue(queue.queue)?;
            client.emit_event(&name, &payload).await?;
            output.say(&format!("Event `{name}` is emitted."), &name)
        }
        EventCommand::List {
            queue,
            prefix,
            limit,
        } => {
            let filter = EventFilter {
                prefix,
                ..EventFilter::default()
            };
            let client = client.on_queue(queue.queue)?;
            let events = client.list_events(&filter, None, limit).await?;
            output.list(&["event_name", "emitted_at", "payload"], &events)
        }
        EventCommand::Waits { queue, event } => {
            let client = client.on_queue(queue.queue)?;
            let waits = client.list_waits(None, event.as_deref()).await?;
            let fields = [
                "event_name",
                "task_id",
                "step_name",
                "timeout_at",
                "created_at",
            ];
            output.list(&fields, &waits)
        }
    }
}
