//! `cargo xtask schema`: the whole schema as one file for `psql -f`.

use crate::process::{Result, cargo, output, run};

const DUMP: &[&str] = &[
    "run",
    "--quiet",
    "--package",
    "absurd-cli",
    "--",
    "migrate",
    "--dump",
];

/// Prints the schema.
pub(crate) fn print() -> Result {
    let mut dump = cargo();
    dump.args(DUMP);
    let status = dump
        .status()
        .map_err(|error| format!("could not start cargo: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`absurd migrate --dump` ended with {status}"))
}

/// Fails unless the schema can be printed and says what it should.
pub(crate) fn check() -> Result {
    run(cargo().args(["build", "--quiet", "--package", "absurd-cli"]))?;
    let Some(dump) = output(cargo().args(DUMP)) else {
        return Err("`absurd migrate --dump` failed; run `cargo xtask schema` to see why".into());
    };
    judge(&dump)
}

fn judge(dump: &str) -> Result {
    if dump.to_lowercase().contains("create schema") {
        println!("the dump has {} lines", dump.lines().count());
        return Ok(());
    }
    Err("the dump creates no schema; look at `absurd migrate --dump`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wants_a_dump_that_creates_the_schema() {
        judge("CREATE SCHEMA IF NOT EXISTS absurd;").unwrap();
        judge("").unwrap_err();
    }
}
