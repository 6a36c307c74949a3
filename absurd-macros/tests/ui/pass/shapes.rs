//! All shapes of a task, and names that are also those of values.

use absurd_sdk::{Client, DetachedContext, Error, Worker, prelude::*};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Image {
    pixels: u32,
}

pub(crate) struct Toolbox;

/// Nothing but a context.
#[task]
async fn tick(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

/// A task whose name is also that of its parameter.
#[task(name = "image", queue = "imaging", max_attempts = unlimited, retry = none)]
pub(crate) async fn image(ctx: &mut Context, image: Image) -> TaskResult<Image> {
    let image = ctx
        .step("copy", || async { Ok::<_, TaskError>(image) })
        .await?;
    Ok(image)
}

/// States in any place.
#[task(retry = fixed("1s"), max_delay = "1h", max_duration = "90m")]
async fn mixed(_ctx: &mut Context, _a: State<Toolbox>, n: u8, _b: State<String>) -> TaskResult<u8> {
    Ok(n)
}

/// How it is run, and by which code.
#[task(version = "2", priority = -3, timeout = "15m")]
async fn versioned(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

mod tick_of_another_module {
    use absurd_sdk::prelude::*;

    #[task]
    pub(crate) async fn tick(ctx: &mut Context) -> TaskResult<()> {
        ctx.spawn(super::tick, ()).await?;
        Ok(())
    }
}

async fn used(client: &Client) -> Result<(), Error> {
    let image_of_one = Image { pixels: 1 };
    let spawned = client.spawn(image, image_of_one).await?;
    let image: Image = spawned.result().await?;
    let _ = (image.pixels, tick_of_another_module::tick);
    Worker::builder(client)
        .task(tick)
        .task(mixed)
        .task(versioned)
        .state(Toolbox)
        .state(String::new())
        .run_until_idle()
        .await?;
    Ok(())
}

async fn called() -> TaskResult<()> {
    let mut context = DetachedContext::new().build()?;
    tick(&mut context).await?;
    mixed(
        &mut context,
        State::new(Toolbox),
        3,
        State::new(String::new()),
    )
    .await?;
    Ok(())
}

pub(crate) fn main() {
    let _ = (used, called);
}
