//! What `cargo xtask bench --peers` needs: the libraries of three registries, each pinned in
//! `benches/peers`, installed in `target/tools/peers`.

use std::fs;
use std::path::Path;

use super::{DATABASE, NODE, PYTHON, debian_packages, node_is_usable, pinned, write};
use crate::process::{Result, cargo, command, root, run};

/// What some of the Rust peers link to.
const LIBRARIES: &[&str] = &["libssl-dev", "pkg-config"];

/// Sets it up.
pub(crate) fn for_peers() -> Result {
    let node: &[&str] = if node_is_usable() { &[] } else { NODE };
    debian_packages(&[DATABASE, PYTHON, LIBRARIES, node].concat())?;
    let (sources, tools) = (
        root().join("benches/peers"),
        root().join("target/tools/peers"),
    );
    python(&sources.join("python"), &tools.join("python"))?;
    node_packages(&sources.join("node"), &tools.join("node"))?;
    rust(&sources.join("rust"), &tools.join("rust"))
}

fn python(source: &Path, venv: &Path) -> Result {
    let list = source.join("requirements.txt");
    pinned(venv, &[&read(&list)?], || {
        run(command("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
        run(command(venv.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&list))
    })
}

fn node_packages(source: &Path, folder: &Path) -> Result {
    let lists = ["package.json", "package-lock.json"];
    let texts = [read(&source.join(lists[0]))?, read(&source.join(lists[1]))?];
    pinned(folder, &[&texts[0], &texts[1]], || {
        for (list, text) in lists.iter().zip(&texts) {
            write(&folder.join(list), text)?;
        }
        // No package here needs its install script.
        run(command("npm")
            .args([
                "ci",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
            ])
            .current_dir(folder))
    })?;
    // Node looks for packages beside the script.
    let failed = |error| format!("{}: {error}", source.display());
    for entry in fs::read_dir(source).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let (Some("mjs"), Some(name)) = (
            path.extension().and_then(|extension| extension.to_str()),
            path.file_name(),
        ) {
            write(&folder.join(name), &read(&path)?)?;
        }
    }
    Ok(())
}

fn rust(source: &Path, target: &Path) -> Result {
    run(cargo()
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--manifest-path",
        ])
        .arg(source.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .env_remove("RUSTFLAGS"))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("could not read {}: {error}", path.display()))
}
