//! UVH5 as other telescopes and other writers lay it out.

use pipeline_tasks::io::{Uvh5, Uvh5Error};

use crate::{TestResult, shared_data};

/// Files, with baselines, integrations, channels and polarizations as their description says.
const REAL: [(&str, [usize; 4]); 6] = [
    ("zen.2458098", [36, 10, 64, 2]),
    ("zen.2458432", [10, 8, 64, 4]),
    ("zen.2458661", [10, 20, 4, 2]),
    ("1061315448", [8256, 1, 1, 4]),
    ("ata.LoA.C0352", [406, 1, 16, 4]),
    ("ata.LoA.C0544", [406, 1, 16, 4]),
];

#[test]
fn files_of_real_telescopes_are_read() -> TestResult {
    let Some(folder) = shared_data("real/uvh5") else {
        return Ok(());
    };
    for (prefix, expected) in REAL {
        let mut files = std::fs::read_dir(&folder)?
            .flatten()
            .map(|entry| entry.path());
        let file = files.find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(prefix)
        });
        let file = Uvh5::open(&file.ok_or(prefix)?)?;
        let header = file.header();
        let found = [
            header.baselines.len(),
            header.times.len(),
            header.frequencies.len(),
            header.polarizations.len(),
        ];
        assert_eq!(found, expected, "{prefix}");
        let last = file.integration(expected[1] - 1)?;
        assert_eq!(
            last.data.len(),
            expected[0] * expected[2] * expected[3],
            "{prefix}"
        );
        assert_eq!(last.flags.len(), last.data.len(), "{prefix}");
        let used = last
            .data
            .iter()
            .zip(&last.flags)
            .filter(|(_, flag)| !**flag);
        assert!(
            used.clone().any(|(value, _)| value.norm() > 0.0),
            "{prefix}: nothing is there"
        );
    }
    Ok(())
}

#[test]
fn baseline_dependent_averaging_is_refused() -> TestResult {
    let Some(folder) = shared_data("real/uvh5") else {
        return Ok(());
    };
    let refused = Uvh5::open(&folder.join("simulated_bda_file.uvh5"));
    let said = refused.err().ok_or("it opened")?.to_string();
    assert!(said.contains("simulated_bda_file.uvh5"), "{said}");
    assert!(said.contains("averaging"), "{said}");
    Ok(())
}

#[test]
fn empty_and_truncated_files_are_named() -> TestResult {
    let folder = tempfile::tempdir()?;
    let empty = folder.path().join("empty.hdf5");
    std::fs::write(&empty, "")?;
    assert!(matches!(Uvh5::open(&empty), Err(Uvh5Error::Empty(path)) if path == empty));
    let truncated = folder.path().join("truncated.hdf5");
    std::fs::write(&truncated, b"\x89HDF\r\n\x1a\n and no more")?;
    let said = Uvh5::open(&truncated).err().ok_or("it opened")?.to_string();
    assert!(
        said.contains("truncated.hdf5") && said.contains("copy it again"),
        "{said}"
    );
    Ok(())
}
