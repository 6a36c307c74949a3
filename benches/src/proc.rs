//! What the system says of processes: time on the processor, and memory.

use std::{fs, process, time::Duration};

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Ticks of the processor's clock in a second, as Linux shows them to every program.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process's memory, in bytes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// What it holds now.
    pub(crate) now: u64,
    /// The most that it ever held.
    pub(crate) peak: u64,
}

/// The processor time that a process has used, all its threads together.
pub(crate) fn processor_time(pid: u32) -> Result<Duration> {
    Ok(ticks(&Stat::read(pid)?.own))
}

/// The processor time of a process, its children that have ended, and those that live.
pub(crate) fn family_time(parent: u32) -> Result<Duration> {
    let stat = Stat::read(parent)?;
    let mut time = ticks(&stat.own) + ticks(&stat.of_ended_children);
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end between the list and the look.
        if let Ok(child) = Stat::read(pid)
            && child.parent == parent
        {
            time += ticks(&child.own);
        }
    }
    Ok(time)
}

/// A process's memory now and at its highest.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(Memory {
        now: kilobytes(&text, "VmRSS:")? * 1024,
        peak: kilobytes(&text, "VmHWM:")? * 1024,
    })
}

/// This process.
pub(crate) fn own_id() -> u32 {
    process::id()
}

/// The first number of a line like `VmRSS:   1234 kB`.
pub(crate) fn kilobytes(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.ok_or_else(|| format!("the system does not say `{name}`"))?;
    Ok(number.parse()?)
}

/// The fields of `/proc/<pid>/stat` that are of use.
#[derive(Debug)]
struct Stat {
    parent: u32,
    own: [u64; 2],
    of_ended_children: [u64; 2],
}

impl Stat {
    fn read(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        Self::parse(&text).ok_or_else(|| format!("{path} can't be read: {text}").into())
    }

    fn parse(text: &str) -> Option<Self> {
        // The program's name stands in parentheses and may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let time = |at: usize| -> Option<u64> { fields.get(at)?.parse().ok() };
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: [time(11)?, time(12)?],
            of_ended_children: [time(13)?, time(14)?],
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a process would have to run for ages"
)]
fn ticks(parts: &[u64; 2]) -> Duration {
    Duration::from_secs_f64((parts[0] + parts[1]) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_disturbs_nothing() {
        let text = "7 (a) b) S 3 7 7 0 -1 4 1 2 3 4 150 50 8 2 20 0 1 0 9";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.parent, 3);
        assert_eq!(ticks(&stat.own), Duration::from_secs(2));
        assert_eq!(stat.of_ended_children, [8, 2]);
    }

    #[test]
    fn this_process_has_memory() {
        let memory = memory(own_id()).unwrap();
        assert!(memory.peak >= memory.now && memory.now > 0);
    }
}
