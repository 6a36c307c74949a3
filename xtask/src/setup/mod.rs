//! Everything the checks need and a fresh machine does not have.
//!
//! Debian packages come from apt-get, the rest lands in `target/tools`, where
//! `cargo clean` finds it and nothing else is touched.

mod peers;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use self::peers::for_peers;
use crate::process::{Result, cargo, command, output, root, run};

/// A private server for each test run.
const DATABASE: &[&str] = &["postgresql", "postgresql-contrib"];
/// What the pipeline links to and calls.
const RADIO: &[&str] = &[
    "casacore-dev",
    "casacore-tools",
    "aoflagger",
    "wsclean",
    "source-extractor",
    "swarp",
    "fitsverify",
    "libhdf5-dev",
    "libcfitsio-dev",
    "pkg-config",
    "g++",
];
/// Counts the instructions of the hot path.
const COUNTER: &[&str] = &["valgrind"];
/// Samples what processors do.
const PROFILER: &[&str] = &["linux-perf"];
/// What starts the published Python client.
const PYTHON: &[&str] = &["python3-venv"];
/// What starts the published TypeScript client, where no newer Node is present.
const NODE: &[&str] = &["nodejs", "npm"];
const NODE_OLDEST: u32 = 18;

const PYTHON_PINS: &[&str] = &[
    "absurd-sdk==0.5.1",
    "absurdctl==0.5.1",
    "psycopg[binary]==3.3.9",
];
/// An older release, whose schema the adoption tests take over.
const PYTHON_PINS_04: &[&str] = &["absurdctl==0.4.0"];
const NODE_PINS: &[&str] = &["absurd-sdk@0.5.0", "pg@8.23.1"];

const NEXTEST: &str = "0.9.143";
const DENY: &str = "0.20.2";

/// Keeps the package from starting a server of its own on the default port.
const NO_CLUSTER_FILE: &str = "/etc/postgresql-common/createcluster.d/absurd.conf";
const NO_CLUSTER: &str = "create_main_cluster = false\n";

/// Where the tools lie, as variables for the commands that use them.
pub(crate) struct Tools {
    variables: Vec<(&'static str, OsString)>,
}

impl Tools {
    /// The same command, able to find the tools.
    pub(crate) fn give(&self, mut command: Command) -> Command {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Sets up what `cargo xtask test` needs.
pub(crate) fn for_tests() -> Result<Tools> {
    let node: &[&str] = if node_is_usable() { &[] } else { NODE };
    debian_packages(&[DATABASE, RADIO, COUNTER, PYTHON, node].concat())?;
    let tools = root().join("target/tools");
    let path = search_path(&tools.join("cargo/bin"))?;
    cargo_tool("nextest", "cargo-nextest", NEXTEST, &tools, &path)?;
    cargo_tool("deny", "cargo-deny", DENY, &tools, &path)?;
    let venv = python_clients(&tools.join("venv"), PYTHON_PINS)?;
    let venv_04 = python_clients(&tools.join("venv-04"), PYTHON_PINS_04)?;
    let node = node_clients(&tools)?;
    Ok(Tools {
        variables: vec![
            ("PATH", path),
            ("ABSURD_INTEROP_VENV", venv.into()),
            ("ABSURD_INTEROP_VENV_04", venv_04.into()),
            ("ABSURD_INTEROP_NODE", node.into()),
        ],
    })
}

/// Sets up what `cargo xtask bench` needs, and its option `--profile`.
pub(crate) fn for_benches(samples: bool) -> Result {
    let profiler = if samples { PROFILER } else { &[] };
    debian_packages(&[DATABASE, profiler].concat())
}

/// Sets up what `cargo xtask demo` needs.
pub(crate) fn for_demo() -> Result {
    debian_packages(&[DATABASE, RADIO].concat())
}

fn debian_packages(wanted: &[&str]) -> Result {
    if output(command("dpkg-query").arg("--version")).is_none() {
        println!(
            "No Debian packages here; make sure these exist: {}",
            wanted.join(" ")
        );
        return Ok(());
    }
    let missing: Vec<&str> = wanted
        .iter()
        .copied()
        .filter(|name| !package_is_installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() {
        return Err(format!(
            "packages are missing; install them and start again:\n\n  \
             sudo apt-get update && sudo apt-get install --yes --no-install-recommends {}\n",
            missing.join(" ")
        ));
    }
    if missing.contains(&"postgresql") {
        write(Path::new(NO_CLUSTER_FILE), NO_CLUSTER)?;
    }
    run(apt_get().args(["update", "-qq"]))?;
    run(apt_get()
        .args(["install", "--yes", "-qq", "--no-install-recommends"])
        .args(missing))
}

fn apt_get() -> Command {
    let mut apt_get = command("apt-get");
    apt_get.env("DEBIAN_FRONTEND", "noninteractive");
    apt_get
}

fn package_is_installed(name: &str) -> bool {
    let status = output(command("dpkg-query").args(["-W", "-f=${db:Status-Status}", name]));
    status.is_some_and(|status| status == "installed")
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

fn node_is_usable() -> bool {
    let new_enough = output(command("node").arg("--version"))
        .and_then(|version| node_major(&version))
        .is_some_and(|major| major >= NODE_OLDEST);
    new_enough && output(command("npm").arg("--version")).is_some()
}

fn node_major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn search_path(first: &Path) -> Result<OsString> {
    let rest = env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(first.to_path_buf()).chain(env::split_paths(&rest));
    env::join_paths(all).map_err(|error| format!("the workspace cannot be put on PATH: {error}"))
}

/// A cargo subcommand: the machine's if there is one, else built once into the cache.
fn cargo_tool(name: &str, krate: &str, version: &str, tools: &Path, path: &OsString) -> Result {
    if output(cargo().env("PATH", path).args([name, "--version"])).is_some() {
        return Ok(());
    }
    println!("{krate} is missing; building {version} into target/tools takes some minutes");
    // An unoptimized build takes a third of the time, and the work is small.
    let target = tools.join("build");
    run(cargo()
        .args([
            "install",
            "--quiet",
            "--locked",
            "--debug",
            krate,
            "--version",
            version,
        ])
        .args(["--root".as_ref(), tools.join("cargo").as_os_str()])
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env_remove("RUSTFLAGS"))?;
    fs::remove_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))
}

fn python_clients(venv: &Path, pins: &[&str]) -> Result<PathBuf> {
    pinned(venv, pins, || {
        run(command("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
        run(command(venv.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(pins))
    })?;
    Ok(venv.to_owned())
}

fn node_clients(tools: &Path) -> Result<PathBuf> {
    let folder = tools.join("node");
    pinned(&folder, NODE_PINS, || {
        write(
            &folder.join("package.json"),
            "{\"private\": true, \"type\": \"module\"}\n",
        )?;
        run(command("npm")
            .args([
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--save-exact",
            ])
            .args(NODE_PINS)
            .current_dir(&folder))
    })?;
    Ok(folder)
}

/// Fills a folder once for each list of pins, and remembers the list when it worked.
fn pinned(folder: &Path, pins: &[&str], install: impl FnOnce() -> Result) -> Result {
    let stamp = folder.join(".pins");
    let wanted = pins.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    install()?;
    write(&stamp, &wanted)
}

fn write(path: &Path, text: &str) -> Result {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("could not write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version_of_node() {
        assert_eq!(node_major("v20.20.2"), Some(20));
        assert_eq!(node_major("20.20.2"), None);
        assert_eq!(node_major("vnext"), None);
    }

    #[test]
    fn installs_once_for_each_list_of_pins() {
        let folder = env::temp_dir().join(format!("xtask-pins-{}", std::process::id()));
        let mut installs = 0;
        for pins in [["a==1"], ["a==1"], ["a==2"]] {
            pinned(&folder, &pins, || {
                installs += 1;
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(installs, 2);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_failed_install_is_tried_again() {
        let folder = env::temp_dir().join(format!("xtask-again-{}", std::process::id()));
        pinned(&folder, &["a==1"], || Err("no network".into())).unwrap_err();
        assert!(!folder.join(".pins").exists());
    }
}
