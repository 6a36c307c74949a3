//! The report for people.

use comfy_table::{Table, presets};

use crate::{
    machine::Machine,
    measure::Spread,
    outcome::{Check, Cost, Outcome, Target},
    scale::Scale,
    workloads::Workload,
};

/// What stands above the tables.
pub(crate) fn heading(machine: &Machine, scale: &Scale) -> String {
    format!(
        "{}\nscale {}, {} rounds\n",
        machine.line(),
        scale.name,
        scale.rounds
    )
}

/// Target, measured, ratio, met or not.
pub(crate) fn targets(outcomes: &[(&Workload, Outcome)]) -> String {
    let mut table = empty(&["", "measured", "engine", "limit", "ratio", "target", ""]);
    for (workload, outcome) in outcomes {
        for check in &outcome.checks {
            table.add_row(target_row(workload.id, check));
        }
    }
    table.to_string()
}

/// What one task or step cost.
pub(crate) fn costs(outcomes: &[(&Workload, Outcome)]) -> String {
    let mut table = empty(&[
        "",
        "each",
        "WAL bytes",
        "commits",
        "statements",
        "PostgreSQL µs",
        "our µs",
        "dead rows",
        "HOT",
    ]);
    for (workload, outcome) in outcomes {
        for (part, cost) in &outcome.costs {
            table.add_row(cost_row(workload.id, part, cost));
        }
    }
    table.to_string()
}

fn empty(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::ASCII_MARKDOWN)
        .set_header(header.to_vec());
    table
}

fn target_row(id: &str, check: &Check) -> Vec<String> {
    let target = match check.target {
        Target::AtLeast(target) => format!(">= {target}"),
        Target::AtMost(target) => format!("<= {target}"),
        Target::Below(target) => format!("< {target}"),
    };
    vec![
        id.to_owned(),
        format!("{}, {}", check.what, check.unit),
        spread(&check.measured),
        check.limit.as_ref().map(spread).unwrap_or_default(),
        check
            .ratio
            .map(|ratio| format!("{ratio:.2}"))
            .unwrap_or_default(),
        target,
        if check.met { "met" } else { "NOT MET" }.to_owned(),
    ]
}

fn cost_row(id: &str, part: &str, cost: &Cost) -> Vec<String> {
    let (mut dead, mut updates, mut hot) = (0, 0, 0);
    for table in cost.tables.values() {
        dead += table.dead;
        updates += table.updates;
        hot += table.hot_updates;
    }
    let hot = (hot * 100)
        .checked_div(updates)
        .map(|percent| format!("{percent} %"));
    vec![
        id.to_owned(),
        part.to_owned(),
        format!("{:.0}", cost.wal_bytes),
        format!("{:.3}", cost.commits),
        format!("{:.3}", cost.statements),
        format!("{:.0}", cost.postgres_cpu_us),
        format!("{:.0}", cost.our_cpu_us),
        dead.to_string(),
        hot.unwrap_or_else(|| "-".to_owned()),
    ]
}

fn spread(spread: &Spread) -> String {
    let Spread {
        median, min, max, ..
    } = spread;
    format!("{} ({} to {})", short(*median), short(*min), short(*max))
}

/// Three digits are more than such numbers are good for.
fn short(number: f64) -> String {
    match number {
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(12345.6), "12346");
        assert_eq!(short(12.34), "12.3");
        assert_eq!(short(0.456), "0.46");
    }

    #[test]
    fn what_is_not_met_is_said_loudly() {
        let slow = Spread::of(vec![9.0]).unwrap();
        let check = Check::absolute("p99", "ms", slow, Target::AtMost(5.0));
        assert_eq!(target_row("W6", &check).last().unwrap(), "NOT MET");
    }
}
