//! Functions that can't be tasks.

use absurd_sdk::prelude::*;

#[task]
fn not_async(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task]
async fn no_context(name: String) -> TaskResult<String> {
    Ok(name)
}

#[task]
async fn borrowed(_ctx: &mut Context, _name: &str) -> TaskResult<()> {
    Ok(())
}

#[task]
async fn two_params(_ctx: &mut Context, _a: u8, _b: u8) -> TaskResult<()> {
    Ok(())
}

#[task]
async fn generic<T>(_ctx: &mut Context) -> TaskResult<()> {
    Ok(())
}

#[task]
async fn no_result(_ctx: &mut Context) -> Option<()> {
    None
}

#[task]
struct NoFunction;

fn main() {}
