//! Is a mosaic good? Its measures, and the limits of the three tiers.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    source_finding::{Plane, noise},
    statistics::{count, median},
};
use crate::model::{Arcseconds, Jansky, Seconds};

/// Pixels this many times above or below the noise are no noise.
const SIGNIFICANT: f32 = 5.0;
/// Fewer matched sources say nothing of the astrometry.
const MATCHES_MIN: usize = 3;
const HOUR_SECONDS: f64 = 3_600.0;

/// What a mosaic is for, which decides how good it has to be.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum MosaicTier {
    /// A first look within minutes.
    Quicklook,
    /// For measurements.
    Science,
    /// The sum of many nights.
    Deep,
}

impl fmt::Display for MosaicTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quicklook => "quicklook",
            Self::Science => "science",
            Self::Deep => "deep",
        })
    }
}

/// What a tier takes and demands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TierRules {
    /// At most so many images.
    pub images_max: usize,
    /// Images with more noise are left out.
    pub rms_max: Jansky,
    /// The median offset from the catalogue: above the first it is a warning, above the second a
    /// failure.
    pub astrometry: (Arcseconds, Arcseconds),
    /// The peak over the noise, at least.
    pub dynamic_range_min: f64,
    /// The artefact score, at most; above it is a warning.
    pub artefacts_max: f64,
    /// The noise that the weights promise over the one that is measured, at least.
    pub noise_efficiency_min: f64,
    /// How long making it may take.
    pub limit: Duration,
}

impl MosaicTier {
    /// The tier of observations that span this time: an hour, two days, more.
    pub fn of_span(span: Seconds) -> Self {
        if span.0 < HOUR_SECONDS {
            Self::Quicklook
        } else if span.0 <= 48.0 * HOUR_SECONDS {
            Self::Science
        } else {
            Self::Deep
        }
    }

    /// Its limits, those that the telescope's team uses.
    pub fn rules(self) -> TierRules {
        let science = TierRules {
            images_max: 100,
            rms_max: Jansky(1e-3),
            astrometry: (Arcseconds(0.3), Arcseconds(0.5)),
            dynamic_range_min: 100.0,
            artefacts_max: 0.5,
            noise_efficiency_min: 0.5,
            limit: Duration::from_mins(30),
        };
        match self {
            Self::Quicklook => TierRules {
                images_max: 10,
                rms_max: Jansky(10e-3),
                astrometry: (Arcseconds(0.5), Arcseconds(1.0)),
                dynamic_range_min: 50.0,
                noise_efficiency_min: 0.3,
                limit: Duration::from_mins(5),
                ..science
            },
            Self::Science => science,
            Self::Deep => TierRules {
                images_max: 1_000,
                rms_max: Jansky(0.5e-3),
                limit: Duration::from_hours(2),
                ..science
            },
        }
    }
}

/// What the pixels of a mosaic say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MosaicMeasures {
    /// The median of the noise that the weights promise, over the covered pixels.
    pub expected_noise: Jansky,
    /// The share of pixels that have a weight.
    pub coverage: f64,
    /// The highest pixel over the noise measured in the mosaic, each in units of the noise that
    /// the weights promise there: the noise of a mosaic rises towards its edges.
    pub dynamic_range: f64,
    /// Pixels below minus five times the noise over pixels above plus five times, at most one. The
    /// sky is nowhere negative, so deep holes are sidelobes, and as many peaks are, too.
    pub artefacts: f64,
    /// The noise that the weights promise over the one that is measured; one in the best case.
    pub noise_efficiency: f64,
}

/// Measures a mosaic by its weights, which are one over the square of the noise in Jy/beam.
/// None if the planes differ in size, or no pixel has a weight, or the mosaic has no noise at all.
pub fn measure_mosaic(image: &Plane, weight: &Plane) -> Option<MosaicMeasures> {
    if (image.width, image.height) != (weight.width, weight.height) {
        return None;
    }
    let pixels = image.values.iter().zip(&weight.values);
    let covered = pixels.filter(|(value, weight)| value.is_finite() && **weight > 0.0);
    let significance = covered.map(|(value, weight)| value * weight.sqrt());
    let significance = Plane {
        width: image.width,
        height: image.height,
        values: significance.collect(),
    };
    let expected_noise = expected_noise(weight)?;
    let scale = noise(&significance).filter(|scale| *scale > 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "pixels are single precision"
    )]
    let threshold = SIGNIFICANT * scale as f32;
    let values = || significance.values.iter().copied();
    let above = values().filter(|value| *value > threshold).count();
    let below = values().filter(|value| *value < -threshold).count();
    let peak = values().fold(f32::NEG_INFINITY, f32::max);
    Some(MosaicMeasures {
        expected_noise,
        coverage: count(significance.values.len()) / count(image.values.len()),
        dynamic_range: f64::from(peak) / scale,
        artefacts: (count(below) / count(above.max(1))).min(1.0),
        noise_efficiency: 1.0 / scale,
    })
}

/// The median of the noise over the pixels that have a weight; none if none has.
pub fn expected_noise(weight: &Plane) -> Option<Jansky> {
    let weights = weight.values.iter().copied();
    let mut weights: Vec<f32> = weights.filter(|w| w.is_finite() && *w > 0.0).collect();
    let middle = weights.len() / 2;
    if weights.is_empty() {
        return None;
    }
    let median = *weights.select_nth_unstable_by(middle, f32::total_cmp).1;
    Some(Jansky(f64::from(median).sqrt().recip()))
}

/// The outcome of one check, or of all.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum MosaicVerdict {
    /// Within all limits.
    Pass,
    /// To be looked at.
    Warn,
    /// Not to be used.
    Fail,
}

/// One check of a mosaic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MosaicCheck {
    /// What was checked.
    pub name: String,
    /// What was measured; nothing if there was too little to measure, which is a warning.
    pub value: Option<f64>,
    /// The limits in words, with the unit.
    pub limits: String,
    /// The outcome.
    pub verdict: MosaicVerdict,
}

/// The quality of a mosaic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MosaicQuality {
    /// The tier whose limits it was held against.
    pub tier: MosaicTier,
    /// The worst outcome of the checks.
    pub verdict: MosaicVerdict,
    /// The checks.
    pub checks: Vec<MosaicCheck>,
}

/// Holds a mosaic against the limits of its tier. `offsets` are those of its sources from the
/// catalogue, to the east and to the north as true angles.
///
/// The astrometry is the length of the median offset: an error of the mosaic moves all sources
/// alike, that of a single catalogue entry moves one.
pub fn assess_mosaic(
    tier: MosaicTier,
    measures: &MosaicMeasures,
    offsets: &[(Arcseconds, Arcseconds)],
) -> MosaicQuality {
    use MosaicVerdict::{Fail, Warn};
    let rules = tier.rules();
    let (warn, fail) = rules.astrometry;
    let checks = vec![
        check(
            "astrometry",
            median_offset(offsets).map(|offset| offset.0),
            format!("warn above {}\", fail above {}\"", warn.0, fail.0),
            |offset| [(offset > fail.0, Fail), (offset > warn.0, Warn)],
        ),
        check(
            "dynamic range",
            Some(measures.dynamic_range),
            format!("fail below {}", rules.dynamic_range_min),
            |range| [(range < rules.dynamic_range_min, Fail); 2],
        ),
        check(
            "artefacts",
            Some(measures.artefacts),
            format!("warn above {}", rules.artefacts_max),
            |artefacts| [(artefacts > rules.artefacts_max, Warn); 2],
        ),
        check(
            "noise efficiency",
            Some(measures.noise_efficiency),
            format!("fail below {}", rules.noise_efficiency_min),
            |efficiency| [(efficiency < rules.noise_efficiency_min, Fail); 2],
        ),
    ];
    let worst = checks.iter().map(|check| check.verdict).max();
    MosaicQuality {
        tier,
        verdict: worst.unwrap_or(MosaicVerdict::Warn),
        checks,
    }
}

/// The first of the breaches that applies decides; what is no number is none to trust.
fn check(
    name: &str,
    value: Option<f64>,
    limits: String,
    breaches: impl Fn(f64) -> [(bool, MosaicVerdict); 2],
) -> MosaicCheck {
    let measured = value.filter(|value| value.is_finite());
    let verdict = match (value, measured) {
        (_, Some(measured)) => {
            let breach = breaches(measured)
                .into_iter()
                .find(|(breached, _)| *breached);
            breach.map_or(MosaicVerdict::Pass, |(_, verdict)| verdict)
        }
        (None, None) => MosaicVerdict::Warn,
        (Some(_), None) => MosaicVerdict::Fail,
    };
    MosaicCheck {
        name: name.to_owned(),
        value: measured,
        limits,
        verdict,
    }
}

/// The length of the median offset; none from too few sources.
fn median_offset(offsets: &[(Arcseconds, Arcseconds)]) -> Option<Arcseconds> {
    if offsets.len() < MATCHES_MIN {
        return None;
    }
    let east = median(offsets.iter().map(|offset| offset.0.0))?;
    let north = median(offsets.iter().map(|offset| offset.1.0))?;
    Some(Arcseconds(east.hypot(north)))
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "pixels are single precision"
)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;

    /// Noise that grows to the right, a bright source, a strip without weight; the measured
    /// noise is `excess` times the promised one.
    fn mosaic(excess: f64) -> (Plane, Plane) {
        let (width, height) = (200_usize, 100_usize);
        let mut random = StdRng::seed_from_u64(1);
        let mut image = Vec::new();
        let mut weight = Vec::new();
        for pixel in 0..width * height {
            let column = pixel % width;
            let sigma = 1e-3 * (1.0 + count(column) / 100.0);
            let normal: f64 = StandardNormal.sample(&mut random);
            let source = if pixel == 50 * width + 20 { 1.0 } else { 0.0 };
            let blank = column >= 150;
            image.push(if blank {
                f32::NAN
            } else {
                (source + excess * sigma * normal) as f32
            });
            weight.push(if blank {
                0.0
            } else {
                (1.0 / (sigma * sigma)) as f32
            });
        }
        let plane = |values| Plane {
            width,
            height,
            values,
        };
        (plane(image), plane(weight))
    }

    #[test]
    fn a_mosaic_is_measured_by_its_weights() {
        let (image, weight) = mosaic(1.0);
        let measures = measure_mosaic(&image, &weight).unwrap();
        assert!(
            (measures.noise_efficiency - 1.0).abs() < 0.03,
            "{measures:?}"
        );
        assert!((measures.coverage - 0.75).abs() < 1e-9, "{measures:?}");
        // 1 Jy over 1.2 mJy, and the median of 1.0 to 2.5 mJy.
        assert!(
            (measures.dynamic_range - 833.0).abs() < 30.0,
            "{measures:?}"
        );
        assert!(
            (measures.expected_noise.0 - 1.75e-3).abs() < 2e-5,
            "{measures:?}"
        );
        assert!(measures.artefacts < 1e-9, "{measures:?}");

        let (noisy, weight) = mosaic(4.0);
        let measures = measure_mosaic(&noisy, &weight).unwrap();
        assert!(
            (measures.noise_efficiency - 0.25).abs() < 0.01,
            "{measures:?}"
        );
    }

    #[test]
    fn holes_are_artefacts() {
        let (mut image, weight) = mosaic(1.0);
        image.values[10 * 200 + 20] = -0.1;
        let measures = measure_mosaic(&image, &weight).unwrap();
        assert!(
            (measures.artefacts - 1.0).abs() < 1e-9,
            "as many holes as peaks: {measures:?}"
        );
    }

    #[test]
    fn what_can_not_be_measured_is_not() {
        let (image, mut weight) = mosaic(1.0);
        weight.values.fill(0.0);
        assert!(measure_mosaic(&image, &weight).is_none());
        let (image, mut weight) = mosaic(1.0);
        weight.width = 100;
        assert!(measure_mosaic(&image, &weight).is_none());
        assert!(
            measure_mosaic(&mosaic(0.0).0, &mosaic(0.0).1).is_none(),
            "no noise at all"
        );
    }

    #[test]
    fn limits_follow_the_tier() {
        use MosaicTier::{Deep, Quicklook, Science};
        use MosaicVerdict::{Fail, Pass, Warn};

        let good = MosaicMeasures {
            expected_noise: Jansky(1e-3),
            coverage: 0.7,
            dynamic_range: 80.0,
            artefacts: 0.1,
            noise_efficiency: 0.9,
        };
        let offsets = |east: f64, north: f64| {
            let offset = |scatter: f64| (Arcseconds(east + scatter), Arcseconds(north - scatter));
            [offset(-2.0), offset(0.0), offset(2.0)]
        };
        let verdicts = |tier, measures: &MosaicMeasures, offsets: &[_]| {
            let quality = assess_mosaic(tier, measures, offsets);
            let checks = quality.checks.iter().map(|check| check.verdict);
            (quality.verdict, checks.collect::<Vec<_>>())
        };
        for (tier, measures, offsets, expected) in [
            (
                Quicklook,
                good,
                &offsets(0.2, 0.2)[..],
                [Pass, Pass, Pass, Pass],
            ),
            (
                Science,
                good,
                &offsets(0.2, 0.2)[..],
                [Pass, Fail, Pass, Pass],
            ),
            (
                Quicklook,
                good,
                &offsets(0.5, -0.5)[..],
                [Warn, Pass, Pass, Pass],
            ),
            (
                Deep,
                good,
                &offsets(0.5, -0.5)[..],
                [Fail, Fail, Pass, Pass],
            ),
            (
                Quicklook,
                good,
                &offsets(0.0, 0.0)[..2],
                [Warn, Pass, Pass, Pass],
            ),
            (
                Quicklook,
                MosaicMeasures {
                    artefacts: 0.6,
                    noise_efficiency: 0.2,
                    dynamic_range: f64::NAN,
                    ..good
                },
                &offsets(0.0, 0.0)[..],
                [Pass, Fail, Warn, Fail],
            ),
        ] {
            let (verdict, checks) = verdicts(tier, &measures, offsets);
            assert_eq!(checks, expected);
            assert_eq!(Some(verdict), expected.into_iter().max());
        }
    }

    #[test]
    fn the_tier_follows_the_span() {
        let hours = |hours: f64| MosaicTier::of_span(Seconds(hours * HOUR_SECONDS));
        assert_eq!(hours(0.86), MosaicTier::Quicklook);
        assert_eq!(hours(1.0), MosaicTier::Science);
        assert_eq!(hours(48.0), MosaicTier::Science);
        assert_eq!(hours(49.0), MosaicTier::Deep);
        assert!(MosaicTier::Deep.rules().rms_max.0 < MosaicTier::Science.rules().rms_max.0);
    }
}
