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
    let checks = outcomes.iter().flat_map(|(workload, outcome)| {
        let checks = outcome.checks.iter();
        checks.map(|check| (workload.id, check))
    });
    target_table(checks)
}

/// What one task or step cost.
pub(crate) fn costs(outcomes: &[(&Workload, Outcome)]) -> String {
    let costs = outcomes.iter().flat_map(|(workload, outcome)| {
        let costs = outcome.costs.iter();
        costs.map(|(part, cost)| (workload.id, *part, cost))
    });
    cost_table(costs)
}

/// The checks of workloads, a row each.
pub(crate) fn target_table<'a>(checks: impl Iterator<Item = (&'a str, &'a Check)>) -> String {
    let mut table = empty(&["", "measured", "engine", "limit", "ratio", "target", ""]);
    table.add_rows(checks.map(|(id, check)| target_row(id, check)));
    table.to_string()
}

/// The costs of workloads' parts, a row each.
pub(crate) fn cost_table<'a>(costs: impl Iterator<Item = (&'a str, &'a str, &'a Cost)>) -> String {
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
    table.add_rows(costs.map(|(id, part, cost)| cost_row(id, part, cost)));
    table.to_string()
}

/// A table without rows, in Markdown.
pub(crate) fn empty<T: ToString>(header: &[T]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::ASCII_MARKDOWN)
        .set_header(header.iter().map(ToString::to_string));
    table
}

fn target_row(id: &str, check: &Check) -> Vec<String> {
    vec![
        id.to_owned(),
        format!("{}, {}", check.what, check.unit),
        spread(&check.measured),
        check.limit.as_ref().map(spread).unwrap_or_default(),
        check
            .ratio
            .map(|ratio| format!("{ratio:.2}"))
            .unwrap_or_default(),
        target(check.target),
        if check.met { "met" } else { "NOT MET" }.to_owned(),
    ]
}

/// What is to be reached.
pub(crate) fn target(target: Target) -> String {
    match target {
        Target::AtLeast(target) => format!(">= {target}"),
        Target::AtMost(target) => format!("<= {target}"),
        Target::Below(target) => format!("< {target}"),
    }
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
pub(crate) fn short(number: f64) -> String {
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
