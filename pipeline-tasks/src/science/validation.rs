//! Whether an image is as good as it should be: what it measures against a catalogue and against
//! itself.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    crossmatch::{CrossMatch, Match},
    source_finding::{Plane, noise},
    statistics::{count, median, scatter},
};
use crate::model::Jansky;

/// Positions need so many sources to be judged,
const ASTROMETRY_MATCHES_MIN: usize = 5;
/// and flux densities so many.
const FLUX_MATCHES_MIN: usize = 3;
/// Offsets of positions, root mean square, from where on they are warned of and fail, in
/// arcseconds.
pub(crate) const OFFSET_LIMITS: (f64, f64) = (2.5, 5.0);
/// Errors of the flux scale from where on they are warned of and fail, as a share.
pub(crate) const FLUX_LIMITS: (f64, f64) = (0.1, 0.2);
/// A fainter source says more about the noise than about the image's scale and place.
const SNR_MIN: f64 = 5.0;
/// A pixel this many times above the noise is lit.
const LIT_SNR: f64 = 5.0;

/// How a check came out. Ordered: the worst is the greatest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// To be looked at; also where there is too little to judge by.
    Warn,
    /// Not fit for use.
    Fail,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

/// From where on a value is bad.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CheckLimits {
    /// More is worse: a warning above the first, a failure above the second.
    Above {
        /// A warning.
        warn: f64,
        /// A failure; none if the check only warns.
        fail: Option<f64>,
    },
    /// Less is worse: a warning below the first, a failure below the second.
    Below {
        /// A warning.
        warn: f64,
        /// A failure; none if the check only warns.
        fail: Option<f64>,
    },
}

impl CheckLimits {
    /// How a value comes out. What is no number, or has no end, fails.
    pub fn judge(&self, value: f64) -> Outcome {
        let (warns, fails) = match self {
            Self::Above { warn, fail } => (value > *warn, fail.is_some_and(|fail| value > fail)),
            Self::Below { warn, fail } => (value < *warn, fail.is_some_and(|fail| value < fail)),
        };
        if fails || !value.is_finite() {
            Outcome::Fail
        } else if warns {
            Outcome::Warn
        } else {
            Outcome::Pass
        }
    }
}

/// What an image was asked and what came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What was asked.
    pub name: String,
    /// What was measured; none where there was too little to measure it by, and where that came
    /// to no number.
    pub value: Option<f64>,
    /// The unit of value and limits; empty for shares and ratios.
    pub unit: String,
    /// From where on it is bad.
    pub limits: CheckLimits,
    /// How it came out.
    pub outcome: Outcome,
    /// What the value is made of, or why there is none.
    pub note: String,
}

impl Check {
    fn of(name: &str, unit: &str, limits: CheckLimits, measured: Measured) -> Self {
        let value = measured.value.filter(|value| value.is_finite());
        // Too little to judge by is a warning; a value that is no number is a failure.
        let outcome = match measured.value {
            Some(value) => limits.judge(value),
            None => Outcome::Warn,
        };
        Self {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            limits,
            outcome,
            note: measured.note,
        }
    }
}

/// A value and what it is made of.
struct Measured {
    value: Option<f64>,
    note: String,
}

impl Measured {
    /// A figure of sources, if they are enough.
    fn of_sources(values: &[f64], least: usize, figure: impl Fn(&[f64]) -> Option<f64>) -> Self {
        let found = values.len();
        if found < least {
            return Self {
                value: None,
                note: format!("{found} sources; {least} are needed"),
            };
        }
        Self {
            value: figure(values),
            note: format!("{found} sources"),
        }
    }

    /// A share of a whole, which is not to be empty.
    fn share(part: usize, whole: usize, of_what: &str) -> Self {
        Self {
            value: (whole > 0).then(|| count(part) / count(whole)),
            note: format!("{part} of {whole} {of_what}"),
        }
    }
}

/// What an image says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImageNumbers {
    /// The highest pixel.
    pub peak: Jansky,
    /// The noise of the image.
    pub rms: Jansky,
    /// How many pixels are more than five times the noise.
    pub lit_pixels: usize,
}

impl ImageNumbers {
    /// Measures an image; none if every pixel is blank.
    pub fn of(plane: &Plane) -> Option<Self> {
        let rms = noise(plane)?;
        let (x, y) = plane.maximum()?;
        let values = plane.values.iter().map(|value| f64::from(*value));
        let lit = values.filter(|value| *value > LIT_SNR * rms);
        Some(Self {
            peak: Jansky(f64::from(plane.at(x, y))),
            rms: Jansky(rms),
            lit_pixels: lit.count(),
        })
    }
}

/// What an image is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The image against a catalogue, within the field it shows.
    pub crossmatch: &'a CrossMatch,
    /// The image alone.
    pub image: ImageNumbers,
    /// From here on a source of the catalogue should have been found: the threshold of the search,
    /// with a margin for noise.
    pub complete_above: Jansky,
    /// The noise that the instrument should leave, if somebody knows it.
    pub noise_expected: Option<Jansky>,
}

/// Asks an image everything. Positions and flux densities are judged by the sources of five times
/// their noise or more.
pub fn validate(evidence: &Evidence<'_>) -> Vec<Check> {
    let matches = &evidence.crossmatch.matches;
    let clear: Vec<_> = matches
        .iter()
        .filter(|pair| pair.measured.snr() >= SNR_MIN)
        .collect();
    let mut checks = astrometry(&clear);
    checks.extend(flux_scale(&clear));
    checks.extend(source_counts(evidence));
    checks.extend(image_numbers(evidence));
    checks
}

/// The worst outcome of all; a warning if nothing was asked.
pub fn verdict(checks: &[Check]) -> Outcome {
    let outcomes = checks.iter().map(|check| check.outcome);
    outcomes.max().unwrap_or(Outcome::Warn)
}

fn astrometry(matches: &[&Match]) -> Vec<Check> {
    let squares: Vec<_> = matches
        .iter()
        .map(|pair| pair.separation.0.powi(2))
        .collect();
    let rms = Measured::of_sources(&squares, ASTROMETRY_MATCHES_MIN, |squares| {
        Some((squares.iter().sum::<f64>() / count(squares.len())).sqrt())
    });
    let east: Vec<_> = matches.iter().map(|pair| pair.offset.ra.0).collect();
    let north = matches.iter().map(|pair| pair.offset.dec.0);
    let mut shift = Measured::of_sources(&east, ASTROMETRY_MATCHES_MIN, |east| {
        Some(median(east.iter().copied())?.hypot(median(north.clone())?))
    });
    if let (Some(_), Some(east), Some(north)) =
        (shift.value, median(east.iter().copied()), median(north))
    {
        shift.note = format!("{east:+.2} arcsec east, {north:+.2} north, {}", shift.note);
    }
    let rms_limits = CheckLimits::Above {
        warn: OFFSET_LIMITS.0,
        fail: Some(OFFSET_LIMITS.1),
    };
    let shift_limits = CheckLimits::Above {
        warn: 2.0,
        fail: None,
    };
    vec![
        Check::of("astrometry: rms offset", "arcsec", rms_limits, rms),
        Check::of("astrometry: median offset", "arcsec", shift_limits, shift),
    ]
}

fn flux_scale(matches: &[&Match]) -> Vec<Check> {
    let ratios: Vec<_> = matches
        .iter()
        .filter_map(|pair| pair.flux_ratio())
        .collect();
    let middle = median(ratios.iter().copied());
    let mut error = Measured::of_sources(&ratios, FLUX_MATCHES_MIN, |_| {
        middle.map(|middle| (middle - 1.0).abs())
    });
    if let (Some(_), Some(middle)) = (error.value, middle) {
        error.note = format!(
            "median of measured over expected {middle:.3}, {}",
            error.note
        );
    }
    let spread = Measured::of_sources(&ratios, FLUX_MATCHES_MIN, scatter);
    let error_limits = CheckLimits::Above {
        warn: FLUX_LIMITS.0,
        fail: Some(FLUX_LIMITS.1),
    };
    let spread_limits = CheckLimits::Above {
        warn: 0.3,
        fail: None,
    };
    vec![
        Check::of("flux scale: error of the median", "", error_limits, error),
        Check::of("flux scale: scatter of ratios", "", spread_limits, spread),
    ]
}

fn source_counts(evidence: &Evidence<'_>) -> Vec<Check> {
    let CrossMatch {
        matches,
        new,
        missing,
    } = evidence.crossmatch;
    let bright = |expected: Jansky| expected.0 >= evidence.complete_above.0;
    let found = matches.iter().filter(|pair| bright(pair.expected)).count();
    let lost = missing.iter().filter(|entry| bright(entry.expected));
    let all = found + lost.count();
    let complete = Measured::share(
        found,
        all,
        &format!(
            "entries above {:.1} mJy",
            1_000.0 * evidence.complete_above.0
        ),
    );
    let unlisted = Measured::share(
        new.len(),
        new.len() + matches.len(),
        "sources are not in the catalogue",
    );
    let complete_limits = CheckLimits::Below {
        warn: 0.95,
        fail: Some(0.7),
    };
    let unlisted_limits = CheckLimits::Above {
        warn: 0.3,
        fail: None,
    };
    vec![
        Check::of("completeness", "", complete_limits, complete),
        Check::of("false positives", "", unlisted_limits, unlisted),
    ]
}

fn image_numbers(evidence: &Evidence<'_>) -> Vec<Check> {
    let ImageNumbers {
        peak,
        rms,
        lit_pixels,
    } = evidence.image;
    let milli = |flux: Jansky| 1_000.0 * flux.0;
    let range = Measured {
        value: Some(peak.0 / rms.0),
        note: format!(
            "peak {:.2}, noise {:.2} mJy per beam",
            milli(peak),
            milli(rms)
        ),
    };
    let lit = Measured {
        value: Some(count(lit_pixels)),
        note: format!("pixels above {LIT_SNR} times the noise"),
    };
    let range_limits = CheckLimits::Below {
        warn: 5.0,
        fail: None,
    };
    let lit_limits = CheckLimits::Below {
        warn: 10.0,
        fail: None,
    };
    let mut checks = vec![
        Check::of("dynamic range", "", range_limits, range),
        Check::of("lit pixels", "", lit_limits, lit),
    ];
    if let Some(expected) = evidence.noise_expected {
        let excess = Measured {
            value: Some(rms.0 / expected.0),
            note: format!(
                "{:.2}, expected {:.2} mJy per beam",
                milli(rms),
                milli(expected)
            ),
        };
        let limits = CheckLimits::Above {
            warn: 1.5,
            fail: Some(3.0),
        };
        checks.push(Check::of("noise over expected noise", "", limits, excess));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Arcseconds, CatalogueSource, SPECTRAL_INDEX_USUAL, SkyPosition},
        science::{MatchMethod, MeasuredSource, PositionError, crossmatch},
    };

    /// A field of listed sources, of which an image shows some: moved, scaled, at a ratio of 50 to
    /// the noise.
    fn field(shown: u32, listed: u32, moved: (f64, f64), scale: f64) -> CrossMatch {
        let position = |index: u32, east: f64, north: f64| {
            let dec = f64::from(index) / 10.0 + north / 3_600.0;
            SkyPosition::from_degrees(10.0 + east / 3_600.0, dec)
        };
        let catalogue: Vec<_> = (0..listed)
            .map(|index| CatalogueSource {
                name: format!("S{index}"),
                position: position(index, 0.0, 0.0),
                flux: Jansky(0.1 * f64::from(index + 1)),
                spectral_index: SPECTRAL_INDEX_USUAL,
            })
            .collect();
        let measured: Vec<_> = (0..shown)
            .map(|index| {
                let flux = 0.1 * f64::from(index + 1) * scale;
                MeasuredSource {
                    position: position(index, moved.0, moved.1),
                    position_error: PositionError::round(Arcseconds(1.0)),
                    flux: Jansky(flux),
                    flux_error: Jansky(flux / 50.0),
                }
            })
            .collect();
        crossmatch(&measured, &catalogue, MatchMethod::default(), |source| {
            source.flux
        })
    }

    fn checks(crossmatch: &CrossMatch) -> Vec<Check> {
        validate(&Evidence {
            crossmatch,
            image: ImageNumbers {
                peak: Jansky(1.0),
                rms: Jansky(0.001),
                lit_pixels: 500,
            },
            complete_above: Jansky(0.05),
            noise_expected: Some(Jansky(0.001)),
        })
    }

    fn find<'a>(checks: &'a [Check], name: &str) -> &'a Check {
        checks.iter().find(|check| check.name == name).unwrap()
    }

    fn expect(crossmatch: &CrossMatch, name: &str, value: f64, outcome: Outcome) {
        let checks = checks(crossmatch);
        let check = find(&checks, name);
        let close = check
            .value
            .is_some_and(|found| (found - value).abs() < 1e-3);
        assert!(close && check.outcome == outcome, "{check:?}");
    }

    #[test]
    fn a_good_image_passes() {
        let checks = checks(&field(10, 10, (0.3, -0.4), 1.02));
        assert_eq!(verdict(&checks), Outcome::Pass, "{checks:?}");
        assert_eq!(checks.len(), 9);
    }

    #[test]
    fn a_shifted_image_is_noticed() {
        let name = "astrometry: rms offset";
        expect(&field(10, 10, (0.0, 2.4), 1.0), name, 2.4, Outcome::Pass);
        expect(&field(10, 10, (0.0, -3.0), 1.0), name, 3.0, Outcome::Warn);
        expect(&field(10, 10, (0.0, 6.0), 1.0), name, 6.0, Outcome::Fail);
        let name = "astrometry: median offset";
        expect(&field(10, 10, (0.0, -2.4), 1.0), name, 2.4, Outcome::Warn);
        let few = checks(&field(4, 4, (0.0, 9.0), 1.0));
        let check = find(&few, name);
        assert_eq!((check.value, check.outcome), (None, Outcome::Warn));
        assert_eq!(check.note, "4 sources; 5 are needed");
    }

    #[test]
    fn a_wrong_flux_scale_is_noticed() {
        let name = "flux scale: error of the median";
        expect(&field(5, 5, (0.0, 0.0), 0.92), name, 0.08, Outcome::Pass);
        expect(&field(5, 5, (0.0, 0.0), 0.85), name, 0.15, Outcome::Warn);
        expect(&field(5, 5, (0.0, 0.0), 1.3), name, 0.3, Outcome::Fail);
    }

    #[test]
    fn scattered_fluxes_are_noticed() {
        let mut scattered = field(5, 5, (0.0, 0.0), 1.0);
        for (pair, ratio) in scattered
            .matches
            .iter_mut()
            .zip([0.5, 0.75, 1.0, 1.25, 1.5])
        {
            pair.measured.flux = Jansky(pair.expected.0 * ratio);
        }
        let name = "flux scale: scatter of ratios";
        expect(&scattered, name, 1.4826 * 0.25, Outcome::Warn);
    }

    #[test]
    fn lost_sources_are_noticed() {
        let name = "completeness";
        expect(&field(9, 10, (0.0, 0.0), 1.0), name, 0.9, Outcome::Warn);
        expect(&field(6, 10, (0.0, 0.0), 1.0), name, 0.6, Outcome::Fail);
        // Faint entries need not be seen.
        let mut faint = field(9, 10, (0.0, 0.0), 1.0);
        faint.missing[0].expected = Jansky(0.01);
        expect(&faint, name, 1.0, Outcome::Pass);
        let nothing = checks(&CrossMatch::default());
        assert_eq!(find(&nothing, name).outcome, Outcome::Warn);
    }

    #[test]
    fn sources_of_no_catalogue_are_noticed() {
        let name = "false positives";
        expect(&field(10, 8, (0.0, 0.0), 1.0), name, 0.2, Outcome::Pass);
        expect(&field(10, 5, (0.0, 0.0), 1.0), name, 0.5, Outcome::Warn);
    }

    #[test]
    fn faint_sources_do_not_judge_the_scale() {
        let mut faint = field(10, 10, (0.0, 0.0), 1.0);
        for pair in faint.matches.iter_mut().take(6) {
            pair.measured.flux = Jansky(4.0 * pair.measured.flux_error.0);
        }
        let checks = checks(&faint);
        let error = find(&checks, "flux scale: error of the median");
        assert_eq!(error.outcome, Outcome::Pass, "{error:?}");
        assert!(find(&checks, "astrometry: rms offset").value.is_none());
    }

    #[test]
    fn numbers_of_an_image_are_judged() {
        let crossmatch = field(10, 10, (0.0, 0.0), 1.0);
        let judge = |peak: f64, rms: f64, lit_pixels| {
            validate(&Evidence {
                crossmatch: &crossmatch,
                image: ImageNumbers {
                    peak: Jansky(peak),
                    rms: Jansky(rms),
                    lit_pixels,
                },
                complete_above: Jansky(0.05),
                noise_expected: Some(Jansky(0.001)),
            })
        };
        let poor = judge(0.004, 0.002, 3);
        for name in ["dynamic range", "lit pixels", "noise over expected noise"] {
            assert_eq!(find(&poor, name).outcome, Outcome::Warn, "{name}");
        }
        let noisy = judge(1.0, 0.01, 300);
        let excess = find(&noisy, "noise over expected noise");
        assert_eq!(excess.outcome, Outcome::Fail);
        for peak in [0.0, 1.0] {
            let blank = judge(peak, 0.0, 300);
            let range = find(&blank, "dynamic range");
            assert_eq!((range.value, range.outcome), (None, Outcome::Fail));
        }
    }

    #[test]
    fn an_image_is_measured() {
        let mut values = vec![0.0_f32; 100];
        for (index, value) in values.iter_mut().enumerate() {
            *value = if index % 2 == 0 { 0.001 } else { -0.001 };
        }
        values[17] = 0.5;
        values[18] = 0.4;
        values[50] = f32::NAN;
        let plane = Plane {
            width: 10,
            height: 10,
            values,
        };
        let numbers = ImageNumbers::of(&plane).unwrap();
        assert!((numbers.peak.0 - 0.5).abs() < 1e-6 && numbers.lit_pixels == 2);
        assert!(
            numbers.rms.0 > 0.0014 && numbers.rms.0 < 0.003,
            "{numbers:?}"
        );
    }
}
