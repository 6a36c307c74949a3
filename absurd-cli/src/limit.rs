//! `absurd limit`

use absurd_sdk::{Client, Limit, LimitOn};

use super::{
    CliError,
    args::{LimitCommand, Scope, SetLimit},
    error::advise,
    output::Output,
};

pub(crate) async fn run(
    client: &Client,
    command: LimitCommand,
    output: Output,
) -> Result<(), CliError> {
    match command {
        LimitCommand::Set(limit) => set(client, limit, output).await,
        LimitCommand::Remove { queue, scope } => {
            let client = client.on_queue(queue.queue)?;
            client.remove_limit(scope.on()).await?;
            let whose = scope.describe(&client);
            output.say(&format!("No limit holds any more for {whose}."), &whose)
        }
        LimitCommand::List { queue } => {
            let limits = client.on_queue(queue.queue)?.limits().await?;
            let fields = ["scope", "subject", "concurrency", "rate", "period_seconds"];
            output.list(&fields, &limits)
        }
    }
}

async fn set(client: &Client, set: SetLimit, output: Output) -> Result<(), CliError> {
    let client = client.on_queue(set.queue.queue)?;
    let concurrency = set.bounds.concurrency;
    let limit = match (concurrency, set.bounds.rate.zip(set.bounds.period)) {
        (Some(runs), Some((starts, period))) => Limit::concurrency(runs).and_rate(starts, period),
        (Some(runs), None) => Limit::concurrency(runs),
        (None, Some((starts, period))) => Limit::rate(starts, period),
        (None, None) => {
            let advice = "this would be no limit; give --concurrency, or --rate with --period";
            return Err(CliError::Usage(advice.to_owned()));
        }
    };
    let advice = || "give --period a length above 0".to_owned();
    let done = client.set_limit(set.scope.on(), limit).await;
    done.map_err(advise(advice))?;
    let whose = set.scope.describe(&client);
    let pause = match concurrency {
        Some(0) => " 0 runs at once is a pause: none of them starts.",
        _ => "",
    };
    output.say(&format!("The limit holds for {whose}.{pause}"), &whose)
}

impl Scope {
    fn on(&self) -> LimitOn<'_> {
        match (&self.task, &self.key) {
            (Some(task), _) => LimitOn::Task(task),
            (_, Some(key)) => LimitOn::Key(key),
            _ if self.each_key => LimitOn::EachKey,
            _ => LimitOn::Queue,
        }
    }

    fn describe(&self, client: &Client) -> String {
        let queue = client.queue();
        match self.on() {
            LimitOn::Queue => format!("queue `{queue}`"),
            LimitOn::Task(task) => format!("tasks `{task}` in queue `{queue}`"),
            LimitOn::Key(key) => format!("key `{key}` in queue `{queue}`"),
            LimitOn::EachKey => format!("each key in queue `{queue}`"),
        }
    }
}
