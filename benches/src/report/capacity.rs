//! What databases of other sizes should carry, by arithmetic from the cost of one task.

use super::Measured;
use crate::{measure::number, outcome::Cost, table::empty, workloads};

/// The part of a database's processors that may be busy all the time: the rest is for vacuum,
/// checkpoints, backups and peaks.
const BUSY_PART: f64 = 0.7;
/// Processors of the databases on paper.
const CORES: [usize; 3] = [4, 16, 64];
/// Write-ahead log that their disks may take, in megabytes a second.
const LOG_MEGABYTES: [f64; 3] = [100.0, 400.0, 1600.0];
const MICROSECONDS: f64 = 1e6;
const MEGABYTE: f64 = 1e6;

/// A piece of work from its spawn to its end, and what it costs the database.
#[derive(Debug)]
struct Piece {
    what: String,
    wal_bytes: f64,
    processor_us: f64,
    commits: f64,
}

impl Piece {
    /// The sum of some costs, each taken so many times.
    fn of(what: String, costs: &[(&Cost, usize)]) -> Self {
        let sum = |of: fn(&Cost) -> f64| costs.iter().map(|(cost, n)| of(cost) * number(*n)).sum();
        Self {
            what,
            wal_bytes: sum(|cost| cost.wal_bytes),
            processor_us: sum(|cost| cost.postgres_cpu_us),
            commits: sum(|cost| cost.commits),
        }
    }

    /// How many a second so many processors carry.
    fn rate(&self, cores: usize) -> f64 {
        number(cores) * BUSY_PART * MICROSECONDS / self.processor_us
    }
}

/// The tables of the section on scale.
pub(super) fn text(measured: &Measured) -> String {
    let pieces = pieces(measured);
    let percent = BUSY_PART * 100.0;
    [
        "What one costs, from its spawn to its end:".to_owned(),
        costs(&pieces),
        format!("By processors, of which {percent:.0} % may be busy all the time:"),
        by_processors(&pieces),
        "By the log that the disk takes, in tasks a second:".to_owned(),
        by_log(&pieces),
        "How much of all processors the run itself has used, worker included:".to_owned(),
        used(measured),
    ]
    .join("\n\n")
}

/// What is reckoned with; pieces of which a workload has failed are left out.
fn pieces(measured: &Measured) -> Vec<Piece> {
    let steps = workloads::STEPS;
    let sum = |what: String, parts: &[(&str, &str, usize)]| {
        let cost =
            |(id, part, times): &(&str, &str, usize)| Some((measured.cost(id, part)?, *times));
        let costs: Option<Vec<(&Cost, usize)>> = parts.iter().map(cost).collect();
        Some(Piece::of(what, &costs?))
    };
    [
        sum(
            "task that does nothing, spawned in bulk".to_owned(),
            &[("W2", "spawn", 1), ("W3", "task", 1)],
        ),
        sum(
            "the same, spawned by itself".to_owned(),
            &[("W1", "spawn", 1), ("W3", "task", 1)],
        ),
        sum(
            format!("task of {steps} steps, spawned in bulk"),
            &[("W2", "spawn", 1), ("W4", "step", steps)],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn costs(pieces: &[Piece]) -> String {
    let mut table = empty(&["", "WAL bytes", "PostgreSQL µs", "commits"]);
    for piece in pieces {
        table.add_row(vec![
            piece.what.clone(),
            rough(piece.wal_bytes),
            rough(piece.processor_us),
            rough(piece.commits),
        ]);
    }
    table.to_string()
}

fn by_processors(pieces: &[Piece]) -> String {
    let mut table = empty(&["", "cores", "tasks/s", "WAL, MB/s", "commits/s"]);
    for piece in pieces {
        for cores in CORES {
            let rate = piece.rate(cores);
            table.add_row(vec![
                piece.what.clone(),
                cores.to_string(),
                rough(rate),
                rough(rate * piece.wal_bytes / MEGABYTE),
                rough(rate * piece.commits),
            ]);
        }
    }
    table.to_string()
}

fn by_log(pieces: &[Piece]) -> String {
    let mut header = vec![String::new()];
    header.extend(LOG_MEGABYTES.map(|megabytes| format!("{megabytes} MB/s")));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = empty(&header);
    for piece in pieces {
        let rate = |megabytes: f64| rough(megabytes * MEGABYTE / piece.wal_bytes);
        let mut row = vec![piece.what.clone()];
        row.extend(LOG_MEGABYTES.map(rate));
        table.add_row(row);
    }
    table.to_string()
}

/// Whether processors were what the run was short of: what is missing from all of them was spent
/// waiting, for the disk above all.
fn used(measured: &Measured) -> String {
    let cores = measured.machine.cores;
    let mut table = empty(&[
        "",
        "each",
        "measured, /s",
        "processor µs",
        "of all processors",
    ]);
    for (id, part) in [("W3", "task"), ("W4", "step")] {
        let check = measured
            .workloads
            .get(id)
            .and_then(|found| found.checks.first());
        let (Some(cost), Some(check)) = (measured.cost(id, part), check) else {
            continue;
        };
        let processor = cost.postgres_cpu_us + cost.our_cpu_us;
        let busy = check.measured.median * processor / MICROSECONDS / number(cores);
        table.add_row(vec![
            id.to_owned(),
            part.to_owned(),
            rough(check.measured.median),
            rough(processor),
            format!("{:.0} %", busy * 100.0),
        ]);
    }
    table.to_string()
}

/// Two digits, for what is reckoned can't be truer; thousands are set apart.
fn rough(number: f64) -> String {
    if !number.is_finite() {
        return "?".to_owned();
    }
    match number {
        small if small < 1.0 => return format!("{small:.2}"),
        small if small < 9.95 => return format!("{small:.1}"),
        _ => {}
    }
    let mut unit = 1.0;
    while number / unit >= 100.0 {
        unit *= 10.0;
    }
    let digits = format!("{:.0}", (number / unit).round() * unit);
    let places = digits.len();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (places - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_paper_two_digits_are_enough() {
        for (number, text) in [
            (0.025, "0.03"),
            (9.6, "9.6"),
            (9.96, "10"),
            (104.4, "100"),
            (12_345.6, "12,000"),
            (1_254_000.0, "1,300,000"),
            (f64::INFINITY, "?"),
        ] {
            assert_eq!(rough(number), text);
        }
    }

    #[test]
    fn a_rate_is_processors_over_cost() {
        let piece = Piece {
            what: String::new(),
            wal_bytes: 1000.0,
            processor_us: 70.0,
            commits: 0.01,
        };
        assert!((piece.rate(4) - 40_000.0).abs() < 1e-6);
    }
}
