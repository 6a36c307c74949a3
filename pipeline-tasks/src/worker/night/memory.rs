//! What processes and the programs that they start take of memory, from `/proc`.

use std::{collections::BTreeMap, fs};

/// Highest resident sizes by name.
#[derive(Debug, Default)]
pub(super) struct Peaks(BTreeMap<String, u64>);

impl Peaks {
    /// Looks at processes and their children. The kernel keeps each one's peak, so what is missed
    /// is only the growth between the last look and a process's end.
    pub(super) fn look(&mut self, processes: &[(&'static str, u32)]) {
        for (name, process) in processes {
            self.see(name, *process);
            for child in children_of(*process) {
                if let Some(name) = field(child, "Name:") {
                    self.see(&name, child);
                }
            }
        }
    }

    fn see(&mut self, name: &str, process: u32) {
        let peak = field(process, "VmHWM:");
        let kilobytes = peak.and_then(|peak| peak.trim_end_matches(" kB").parse::<u64>().ok());
        if let Some(kilobytes) = kilobytes {
            let highest = self.0.entry(name.to_owned()).or_default();
            *highest = (*highest).max(kilobytes * 1_024);
        }
    }

    /// Names and bytes, by name.
    pub(super) fn highest(self) -> BTreeMap<String, u64> {
        // What a child is called before it becomes its program.
        let own = |name: &String| !["pipeline-worker", "setpriv"].contains(&name.as_str());
        let mut peaks = self.0;
        peaks.retain(|name, _| own(name) && !name.starts_with("tokio"));
        peaks
    }
}

/// The processes that a process has started and that live.
pub(super) fn children_of(process: u32) -> Vec<u32> {
    let mut children = Vec::new();
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    for thread in threads.into_iter().flatten().flatten() {
        let listed = fs::read_to_string(thread.path().join("children"));
        let listed = listed.unwrap_or_default();
        children.extend(listed.split_whitespace().flat_map(str::parse::<u32>));
    }
    children
}

/// A field of a process's status; none of a process that has ended.
fn field(process: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn children_are_found_and_measured() -> std::io::Result<()> {
        let mut sleeper = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()?;
        let this = std::process::id();
        let found = children_of(this);
        let mut peaks = Peaks::default();
        peaks.look(&[("this", this)]);
        sleeper.kill()?;
        sleeper.wait()?;
        assert!(found.contains(&sleeper.id()), "{found:?}");
        let peaks = peaks.highest();
        assert!(peaks.get("this").is_some_and(|bytes| *bytes > 1_000_000));
        Ok(())
    }
}
