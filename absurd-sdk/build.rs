//! Lists the files of `migrations/` for `src/migrate.rs`, in the order of their application.

use std::{env, ffi::OsStr, fmt::Write as _, fs, io, path::Path};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    println!("cargo::rerun-if-changed={}", root.display());
    println!(
        "cargo::rerun-if-changed={}",
        root.join("functions").display()
    );
    let mut list = String::from("const FILES: &[File] = &[\n");
    for (folder, prefix) in [(root.clone(), ""), (root.join("functions"), "functions/")] {
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension() == Some(OsStr::new("sql"))
                && let Some(name) = path.file_name()
            {
                names.push(name.to_string_lossy().into_owned());
            }
        }
        names.sort();
        for name in names {
            let path = folder.join(&name);
            writeln!(
                list,
                "    File {{ name: \"{prefix}{name}\", sql: include_str!({:?}) }},",
                path.display().to_string()
            )
            .map_err(io::Error::other)?;
        }
    }
    list += "];\n";
    #[expect(
        clippy::disallowed_methods,
        reason = "OUT_DIR is how cargo talks to a build script"
    )]
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("migrations.rs"), list)
}
