//! Interference flags by `AOFlagger`.

use std::{path::Path, time::Duration};

use super::process::{Tool, ToolError};

/// Flags interference in a Measurement Set, in place. Earlier flags are forgotten, so the result
/// only depends on the data. Its general strategy found all interference of the synthetic groups;
/// it looks for no dead antennas, which the calibration does.
pub async fn flag_interference(
    ms: &Path,
    threads: usize,
    limit: Duration,
) -> Result<String, ToolError> {
    let folder = ms.parent().unwrap_or(Path::new("."));
    let threads = threads.to_string();
    let ms = ms.to_string_lossy();
    let tool = Tool {
        program: "aoflagger",
        arguments: ["-j", &threads, &ms].map(str::to_owned).into(),
        folder: folder.to_owned(),
        limit,
    };
    tool.run().await
}
