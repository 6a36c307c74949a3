//! A durable operation inside a step, and two at once, do not compile.

use absurd_sdk::prelude::*;

#[task]
async fn nested(ctx: &mut Context) -> TaskResult<()> {
    ctx.step("outer", || async {
        ctx.step("inner", || async { Ok::<_, TaskError>(1) }).await
    })
    .await?;
    Ok(())
}

#[task]
async fn at_once(ctx: &mut Context) -> TaskResult<()> {
    let one = ctx.step("one", || async { Ok::<_, TaskError>(1) });
    let other = ctx.step("other", || async { Ok::<_, TaskError>(2) });
    one.await?;
    other.await?;
    Ok(())
}

fn main() {}
