//! `absurd queue`

use absurd_sdk::{Client, QueueOptions, QueuePolicy, StorageMode, TaskState};

use super::{
    CliError,
    args::{DetachMode, Policy, QueueCommand, Switch},
    output::Output,
};

pub(crate) async fn run(
    client: &Client,
    command: QueueCommand,
    output: Output,
) -> Result<(), CliError> {
    match command {
        QueueCommand::Create { name, partitioned } => {
            let storage_mode = if partitioned {
                StorageMode::Partitioned
            } else {
                StorageMode::Unpartitioned
            };
            let options = QueueOptions {
                storage_mode,
                ..QueueOptions::default()
            };
            client.on_queue(&name)?.create_queue_with(&options).await?;
            output.say(&format!("Queue `{name}` is there."), &name)
        }
        QueueCommand::Drop { name, yes } => {
            if !yes {
                let question = format!("this deletes all of queue `{name}`; repeat it with --yes");
                return Err(CliError::Usage(question));
            }
            client.on_queue(&name)?.drop_queue().await?;
            output.say(&format!("Queue `{name}` is gone."), &name)
        }
        QueueCommand::List => {
            let states = TaskState::ALL.map(TaskState::as_str);
            let last = ["oldest_due_at", "paused_at"];
            let fields = [&["queue_name"], &states[..], &last].concat();
            output.list(&fields, &client.all_queue_stats().await?)
        }
        QueueCommand::Pause { name } => {
            client.on_queue(&name)?.pause_queue().await?;
            let sentence = format!("Queue `{name}` is paused: what runs goes on, nothing starts.");
            output.say(&sentence, &name)
        }
        QueueCommand::Resume { name } => {
            client.on_queue(&name)?.resume_queue().await?;
            output.say(&format!("Queue `{name}` goes on."), &name)
        }
        QueueCommand::Policy(policy) => set_policy(client, policy, output).await,
        QueueCommand::Cleanup { name } => {
            let cleaned_up = match name {
                Some(name) => client.on_queue(name)?.clean_up(false).await?,
                None => client.clean_up(true).await?,
            };
            output.list(&["queue", "tasks", "events"], &cleaned_up)
        }
    }
}

async fn set_policy(client: &Client, policy: Policy, output: Output) -> Result<(), CliError> {
    let client = client.on_queue(&policy.name)?;
    let word = |switch| match switch {
        Switch::Enabled => "enabled".to_owned(),
        Switch::Disabled => "disabled".to_owned(),
    };
    let mode = |mode| match mode {
        DetachMode::None => "none".to_owned(),
        DetachMode::Empty => "empty".to_owned(),
    };
    let changes = QueuePolicy {
        default_partition: policy.default_partition.map(word),
        partition_lookahead: policy.partition_lookahead,
        partition_lookback: policy.partition_lookback,
        cleanup_ttl: policy.cleanup_ttl,
        cleanup_limit: policy.cleanup_limit,
        detach_mode: policy.detach_mode.map(mode),
        detach_min_age: policy.detach_min_age,
    };
    client.set_queue_policy(&changes).await?;
    let stored = client.queue_policy().await?;
    let (storage, policy) = stored.ok_or_else(|| absurd_sdk::Error::QueueMissing {
        queue: client.queue().to_string(),
    })?;
    let title = format!("Queue `{}`, {}", client.queue(), storage.as_str());
    output.show(&title, &policy)
}
