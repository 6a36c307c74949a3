//! stub
use crate::process::Result;
#[expect(clippy::unnecessary_wraps, reason = "stub")]
pub(crate) fn run() -> Result {
    Ok(())
}
