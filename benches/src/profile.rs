//! Where the processors' time goes, sampled by `perf` over the whole machine.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio, id},
    thread::sleep,
    time::Duration,
};

use rustix::{
    fs::{CWD, Mode, mkfifoat},
    io::ioctl_fionbio,
    process::{Pid, Signal, kill_process},
};
use tempfile::TempDir;

use crate::error::Result;

/// Samples of each processor in a second; a prime, so that no beat of the work is met again.
const SAMPLES_PER_SECOND: &str = "997";
/// Between two looks whether `perf` has begun.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The threads of PostgreSQL, and of ours: those of the harness and of the worker's runtime.
const THREADS: &str = "postgres,bench,tokio-rt-worker";

/// What a function's name begins with, and what that is about. The first that fits holds.
const KINDS: &[(&str, &str)] = &[
    ("_bt_", "indexes"),
    ("bt", "indexes"),
    ("index", "indexes"),
    ("XLog", "log"),
    ("CopyXLog", "log"),
    ("pg_comp_crc32c", "log"),
    ("heap", "rows"),
    ("Heap", "rows"),
    ("slot_", "rows"),
    ("tts_", "rows"),
    ("nocachegetattr", "rows"),
    ("toast", "rows"),
    ("LWLock", "buffers and locks"),
    ("Lock", "buffers and locks"),
    ("Buffer", "buffers and locks"),
    ("ReadBuffer", "buffers and locks"),
    ("PinBuffer", "buffers and locks"),
    ("UnpinBuffer", "buffers and locks"),
    ("ResourceOwner", "buffers and locks"),
    ("hash_", "buffers and locks"),
    ("Exec", "executor and PL/pgSQL"),
    ("exec_", "executor and PL/pgSQL"),
    ("plpgsql", "executor and PL/pgSQL"),
    ("AllocSet", "memory"),
    ("palloc", "memory"),
    ("pfree", "memory"),
    ("MemoryContext", "memory"),
    ("__mem", "memory"),
    ("malloc", "memory"),
    ("cfree", "memory"),
    ("_int_", "memory"),
    ("json", "values"),
    ("Jsonb", "values"),
    ("uuid", "values"),
    ("array", "values"),
    ("Transaction", "transactions"),
    ("GetSnapshot", "transactions"),
    ("XidIn", "transactions"),
    ("Multi", "transactions"),
];

/// Shares of the time by what it was spent on; one in all.
pub(crate) type Shares = BTreeMap<String, f64>;

/// Samples into a file, which the next recording replaces.
#[derive(Debug)]
pub(crate) struct Profiler {
    samples: PathBuf,
}

/// Samples until it is told to end.
#[derive(Debug)]
pub(crate) struct Recording(Child);

impl Profiler {
    /// Refuses where there is no `perf`.
    pub(crate) fn new() -> Result<Self> {
        let answer = Command::new("perf").arg("--version").output();
        answer.map_err(|error| format!("perf: {error}; install linux-perf for --profile"))?;
        let samples = env::temp_dir().join(format!("bench-{}.perf", id()));
        Ok(Self { samples })
    }

    /// From its return on: `perf` takes longer to start than a short round does to end, so it is
    /// told when to sample, and says that it does.
    pub(crate) fn begin(&self) -> Result<Recording> {
        let folder = TempDir::new()?;
        let (orders, answers) = (folder.path().join("orders"), folder.path().join("answers"));
        for pipe in [&orders, &answers] {
            mkfifoat(CWD, pipe, Mode::RUSR | Mode::WUSR)?;
        }
        let control = format!("fifo:{},{}", orders.display(), answers.display());
        let mut recording = Recording(
            Command::new("perf")
                .args(["record", "--quiet", "--all-cpus", "--delay", "-1"])
                .args(["--control", &control])
                .args(["--freq", SAMPLES_PER_SECOND, "--output"])
                .arg(&self.samples)
                .stdout(Stdio::null())
                .spawn()?,
        );
        // Opened for both ways neither has to wait for the other end.
        let open = |pipe| OpenOptions::new().read(true).write(true).open(pipe);
        let mut orders = open(&orders)?;
        orders.write_all(b"enable\n")?;
        let answers = open(&answers)?;
        ioctl_fionbio(&answers, true)?;
        let mut answer = [0; 8];
        while let Err(error) = (&answers).read(&mut answer) {
            if error.kind() != ErrorKind::WouldBlock {
                return Err(error.into());
            }
            if let Some(ended) = recording.0.try_wait()? {
                return Err(format!("perf record: {ended}; see above").into());
            }
            sleep(LOOK_EVERY);
        }
        Ok(recording)
    }

    /// What the last recording has found; none where there was none.
    pub(crate) fn take(&self) -> Result<Option<Shares>> {
        if !self.samples.exists() {
            return Ok(None);
        }
        let report = Command::new("perf")
            .args(["report", "--stdio", "--quiet", "--field-separator", "|"])
            .args(["--fields", "overhead,comm,dso,symbol", "--comms", THREADS])
            .arg("--input")
            .arg(&self.samples)
            .output()?;
        fs::remove_file(&self.samples)?;
        if !report.status.success() {
            let said = String::from_utf8_lossy(&report.stderr);
            return Err(format!("perf report: {}", said.trim()).into());
        }
        Ok(Some(shares(&String::from_utf8_lossy(&report.stdout))))
    }
}

impl Drop for Profiler {
    fn drop(&mut self) {
        // A workload that has failed may have left it.
        let _ = fs::remove_file(&self.samples);
    }
}

impl Recording {
    /// Until now.
    pub(crate) fn end(mut self) -> Result {
        kill_process(Pid::from_child(&self.0), Signal::INT)?;
        // It ends by the signal once all is written; before that only if it may not sample.
        let ended = self.0.wait()?;
        if ended.signal() == Some(Signal::INT.as_raw()) {
            return Ok(());
        }
        Err(format!("perf record: {ended}; see above").into())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // One that has ended, as it should have, needs no more.
        let _ = self.0.kill();
    }
}

/// The shares of what is about the same, from the lines `percent|thread|program|[k] function`.
fn shares(report: &str) -> Shares {
    let mut shares = Shares::new();
    for line in report.lines() {
        let mut fields = line.split('|').map(str::trim);
        let percent = fields.next().and_then(|field| field.strip_suffix('%'));
        let percent = percent.and_then(|percent| percent.parse::<f64>().ok());
        let (Some(percent), Some(thread), Some(program), Some(function)) =
            (percent, fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        *shares.entry(kind(thread, program, function)).or_default() += percent;
    }
    let all: f64 = shares.values().sum();
    if all > 0.0 {
        for share in shares.values_mut() {
            *share /= all;
        }
    }
    shares
}

fn kind(thread: &str, program: &str, function: &str) -> String {
    let is_kernel = program.starts_with("[kernel");
    if thread != "postgres" {
        let part = if is_kernel { "kernel" } else { "program" };
        return format!("our process: {part}");
    }
    if is_kernel {
        return "PostgreSQL: kernel (disk, network, waking)".to_owned();
    }
    let name = function.trim_start_matches("[.]").trim_start();
    let known = KINDS.iter().find(|(begin, _)| name.starts_with(begin));
    let kind = known.map_or("all else", |(_, kind)| kind);
    format!("PostgreSQL: {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_kind_are_added_up() {
        let report = "# comment\n\
            30.00%|postgres|postgres|[.] _bt_compare\n\
            10.00%|postgres|postgres|[.] _bt_search\n\
            20.00%|postgres|[kernel.kallsyms]|[k] ext4_sync_file\n\
            10.00%|postgres|postgres|[.] 0x000000000001\n\
            10.00%|bench|bench|[.] serde_json::from_str\n";
        let shares = shares(report);
        let percent = |kind: &str| {
            shares
                .get(kind)
                .map(|share| format!("{:.1}", share * 100.0))
        };
        for (kind, expected) in [
            ("PostgreSQL: indexes", "50.0"),
            ("PostgreSQL: kernel (disk, network, waking)", "25.0"),
            ("PostgreSQL: all else", "12.5"),
            ("our process: program", "12.5"),
        ] {
            assert_eq!(percent(kind).as_deref(), Some(expected), "{kind}");
        }
    }
}
