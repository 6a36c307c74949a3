//! A task of two steps, spawned, executed, awaited.

use absurd_sdk::prelude::*;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Order {
    item: String,
    pieces: u32,
}

/// Reserves and ships an order. What is done stays done, whatever dies in between.
#[task(name = "ship-order", max_attempts = 3, retry = exponential("1s", max = "1m"))]
async fn ship_order(ctx: &mut Context, order: Order) -> TaskResult<String> {
    let reserved: u32 = ctx
        .step("reserve", || async {
            println!("reserving {} x {}", order.pieces, order.item);
            Ok::<_, TaskError>(order.pieces)
        })
        .await?;
    ctx.step("ship", || async {
        println!("shipping");
        Ok::<_, TaskError>(format!("shipped {reserved} x {}", order.item))
    })
    .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A private PostgreSQL; your own is `Client::connect("postgresql://..").await?`.
    let database = absurd_test::Database::start().await?;
    let client = database.client();

    let order = Order {
        item: "telescope".into(),
        pieces: 2,
    };
    let handle = client.spawn(ship_order, order).await?;
    let worker = Worker::builder(client).task(ship_order).start()?;
    println!("{}", handle.result().await?);
    worker.stop().await?;
    Ok(())
}
