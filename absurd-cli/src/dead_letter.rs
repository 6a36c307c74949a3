//! `absurd dead-letter`

use absurd_sdk::{Client, DeadLetter, FailedAttempt, Redrive};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    CliError,
    args::{Act, DeadLetterCommand, ListLetters, RetryAll, RetryLetter},
    error::advise,
    output::Output,
};

pub(crate) async fn run(
    client: &Client,
    command: DeadLetterCommand,
    output: Output,
) -> Result<(), CliError> {
    match command {
        DeadLetterCommand::List(letters) => list(client, letters, output).await,
        DeadLetterCommand::Show { id } => show(client, id, output).await,
        DeadLetterCommand::Retry(retry) => retry_one(client, retry, output).await,
        DeadLetterCommand::RetryAll(retry) => retry_all(client, retry, output).await,
        DeadLetterCommand::Resolve { id, act } => {
            find(client, id).await?;
            let resolved = client.resolve_dead_letter(id, act.actor(), act.note.as_deref());
            resolved.await?;
            output.say(&format!("Dead letter {id} is resolved."), &id)
        }
        DeadLetterCommand::Delete { id, yes, act } => {
            if !yes {
                let question = format!(
                    "this deletes what is known of the failure; repeat it with --yes, or keep it \
                     by `absurd dead-letter resolve {id}`"
                );
                return Err(CliError::Usage(question));
            }
            find(client, id).await?;
            let deleted = client.delete_dead_letter(id, act.actor(), act.note.as_deref());
            deleted.await?;
            output.say(&format!("Dead letter {id} is deleted."), &id)
        }
    }
}

async fn list(client: &Client, list: ListLetters, output: Output) -> Result<(), CliError> {
    let filter = list.which.into();
    let letters = client
        .dead_letters(&filter, list.before, list.limit)
        .await?;
    let fields = [
        "dead_letter_id",
        "queue_name",
        "task_name",
        "step",
        "message",
        "state",
        "created_at",
    ];
    output.list(&fields, &letters)
}

async fn find(client: &Client, id: Uuid) -> Result<DeadLetter, CliError> {
    client.dead_letter(id).await?.ok_or_else(|| {
        let advice = "`absurd dead-letter list` shows those that there are";
        CliError::Usage(format!("there is no dead letter {id}; {advice}"))
    })
}

async fn show(client: &Client, id: Uuid, output: Output) -> Result<(), CliError> {
    let letter = find(client, id).await?;
    let audit = client.dead_letter_audit(id).await?;
    if output.json {
        return output.say("", &json!({ "dead_letter": letter, "audit": audit }));
    }
    let title = format!("Dead letter {id}");
    let mut facts = serde_json::to_value(&letter)?;
    if let Value::Object(facts) = &mut facts {
        // They are the title and the first table.
        facts.remove("dead_letter_id");
        facts.remove("attempts");
    }
    output.show(&title, &facts)?;
    let attempts: Vec<_> = letter.attempts.iter().map(attempt_row).collect();
    output.list(&["attempt", "failed_at", "run_id", "error"], &attempts)?;
    output.list(&["acted_at", "actor", "action", "note"], &audit)
}

fn attempt_row(attempt: &FailedAttempt) -> Value {
    json!({
        "attempt": attempt.attempt,
        "failed_at": attempt.failed_at,
        "run_id": attempt.run_id,
        "error": attempt.error.to_string(),
    })
}

async fn retry_one(client: &Client, retry: RetryLetter, output: Output) -> Result<(), CliError> {
    let id = retry.id;
    let letter = find(client, id).await?;
    let is_from_step = retry.from_step.is_some();
    let mut how = match (retry.from_step, retry.as_new) {
        (Some(step), _) => Redrive::from_step(step),
        (None, true) => Redrive::as_new(),
        (None, false) => Redrive::in_place(),
    };
    if let Some(attempts) = retry.max_attempts {
        how = how.max_attempts(attempts);
    }
    let advice = || {
        if is_from_step {
            let task = letter.task_id;
            format!(
                "`absurd task show {task}` lists what it has done; without --from-step it goes on \
                 where it failed"
            )
        } else {
            format!("`absurd dead-letter show {id}` tells how it stands")
        }
    };
    let retried = client.retry_dead_letter(id, signed(how, retry.act));
    let retried = retried.await.map_err(advise(advice))?;
    let (task, attempt) = (retried.task_id, retried.attempt);
    let sentence = format!("Dead letter {id} is tried again: task {task}, attempt {attempt}.");
    output.say(&sentence, &retried)
}

async fn retry_all(client: &Client, retry: RetryAll, output: Output) -> Result<(), CliError> {
    let how = if retry.as_new {
        Redrive::as_new()
    } else {
        Redrive::in_place()
    };
    let mut how = signed(how, retry.act).limit(retry.limit);
    if let Some(stagger) = retry.stagger {
        how = how.stagger(stagger);
    }
    let filter = retry.which.into();
    let retried = client.retry_dead_letters(&filter, how).await?;
    output.list(&["dead_letter_id", "task_id", "refusal"], &retried)
}

fn signed(how: Redrive, act: Act) -> Redrive {
    let how = how.actor(act.actor());
    match act.note {
        Some(note) => how.note(note),
        None => how,
    }
}
