//! UVH5 as other telescopes and other writers lay it out.

use std::collections::BTreeSet;

use num_complex::Complex32;
use pipeline_tasks::io::{Header, Uvh5, Uvh5Error};

use crate::{TestResult, shared_data};

/// A file, what its description says of it, and what h5py finds in its last integration.
struct Real {
    /// How its name begins.
    prefix: &'static str,
    telescope: &'static str,
    /// Baselines, integrations, channels, polarizations.
    shape: [usize; 4],
    /// Antennas with data.
    antennas: usize,
    /// Lowest and highest channel in MHz.
    band: (f64, f64),
    /// AIPS codes.
    polarizations: &'static [i64],
    /// Length of an integration in seconds.
    integration: f64,
    flagged: usize,
    /// Absolute values of all real and imaginary parts together.
    sum: f64,
    /// The last visibility of the first baseline.
    value: (f32, f32),
}

const REAL: [Real; 6] = [
    // Four dimensions, single precision, as the two of DSA-110's writer.
    Real {
        prefix: "zen.2458098",
        telescope: "HERA",
        shape: [36, 10, 64, 2],
        antennas: 8,
        band: (100.0, 198.437_5),
        polarizations: &[-5, -6],
        integration: 10.737,
        flagged: 0,
        sum: 5_989.638_2,
        value: (0.002_200_126_6, 0.0),
    },
    // Whole numbers, three dimensions: straight from the correlator.
    Real {
        prefix: "zen.2458432",
        telescope: "HERA",
        shape: [10, 8, 64, 4],
        antennas: 4,
        band: (46.920_776_4, 54.611_206_1),
        polarizations: &[-5, -6, -7, -8],
        integration: 8.590,
        flagged: 0,
        sum: 3_201_593_140.0,
        value: (32_723.0, -61_414.0),
    },
    // Double precision.
    Real {
        prefix: "zen.2458661",
        telescope: "HERA",
        shape: [10, 20, 4, 2],
        antennas: 4,
        band: (46.920_776_4, 47.286_987_3),
        polarizations: &[-5, -6],
        integration: 1.879,
        flagged: 0,
        sum: 35_514_370.0,
        value: (1_295_119.0, 0.0),
    },
    // Many baselines, and flags.
    Real {
        prefix: "1061315448",
        telescope: "MWA",
        shape: [8256, 1, 1, 4],
        antennas: 128,
        band: (188.815, 188.815),
        polarizations: &[-5, -6, -7, -8],
        integration: 0.5,
        flagged: 512,
        sum: 59_832_813.373_9,
        value: (-3_037.898, 480.015_36),
    },
    // Compressed by LZF; polarizations in another order.
    Real {
        prefix: "ata.LoA.C0352",
        telescope: "ATA",
        shape: [406, 1, 16, 4],
        antennas: 28,
        band: (1_252.0, 1_259.5),
        polarizations: &[-5, -7, -8, -6],
        integration: 30.015,
        flagged: 0,
        sum: 2.970_728_249e36,
        value: (7.600_738_5, 0.0),
    },
    Real {
        prefix: "ata.LoA.C0544",
        telescope: "ATA",
        shape: [406, 1, 16, 4],
        antennas: 28,
        band: (1_260.0, 1_267.5),
        polarizations: &[-5, -7, -8, -6],
        integration: 30.015,
        flagged: 0,
        sum: 1.447_108_437e38,
        value: (12.038_158, 0.0),
    },
];

#[test]
fn files_of_real_telescopes_are_read() -> TestResult {
    let Some(folder) = shared_data("real/uvh5") else {
        return Ok(());
    };
    for real in REAL {
        let prefix = real.prefix;
        let mut files = std::fs::read_dir(&folder)?
            .flatten()
            .map(|entry| entry.path());
        let file = files.find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(prefix)
        });
        let file = Uvh5::open(&file.ok_or(prefix)?)?;
        check_header(file.header(), &real);
        let last = file.integration(real.shape[1] - 1)?;
        let [baselines, _, channels, polarizations] = real.shape;
        let cells = baselines * channels * polarizations;
        assert_eq!(
            (last.data.len(), last.flags.len()),
            (cells, cells),
            "{prefix}"
        );
        let flagged = last.flags.iter().filter(|flag| **flag).count();
        assert_eq!(flagged, real.flagged, "{prefix}");
        let absolute = |part: f32| f64::from(part).abs();
        let sum: f64 = last
            .data
            .iter()
            .map(|v| absolute(v.re) + absolute(v.im))
            .sum();
        assert!((sum / real.sum - 1.0).abs() < 1e-6, "{prefix}: {sum}");
        let value = last.data[channels * polarizations - 1];
        assert_eq!(
            value,
            Complex32::new(real.value.0, real.value.1),
            "{prefix}"
        );
    }
    Ok(())
}

fn check_header(header: &Header, real: &Real) {
    let prefix = real.prefix;
    assert_eq!(header.telescope, real.telescope, "{prefix}");
    let shape = [
        header.baselines.len(),
        header.times.len(),
        header.frequencies.len(),
        header.polarizations.len(),
    ];
    assert_eq!(shape, real.shape, "{prefix}");
    let ends = header.baselines.iter().flat_map(|ends| [ends.0, ends.1]);
    let antennas: BTreeSet<i64> = ends.collect();
    assert_eq!(antennas.len(), real.antennas, "{prefix}");
    let named = |number: &i64| header.antennas.iter().any(|a| a.number == *number);
    assert!(
        antennas.iter().all(named),
        "{prefix}: antennas without a place"
    );
    assert_eq!(header.polarizations, real.polarizations, "{prefix}");
    let (low, high) = (header.frequencies[0], header.frequencies[real.shape[2] - 1]);
    let band = (low.0 / 1e6 - real.band.0, high.0 / 1e6 - real.band.1);
    assert!(
        band.0.abs() < 1e-6 && band.1.abs() < 1e-6,
        "{prefix}: {low:?} {high:?}"
    );
    let length = header.integration.0;
    assert!(
        (length - real.integration).abs() < 0.001,
        "{prefix}: {length}"
    );
    // One after the other, without gaps. A day's fraction holds a tenth of a millisecond.
    for pair in header.times.windows(2) {
        let step = (pair[1].0 - pair[0].0) * 86_400.0;
        assert!((step - length).abs() < 0.001, "{prefix}: {step}");
    }
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
