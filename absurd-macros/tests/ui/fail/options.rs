//! Options that don't exist or can't be meant: each error on its token, with what is accepted.

use absurd_sdk::prelude::*;

#[task(nam = "process-group")]
async fn misspelt(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task(retry = exponentiel("2s"))]
async fn no_policy(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task(retry = exponential("2s", facto = 2))]
async fn no_argument(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task(retry = fixed("25h"))]
async fn too_long(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task(max_attempts = 0)]
async fn no_attempts(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task(max_duration = "soon")]
async fn no_time(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task(name = "a", name = "b")]
async fn twice(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task(timeout = "0s")]
async fn no_time_at_all(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task(priority = "high")]
async fn no_priority(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task(version = " ")]
async fn no_version(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task(allow = "nondeterminsm")]
async fn nothing_to_allow(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task(allow(nondeterminism))]
async fn allowed_like_a_lint(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

fn main() {}
