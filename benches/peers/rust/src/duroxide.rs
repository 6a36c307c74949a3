//! The crate `duroxide` with its provider for PostgreSQL: orchestrations whose steps are
//! activities, each of which goes through a queue of its own.

use std::{sync::Arc, time::Duration};

use duroxide::{
    ActivityContext, Client, OrchestrationContext, OrchestrationRegistry,
    runtime::{Runtime, RuntimeOptions, registry::ActivityRegistry},
};
use duroxide_pg::PostgresProvider;
use tokio::time::Instant;

use crate::shared::{self, Executed, Moments, Order, Result};

// Tuning: eight orchestrations and eight activities at once, and the shortest poll that leaves
// it time to work; there are no notifications. Its connections are set in the environment.
const CONCURRENCY: usize = 8;
const POLL: Duration = Duration::from_millis(5);
const EVENT: &str = "event";

/// Measures.
pub(crate) async fn run(order: &Order) -> Result {
    shared::note(format!(
        "{CONCURRENCY} orchestrations and {CONCURRENCY} activities at once, 32 connections, poll \
         every {} ms",
        POLL.as_millis()
    ))
    .await?;
    let provider = Arc::new(PostgresProvider::new(&order.url).await?);
    let client = Client::new(provider.clone());
    let (executed, moments) = (Executed::of(order), Moments::new());
    let (activities, orchestrations) = (activities(&moments), orchestrations(&executed, &moments));
    let start = async move || {
        let options = RuntimeOptions {
            dispatcher_min_poll_interval: POLL,
            orchestration_concurrency: CONCURRENCY,
            worker_concurrency: CONCURRENCY,
            ..RuntimeOptions::default()
        };
        Runtime::start_with_options(provider, activities, orchestrations, options).await
    };
    match order.workload.as_str() {
        "W1" => {
            let client = Arc::new(client);
            shared::from_clients(order, move |number| {
                let client = Arc::clone(&client);
                async move { spawn(&client, "nothing", number, String::new()).await }
            })
            .await
        }
        "W3" | "W4" => {
            let name = if order.workload == "W3" {
                "nothing"
            } else {
                "steps"
            };
            for number in 0..order.tasks {
                spawn(&client, name, number, order.steps.to_string()).await?;
            }
            shared::ready().await?;
            let begun = Instant::now();
            let _runtime = start().await;
            shared::drained(order, &executed, begun).await
        }
        "W5" => {
            let _runtime = start().await;
            shared::ready().await?;
            spawn(&client, "steps", 0, order.steps.to_string()).await?;
            shared::latencies(&moments.gaps(order.steps).await?).await
        }
        "W6" => {
            let _runtime = start().await;
            shared::samples(order, async |number| {
                spawn(&client, "begin", number, number.to_string()).await?;
                moments.since(Instant::now(), number).await
            })
            .await
        }
        "W7" => {
            let _runtime = start().await;
            resumed(order, &client, &moments).await
        }
        _ => shared::unknown(order),
    }
}

async fn resumed(order: &Order, client: &Client, moments: &Moments) -> Result {
    let count = order.pauses_ms.len();
    for number in 0..count {
        spawn(client, "resume", number, number.to_string()).await?;
    }
    let parked = r#"select count(*) from history
        where event_data like '%"type":"ExternalSubscribed"%'"#;
    shared::wait_for_count(order, parked, count).await?;
    shared::samples(order, async |number| {
        client.raise_event(instance(number), EVENT, "").await?;
        moments.since(Instant::now(), number).await
    })
    .await
}

fn instance(number: usize) -> String {
    format!("instance {number}")
}

async fn spawn(client: &Client, name: &str, number: usize, input: String) -> Result {
    Ok(client
        .start_orchestration(instance(number), name, input)
        .await?)
}

fn activities(moments: &Moments) -> ActivityRegistry {
    let moments = moments.clone();
    let step = move |_: ActivityContext, number: String| {
        let moments = moments.clone();
        async move {
            // An orchestration is run again for each of its steps, so the steps tell.
            moments.tell(number.parse().map_err(|_| "no number")?);
            Ok(shared::payload())
        }
    };
    ActivityRegistry::builder().register("step", step).build()
}

fn orchestrations(executed: &Executed, moments: &Moments) -> OrchestrationRegistry {
    let (count, count_steps) = (executed.clone(), executed.clone());
    let (began, resumed) = (moments.clone(), moments.clone());
    OrchestrationRegistry::builder()
        .register("nothing", move |_: OrchestrationContext, _: String| {
            let executed = count.clone();
            async move {
                executed.one_more();
                Ok(String::new())
            }
        })
        .register("steps", move |ctx: OrchestrationContext, steps: String| {
            let executed = count_steps.clone();
            async move {
                let steps: usize = steps.parse().map_err(|_| "no number")?;
                for number in 0..steps {
                    ctx.schedule_activity("step", number.to_string()).await?;
                }
                executed.one_more();
                Ok(String::new())
            }
        })
        .register("begin", move |_: OrchestrationContext, number: String| {
            let moments = began.clone();
            async move {
                moments.tell(number.parse().map_err(|_| "no number")?);
                Ok(String::new())
            }
        })
        .register(
            "resume",
            move |ctx: OrchestrationContext, number: String| {
                let moments = resumed.clone();
                async move {
                    ctx.schedule_wait(EVENT).await;
                    moments.tell(number.parse().map_err(|_| "no number")?);
                    Ok(String::new())
                }
            },
        )
        .build()
}
