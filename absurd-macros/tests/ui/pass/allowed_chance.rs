//! The check for nondeterminism, switched off.

use absurd_sdk::prelude::*;
use uuid::Uuid;

#[task(allow = "nondeterminism")]
async fn traced(_ctx: &mut Context) -> TaskResult<()> {
    println!("this execution is {}", Uuid::new_v4());
    Ok(())
}

pub(crate) fn main() {
    let _ = traced;
}
