//! On what it was measured, so that numbers of two machines are not mixed up.

use std::{env, fs, path::Path, process::Command, thread};

use serde::{Deserialize, Serialize};

use crate::{error::Result, proc, server::Server};

/// The settings that decide what a commit costs.
const SETTINGS: &[&str] = &[
    "server_version",
    "fsync",
    "synchronous_commit",
    "wal_sync_method",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "autovacuum",
];

/// Machine, versions, commit.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    memory_bytes: u64,
    processor: String,
    kernel: String,
    /// What the data lies on: a file system in memory makes commits cheap.
    file_system: String,
    postgres: Vec<(String, String)>,
    rustc: String,
    /// Whether the compiler optimised: numbers of a debug build say nothing.
    optimised: bool,
    commit: String,
    measured_at: String,
}

/// Asks the system, the server and git.
pub(crate) async fn describe(server: &Server) -> Result<Machine> {
    let mut postgres = Vec::new();
    for name in SETTINGS {
        postgres.push(((*name).to_owned(), server.setting(name).await?));
    }
    let measured_at = "select to_char(now() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let measured_at = sqlx::query_scalar(measured_at).fetch_one(server.admin());
    Ok(Machine {
        cores: thread::available_parallelism()?.get(),
        memory_bytes: proc::kilobytes(&fs::read_to_string("/proc/meminfo")?, "MemTotal:")? * 1024,
        processor: processor().unwrap_or_else(|| "unknown".to_owned()),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned(),
        file_system: file_system(&env::temp_dir()).unwrap_or_else(|| "unknown".to_owned()),
        postgres,
        rustc: env!("BENCH_RUSTC").to_owned(),
        optimised: !cfg!(debug_assertions),
        commit: commit().unwrap_or_else(|| "unknown".to_owned()),
        measured_at: measured_at.await?,
    })
}

impl Machine {
    /// One line for the reader of a table.
    pub(crate) fn line(&self) -> String {
        let version = self.postgres.first().map_or("?", |(_, version)| version);
        let memory = self.memory_bytes.div_ceil(1024 * 1024 * 1024);
        let debug = if self.optimised { "" } else { ", DEBUG BUILD" };
        format!(
            "{} cores, {memory} GiB, {}, PostgreSQL {version}, {}, commit {}{debug}",
            self.cores, self.file_system, self.rustc, self.commit
        )
    }

    /// The same for a document, with the settings that decide what a commit costs.
    pub(crate) fn lines(&self) -> String {
        let setting = |(name, value): &(String, String)| format!("`{name}` {value}");
        let settings: Vec<String> = self.postgres.iter().skip(1).map(setting).collect();
        format!(
            "Measured at {} on {} (Linux {}): {}. Settings: {}.",
            self.measured_at,
            self.processor,
            self.kernel,
            self.line(),
            settings.join(", ")
        )
    }
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The kind of file system that holds a folder: that of the longest mount point above it.
fn file_system(folder: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let above = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        folder.starts_with(point).then_some((point.len(), kind))
    });
    above.max().map(|(_, kind)| kind.to_owned())
}

fn commit() -> Option<String> {
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        let output = command
            .args(words)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .ok()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(said)
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() {
        commit
    } else {
        commit + " with changes"
    })
}
