//! A step's cost in our process is a budget: instructions, counted by valgrind in the build that
//! the tests have anyway. That build is not optimised, so a count says nothing of the speed that
//! users get, but it moves when the work does.

use std::{collections::BTreeMap, env, fs, path::Path, process::Command};

use serde::{Deserialize, Serialize};

/// Says that what is counted now is to be recorded.
const ACCEPT: &str = "ABSURD_INSTRUCTIONS";

/// What `instructions.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    /// How far a count may be from the recorded one, up or down, in per cent of that.
    tolerance_percent: u64,
    /// Instructions of one unit of each work.
    instructions: BTreeMap<String, u64>,
}

#[test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "the recorded counts are those of the dev profile"
)]
fn the_work_takes_as_many_instructions_as_recorded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let text = fs::read_to_string(&path).unwrap();
    let mut recorded: Recorded = serde_json::from_str(&text).unwrap();
    let program = env!("CARGO_BIN_EXE_instructions");
    let output = Command::new(program).output().unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complained}");
    let counted = serde_json::from_slice(&output.stdout).unwrap();
    if env::var_os(ACCEPT).is_some_and(|word| word == "accept") {
        recorded.instructions = counted;
        let text = serde_json::to_string_pretty(&recorded).unwrap() + "\n";
        fs::write(&path, text).unwrap();
        return;
    }
    let problems = problems(&counted, &recorded);
    assert!(
        problems.is_empty(),
        "{}\nif that is as it should be, record it and say in the commit why it changed:\n  \
         {ACCEPT}=accept cargo nextest run --package benches instructions",
        problems.join("\n")
    );
}

/// What differs, a line each. Less is a difference too: an unrecorded gain is lost unseen.
fn problems(counted: &BTreeMap<String, u64>, recorded: &Recorded) -> Vec<String> {
    let percent = recorded.tolerance_percent;
    let mut problems = Vec::new();
    for (each, count) in counted {
        let Some(known) = recorded.instructions.get(each) else {
            problems.push(format!(
                "{each}: {count} instructions, and none are recorded"
            ));
            continue;
        };
        let room = known * percent / 100;
        let word = match count {
            count if *count > known + room => "more",
            count if *count < known - room => "less",
            _ => continue,
        };
        problems.push(format!(
            "{each}: {count} instructions, {known} are recorded: {word} by over {percent} %"
        ));
    }
    let gone = recorded
        .instructions
        .keys()
        .filter(|each| !counted.contains_key(*each));
    problems.extend(gone.map(|each| format!("{each}: recorded, and not counted any more")));
    problems
}

#[test]
fn a_count_may_be_near_the_recorded_one() {
    let counts = |count| BTreeMap::from([("step".to_owned(), count)]);
    let recorded = Recorded {
        tolerance_percent: 10,
        instructions: counts(1000),
    };
    for (count, word) in [
        (1100, None),
        (900, None),
        (1101, Some("more")),
        (899, Some("less")),
    ] {
        let found = problems(&counts(count), &recorded);
        assert_eq!(
            found.len(),
            usize::from(word.is_some()),
            "{count}: {found:?}"
        );
        assert!(
            found.iter().all(|line| line.contains(word.unwrap())),
            "{found:?}"
        );
    }
    assert_eq!(
        problems(&BTreeMap::new(), &recorded).len(),
        1,
        "a work is gone"
    );
    let none = Recorded {
        tolerance_percent: 10,
        instructions: BTreeMap::new(),
    };
    assert_eq!(problems(&counts(1), &none).len(), 1, "a work is new");
}
