//! Interference flags by `AOFlagger`.

use std::{fs, path::Path, time::Duration};

use super::process::{Tool, ToolError};
use crate::io::PartName;

/// What counts as interference; the file says why it isn't the program's own strategy.
const STRATEGY: &str = include_str!("../../strategies/dsa110.lua");

/// Flags interference in a Measurement Set, in place. Earlier flags are forgotten, so the result
/// only depends on the data. Dead antennas are not looked for, which the calibration does.
pub async fn flag_interference(
    ms: &Path,
    threads: usize,
    limit: Duration,
) -> Result<String, ToolError> {
    let strategy = PartName::of(&ms.with_extension("lua"));
    fs::write(strategy.path(), STRATEGY).map_err(|source| ToolError::File {
        path: strategy.path().to_owned(),
        source,
    })?;
    let threads = threads.to_string();
    let script = strategy.path().to_string_lossy();
    let set = ms.to_string_lossy();
    let tool = Tool {
        program: "aoflagger",
        arguments: ["-j", &threads, "-strategy", &script, &set]
            .map(str::to_owned)
            .into(),
        folder: ms.parent().unwrap_or(Path::new(".")).to_owned(),
        limit,
    };
    tool.run().await
}
