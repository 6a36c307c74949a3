//! Compiles the C++ shim against the casacore of the system.

use std::path::Path;

const SOURCES: [&str; 5] = [
    "shim/call.cc",
    "shim/create.cc",
    "shim/import.cc",
    "shim/read.cc",
    "shim/write.cc",
];
const LIBRARIES: [&str; 5] = [
    "casa_msfits",
    "casa_ms",
    "casa_measures",
    "casa_tables",
    "casa_casa",
];
/// Where Debian's casacore-dev puts its headers; `/usr/local` is a build from source.
const INCLUDE: [&str; 2] = ["/usr/include", "/usr/local/include"];

fn main() {
    println!("cargo::rerun-if-changed=shim");
    let header = "casacore/ms/MeasurementSets/MeasurementSet.h";
    let Some(include) = INCLUDE
        .iter()
        .find(|folder| Path::new(folder).join(header).is_file())
    else {
        println!(
            "cargo::error=casacore's headers are not installed (looked for {header} in {}). \
             Install them: apt-get install casacore-dev",
            INCLUDE.join(" and ")
        );
        return;
    };
    // /usr/include is searched anyway, and naming it breaks the C++ library's own includes.
    let mut build = cc::Build::new();
    if *include != "/usr/include" {
        build.flag("-isystem").flag(include);
        println!("cargo::rustc-link-search=native=/usr/local/lib");
    }
    build
        .cpp(true)
        .std("c++17")
        .files(SOURCES)
        .extra_warnings(true)
        .flag_if_supported("-Wno-deprecated-declarations")
        .compile("measurement_set_shim");
    for library in LIBRARIES {
        println!("cargo::rustc-link-lib=dylib={library}");
    }
}
