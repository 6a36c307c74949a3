//! Every name of a setting, once: `docs/config.md` is checked against this table.

/// A setting of the worker, from the environment or the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// The variable, and a second one that means the same.
    pub(super) names: &'static [&'static str],
    /// What it is about, in the words of the documents.
    pub(super) meaning: &'static str,
    /// What holds where it is absent.
    pub(super) default: &'static str,
}

const fn key(names: &'static [&'static str], meaning: &'static str, default: &'static str) -> Key {
    Key {
        names,
        meaning,
        default,
    }
}

pub(super) const ENABLED: Key = key(
    &["ABSURD_ENABLED"],
    "`false` keeps workers from starting",
    "`true`",
);
pub(super) const DATABASE_URL: Key = key(
    &["ABSURD_DATABASE_URL"],
    "the database, as `postgresql://user:password@host:port/name`; TLS by `sslmode`, \
     `sslrootcert`, `sslcert`, `sslkey`",
    "`PGDATABASE`, then `postgresql://localhost/absurd`",
);
pub(super) const QUEUE_NAME: Key = key(&["ABSURD_QUEUE_NAME"], "the queue", "`dsa110-pipeline`");
pub(super) const CONCURRENCY: Key = key(&["ABSURD_WORKER_CONCURRENCY"], "tasks at once", "4");
pub(super) const POLL_INTERVAL: Key = key(
    &[
        "ABSURD_WORKER_POLL_INTERVAL_SEC",
        "ABSURD_WORKER_POLL_INTERVAL",
    ],
    "seconds between two looks, beside notifications",
    "1",
);
pub(super) const TASK_TIMEOUT: Key = key(
    &["ABSURD_TASK_TIMEOUT_SEC", "ABSURD_TASK_TIMEOUT"],
    "seconds that a program of the field may run",
    "3600",
);
pub(super) const MAX_RETRIES: Key = key(&["ABSURD_MAX_RETRIES"], "attempts of a task", "3");
pub(super) const INPUT_DIR: Key = key(
    &["PIPELINE_INPUT_DIR"],
    "where the correlator's files arrive",
    "`/data/incoming`",
);
pub(super) const OUTPUT_DIR: Key = key(
    &["PIPELINE_OUTPUT_DIR"],
    "where products go, and what is half-made",
    "`/stage/dsa110-contimg`",
);
pub(super) const CATALOGUE: Key = key(
    &["PIPELINE_CATALOGUE"],
    "the sources of the field, as CSV",
    "none",
);
pub(super) const VLA_CALIBRATORS: Key = key(
    &["PIPELINE_VLA_CALIBRATORS"],
    "NRAO's list of calibrators of the VLA",
    "none",
);
pub(super) const STAGE_QUEUES: Key = key(
    &["PIPELINE_STAGE_QUEUES"],
    "stages that workers of other queues run: `imaging=imaging, photometry=pybdsf`",
    "none",
);

pub(super) const MOSAIC_SCHEDULE: Key = key(
    &["PIPELINE_MOSAIC_SCHEDULE"],
    "when windows of groups become mosaics, as a cron pattern in UTC, for example `*/10 * * * *`",
    "never",
);
pub(super) const MOSAIC_WAIT: Key = key(
    &["PIPELINE_MOSAIC_WAIT_SEC"],
    "seconds without a new group after which a window that lacks groups becomes a mosaic",
    "21600",
);

/// All settings of the worker.
pub(super) const KEYS: [Key; 14] = [
    ENABLED,
    DATABASE_URL,
    QUEUE_NAME,
    CONCURRENCY,
    POLL_INTERVAL,
    TASK_TIMEOUT,
    MAX_RETRIES,
    INPUT_DIR,
    OUTPUT_DIR,
    CATALOGUE,
    VLA_CALIBRATORS,
    MOSAIC_SCHEDULE,
    MOSAIC_WAIT,
    STAGE_QUEUES,
];

/// Names the file; so it can't stand in there.
pub(super) const CONFIG: &str = "PIPELINE_CONFIG";

/// Names that other parts of the system read, from the environment only.
pub(super) const ELSEWHERE: [&str; 18] = [
    CONFIG,
    "ABSURD_POOL_MAX_SIZE",
    "ABSURD_API_KEY",
    "ABSURD_LOG",
    "ABSURD_DEMO_FOLDER",
    "ABSURD_SCHEMAS",
    "ABSURD_TEST_DATABASE_URL",
    "ABSURD_TEST_KILL",
    "ABSURD_INTEROP_VENV",
    "ABSURD_INTEROP_VENV_04",
    "ABSURD_INTEROP_NODE",
    "ABSURD_PYBDSF_VENV",
    "ABSURD_CASA_VENV",
    "ABSURD_DENY_ADVISORIES",
    "PIPELINE_BRIDGE_SETTLE",
    "PIPELINE_BRIDGE_DEADLINE",
    "PIPELINE_BRIDGE_QUEUE_MAX",
    "PIPELINE_BRIDGE_DISK_MIN",
];

/// Names of the operators' documents that change nothing here, and why.
pub(super) const WITHOUT_EFFECT: [(&str, &str); 3] = [
    (
        "ABSURD_DLQ_ENABLED",
        "tasks without an attempt left are always kept as dead letters",
    ),
    (
        "ABSURD_DLQ_QUEUE_NAME",
        "dead letters are kept in one place, with the names of their queues",
    ),
    (
        "PIPELINE_PRODUCTS_DB",
        "products are registered in schema `pipeline` of the engine's database",
    ),
];

/// All names, of whatever kind.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let own = KEYS.iter().flat_map(|key| key.names.iter().copied());
    let without = WITHOUT_EFFECT.iter().map(|(name, _)| *name);
    own.chain(ELSEWHERE).chain(without)
}

/// How a name is written in the file: `ABSURD_QUEUE_NAME` is `queue_name` in section `absurd`.
pub(super) fn in_file(name: &str) -> String {
    name.to_ascii_lowercase().replacen('_', ".", 1)
}

/// The one that takes the fewest changed letters.
pub(super) fn nearest<T: AsRef<str>>(name: &str, known: impl Iterator<Item = T>) -> Option<T> {
    known.min_by_key(|known| distance(name, known.as_ref()))
}

/// Letters to add, drop or replace (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let mut next = vec![left];
        for (above, other) in row.iter().skip(1).zip(&to) {
            let replaced = diagonal + usize::from(letter != *other);
            left = replaced.min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    const DOCUMENT: &str = include_str!("../../../docs/config.md");

    fn is_name(text: &str) -> bool {
        let is_ours = text.starts_with("ABSURD_") || text.starts_with("PIPELINE_");
        is_ours
            && text
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    }

    /// The names in the first column of a row.
    fn documented(row: &str) -> impl Iterator<Item = &str> {
        let cell = row
            .strip_prefix("| ")
            .and_then(|row| row.split(" |").next());
        cell.unwrap_or_default()
            .split('`')
            .filter(|text| is_name(text))
    }

    #[test]
    fn the_documents_list_every_name_and_no_other() {
        let listed: Vec<&str> = DOCUMENT.lines().flat_map(documented).collect();
        let once: BTreeSet<&str> = listed.iter().copied().collect();
        assert_eq!(listed.len(), once.len(), "each stands once: {listed:?}");
        assert_eq!(
            once,
            names().collect(),
            "left: docs/config.md, right: keys.rs"
        );
    }

    #[test]
    fn the_documents_say_what_the_code_does() {
        for key in KEYS {
            let names: Vec<String> = key.names.iter().map(|name| format!("`{name}`")).collect();
            let row = format!(
                "| {} | {} | {} |",
                names.join(", "),
                key.meaning,
                key.default
            );
            assert!(
                DOCUMENT.lines().any(|line| line == row),
                "docs/config.md lacks\n{row}"
            );
        }
        for (name, why) in WITHOUT_EFFECT {
            let row = format!("| `{name}` | {why} |");
            assert!(
                DOCUMENT.lines().any(|line| line == row),
                "docs/config.md lacks\n{row}"
            );
        }
    }

    /// Names that the crate's other sources speak of, as whole strings.
    fn used(folder: &Path, names: &mut BTreeSet<String>) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if !path.ends_with("src/config") {
                    used(&path, names)?;
                }
            } else {
                let text = fs::read_to_string(&path)?;
                names.extend(
                    text.split('"')
                        .filter(|text| is_name(text))
                        .map(str::to_owned),
                );
            }
        }
        Ok(())
    }

    #[test]
    fn no_other_file_reads_a_name_of_its_own() -> std::io::Result<()> {
        let mut found = BTreeSet::new();
        used(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut found,
        )?;
        assert!(found.contains("PIPELINE_BRIDGE_SETTLE"), "{found:?}");
        for name in found {
            assert!(names().any(|known| known == name), "add {name} to keys.rs");
        }
        Ok(())
    }

    #[test]
    fn slips_of_the_pen_are_understood() {
        assert_eq!(nearest("ABSURD_QUEUE", names()), Some("ABSURD_QUEUE_NAME"));
        assert_eq!(
            nearest("PIPELINE_OUPUT_DIR", names()),
            Some("PIPELINE_OUTPUT_DIR")
        );
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "ab"), distance("ab", "")), (2, 2));
        assert_eq!(in_file("PIPELINE_OUTPUT_DIR"), "pipeline.output_dir");
    }
}
