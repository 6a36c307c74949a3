//! Whether a source changes from epoch to epoch.
//!
//! The measures are those of Swinbank et al. 2015, Astronomy and Computing 11, 25, equations 1
//! and 2, which the field calls `V` and `eta`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::statistics::count;
use crate::model::{Jansky, Mjd};

/// With fewer epochs a spread says nothing.
const EPOCHS_MIN: usize = 3;
/// From here on a source is called variable: its spread over what its errors explain,
const ETA_VARIABLE: f64 = 2.0;
/// or its spread over its mean.
const V_VARIABLE: f64 = 0.1;

/// One measurement of a light curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Epoch {
    /// When.
    pub time: Mjd,
    /// How bright.
    pub flux: Jansky,
    /// The standard deviation of that. Fluxes that reference sources have put on one scale carry
    /// their noise and the error of that scale; others their whole error.
    pub error: Jansky,
}

/// A measurement that can't be part of a light curve.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error(
    "the measurement at MJD {} of {} Jy with error {} Jy is unusable: \
     leave out what has no value, and give an error above zero",
    epoch.time.0, epoch.flux.0, epoch.error.0
)]
pub struct LightCurveError {
    epoch: Epoch,
}

impl LightCurveError {
    /// Whether another try with the same measurements must fail as well.
    pub fn is_permanent(&self) -> bool {
        true
    }
}

/// A flux density over another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FluxRatio {
    /// The ratio.
    pub value: f64,
    /// Its standard deviation.
    pub error: f64,
}

/// How a flux density changed from one epoch to the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FluxChange {
    /// Later over earlier flux density; none if the earlier one is not positive.
    pub ratio: Option<FluxRatio>,
    /// The difference, later minus earlier, over its standard deviation.
    pub significance: f64,
}

impl FluxChange {
    fn between(earlier: &Epoch, later: &Epoch) -> Self {
        let value = later.flux.0 / earlier.flux.0;
        let error = later.error.0.hypot(value * earlier.error.0) / earlier.flux.0;
        let difference = later.flux.0 - earlier.flux.0;
        Self {
            ratio: (earlier.flux.0 > 0.0).then_some(FluxRatio { value, error }),
            significance: difference / later.error.0.hypot(earlier.error.0),
        }
    }
}

/// The spread of a light curve of three epochs or more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// How many epochs.
    pub epochs: usize,
    /// The mean, each epoch weighted by the inverse square of its error.
    pub weighted_mean: Jansky,
    /// The weighted chi square about that mean, per degree of freedom: one if nothing but errors
    /// moves the flux.
    pub eta: f64,
    /// The standard deviation over the plain mean; none if that mean is not positive.
    pub v: Option<f64>,
    /// The chi square about the plain mean, per degree of freedom: as `eta`, but an epoch with a
    /// small error does not pull the mean to itself.
    pub reduced_chi_square: f64,
    /// The largest deviation of one epoch from the weighted mean of the others, in units of its
    /// standard deviation; negative for a dip.
    pub deviation: f64,
}

impl Spread {
    fn of(epochs: &[Epoch]) -> Self {
        let weight = |epoch: &Epoch| epoch.error.0.powi(-2);
        let freedom = count(epochs.len()) - 1.0;
        let weights: f64 = epochs.iter().map(weight).sum();
        let weighted: f64 = epochs
            .iter()
            .map(|epoch| weight(epoch) * epoch.flux.0)
            .sum();
        let weighted_mean = weighted / weights;
        let mean = epochs.iter().map(|epoch| epoch.flux.0).sum::<f64>() / count(epochs.len());
        // Sums of squared differences are the published formulas without their loss of digits.
        let chi_square = |centre: f64| -> f64 {
            let terms = epochs.iter();
            let terms = terms.map(|epoch| weight(epoch) * (epoch.flux.0 - centre).powi(2));
            terms.sum::<f64>() / freedom
        };
        let squares: f64 = epochs
            .iter()
            .map(|epoch| (epoch.flux.0 - mean).powi(2))
            .sum();
        // The epoch is part of the mean: their difference is less uncertain than the epoch.
        let deviations = epochs.iter().map(|epoch| {
            let error = (epoch.error.0.powi(2) - 1.0 / weights).max(0.0).sqrt();
            (epoch.flux.0 - weighted_mean) / error
        });
        let deviations = deviations.filter(|deviation| deviation.is_finite());
        let largest = deviations.max_by(|a, b| a.abs().total_cmp(&b.abs()));
        Self {
            epochs: epochs.len(),
            weighted_mean: Jansky(weighted_mean),
            eta: chi_square(weighted_mean),
            v: (mean > 0.0).then(|| (squares / freedom).sqrt() / mean),
            reduced_chi_square: chi_square(mean),
            deviation: largest.unwrap_or(0.0),
        }
    }

    /// Whether the source is variable: `eta` above 2 or `V` above 0.1. `V` alone also grows with
    /// the noise of a faint source; see [`VariabilityPreset`] for limits that weigh errors only.
    pub fn is_variable(&self) -> bool {
        self.eta > ETA_VARIABLE || self.v.is_some_and(|v| v > V_VARIABLE)
    }

    /// Which limits of a preset the source is beyond.
    pub fn flags(&self, preset: VariabilityPreset) -> VariabilityFlags {
        let limits = preset.limits();
        VariabilityFlags {
            deviation: self.deviation.abs() >= limits.deviation,
            chi_square: self.reduced_chi_square >= limits.reduced_chi_square,
            eta: self.eta >= limits.eta,
        }
    }
}

/// How easily a source is flagged: the sets of limits of the telescope's first pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VariabilityPreset {
    /// Few false alarms.
    Conservative,
    /// In between.
    #[default]
    Moderate,
    /// Few misses.
    Sensitive,
}

impl VariabilityPreset {
    /// The limits it stands for.
    pub fn limits(self) -> VariabilityLimits {
        let (deviation, reduced_chi_square, eta) = match self {
            Self::Conservative => (5.0, 4.0, 3.0),
            Self::Moderate => (3.5, 2.5, 2.0),
            Self::Sensitive => (2.5, 1.5, 1.0),
        };
        VariabilityLimits {
            deviation,
            reduced_chi_square,
            eta,
        }
    }
}

/// Where the flags of a [`Spread`] begin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VariabilityLimits {
    /// Of the largest deviation of one epoch, either way, in standard deviations.
    pub deviation: f64,
    /// Of the reduced chi square about the plain mean.
    pub reduced_chi_square: f64,
    /// Of the one about the weighted mean.
    pub eta: f64,
}

/// What is beyond its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VariabilityFlags {
    /// One epoch stands out, as in an extreme scattering event.
    pub deviation: bool,
    /// The epochs differ by more than their errors.
    pub chi_square: bool,
    /// So they do when the best ones count most.
    pub eta: bool,
}

impl VariabilityFlags {
    /// Whether all agree that the source varies.
    pub fn all(self) -> bool {
        self.deviation && self.chi_square && self.eta
    }
}

/// What a light curve tells.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Variability {
    /// Nothing yet: no epoch, or one.
    Unknown,
    /// Two epochs and the change between them.
    Change(FluxChange),
    /// The spread of three epochs or more.
    Spread(Spread),
}

impl Variability {
    /// The weighted chi square about the mean, per degree of freedom. Of two epochs it is the
    /// square of the significance of their change: the same formula. None where nothing is known.
    pub fn eta(&self) -> Option<f64> {
        match self {
            Self::Unknown => None,
            Self::Change(change) => Some(change.significance.powi(2)),
            Self::Spread(spread) => Some(spread.eta),
        }
    }

    /// The standard deviation over the mean; none where the mean is not positive.
    pub fn v(&self) -> Option<f64> {
        match self {
            Self::Unknown => None,
            // Half the difference times the root of two, over half the sum.
            Self::Change(change) => change
                .ratio
                .filter(|ratio| ratio.value > -1.0)
                .map(|ratio| {
                    std::f64::consts::SQRT_2 * (ratio.value - 1.0).abs() / (ratio.value + 1.0)
                }),
            Self::Spread(spread) => spread.v,
        }
    }

    /// The largest deviation of one epoch from the others, in units of its standard deviation;
    /// of two epochs the later one counts.
    pub fn deviation(&self) -> Option<f64> {
        match self {
            Self::Unknown => None,
            Self::Change(change) => Some(change.significance),
            Self::Spread(spread) => Some(spread.deviation),
        }
    }

    /// Whether the source is beyond a preset's limits: all of them agree. Of two epochs all
    /// measures are one, and the limit of the deviation is the one that it is held against.
    pub fn is_beyond(&self, preset: VariabilityPreset) -> bool {
        match self {
            Self::Unknown => false,
            Self::Change(change) => change.significance.abs() >= preset.limits().deviation,
            Self::Spread(spread) => spread.flags(preset).all(),
        }
    }
}

/// What a light curve tells, in whatever order its epochs come.
pub fn variability(epochs: &[Epoch]) -> Result<Variability, LightCurveError> {
    let usable = |epoch: &Epoch| {
        let error = epoch.error.0;
        epoch.time.0.is_finite() && epoch.flux.0.is_finite() && error.is_finite() && error > 0.0
    };
    if let Some(epoch) = epochs.iter().find(|epoch| !usable(epoch)) {
        return Err(LightCurveError { epoch: *epoch });
    }
    Ok(match epochs {
        [one, other] if one.time.0 <= other.time.0 => {
            Variability::Change(FluxChange::between(one, other))
        }
        [one, other] => Variability::Change(FluxChange::between(other, one)),
        _ if epochs.len() < EPOCHS_MIN => Variability::Unknown,
        _ => Variability::Spread(Spread::of(epochs)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Vec<Epoch> {
        let epochs = points.iter().enumerate().map(|(day, (flux, error))| Epoch {
            time: Mjd(60_000.0 + count(day)),
            flux: Jansky(*flux),
            error: Jansky(*error),
        });
        epochs.collect()
    }

    fn spread(points: &[(f64, f64)]) -> Spread {
        match variability(&curve(points)) {
            Ok(Variability::Spread(spread)) => spread,
            other => panic!("{other:?}"),
        }
    }

    /// The published formulas, as they are written there.
    #[test]
    fn measures_are_those_of_swinbank() {
        let points = [(1.0, 0.1), (1.3, 0.05), (0.8, 0.2), (1.1, 0.1)];
        let mean = |term: fn(f64, f64) -> f64| {
            points
                .iter()
                .map(|(flux, error)| term(*flux, *error))
                .sum::<f64>()
                / 4.0
        };
        let v = (4.0 / 3.0 * (mean(|f, _| f * f) - mean(|f, _| f).powi(2))).sqrt();
        let w = mean(|_, e| e.powi(-2));
        let eta = 4.0 / 3.0 * (mean(|f, e| f * f / (e * e)) - mean(|f, e| f / (e * e)).powi(2) / w);
        let found = spread(&points);
        assert!((found.v.unwrap() - v / mean(|f, _| f)).abs() < 1e-12);
        assert!((found.eta - eta).abs() < 1e-9, "{found:?}, {eta}");
        assert!(
            found.reduced_chi_square > found.eta,
            "the weighted mean is the best one"
        );
        assert_eq!(found.epochs, 4);
    }

    /// A flux of 1 that is 2 once, all errors 0.1: by hand, the other four have the mean 1 with an
    /// error of 0.05.
    #[test]
    fn a_flare_stands_out() {
        let found = spread(&[(1.0, 0.1), (1.0, 0.1), (2.0, 0.1), (1.0, 0.1), (1.0, 0.1)]);
        assert!(
            (found.deviation - 1.0 / 0.1_f64.hypot(0.05)).abs() < 1e-9,
            "{found:?}"
        );
        assert!((found.eta - 20.0).abs() < 1e-9 && found.is_variable());
        assert!(found.flags(VariabilityPreset::Conservative).all());
        let dip = spread(&[(1.0, 0.1), (1.0, 0.1), (0.2, 0.1), (1.0, 0.1)]);
        assert!(dip.deviation < -6.0 && dip.flags(VariabilityPreset::Conservative).deviation);
    }

    #[test]
    fn what_errors_explain_is_no_variability() {
        let found = spread(&[(1.02, 0.03), (0.98, 0.03), (1.03, 0.03), (0.97, 0.03)]);
        assert!((found.eta - 26.0 / 27.0).abs() < 1e-9, "{found:?}");
        assert!(!found.is_variable());
        let flags = found.flags(VariabilityPreset::Sensitive);
        assert!(!flags.deviation && !flags.eta && !flags.chi_square);
    }

    /// Both chi squares and the deviation are 1.5 here: beyond one limit of one preset.
    #[test]
    fn presets_differ() {
        let step = 0.1 * 1.5_f64.sqrt();
        let found = spread(&[(1.0 - step, 0.1), (1.0 + step, 0.1), (1.0, 0.1)]);
        assert!((found.eta - 1.5).abs() < 1e-9 && (found.deviation.abs() - 1.5).abs() < 1e-9);
        let flags = found.flags(VariabilityPreset::Sensitive);
        assert!(flags.eta && !flags.deviation && !flags.all());
        assert!(!found.flags(VariabilityPreset::Moderate).eta);
    }

    #[test]
    fn nothing_bright_has_no_coefficient_of_variation() {
        let found = spread(&[(-0.01, 0.01), (0.005, 0.01), (-0.02, 0.01)]);
        assert_eq!(found.v, None);
        assert!(found.eta < 2.0 && !found.is_variable());
    }

    /// 1.4 +- 0.0594 = 1.4 * 0.03 * sqrt 2, whichever epoch comes first in the list.
    #[test]
    fn two_epochs_have_a_ratio() {
        let mut epochs = curve(&[(0.5, 0.015), (0.7, 0.021)]);
        let forwards = variability(&epochs).unwrap();
        epochs.reverse();
        assert_eq!(variability(&epochs), Ok(forwards));
        let Variability::Change(change) = forwards else {
            panic!("{forwards:?}");
        };
        let ratio = change.ratio.unwrap();
        assert!((ratio.value - 1.4).abs() < 1e-12 && (ratio.error - 0.059_397).abs() < 1e-6);
        assert!((change.significance - 0.2 / 0.015_f64.hypot(0.021)).abs() < 1e-12);
        let Ok(Variability::Change(risen)) = variability(&curve(&[(-0.1, 0.1), (0.5, 0.1)])) else {
            panic!("two epochs are a change");
        };
        assert!(risen.ratio.is_none() && risen.significance > 4.0);
    }

    /// Of two epochs the measures are those that Swinbank's formulas give for N = 2.
    #[test]
    fn two_epochs_have_the_same_measures_as_many() {
        let epochs = curve(&[(0.5, 0.015), (0.7, 0.021)]);
        let (found, expected) = (variability(&epochs).unwrap(), Spread::of(&epochs));
        let near = |one: Option<f64>, two: f64| (one.unwrap() - two).abs() < 1e-9;
        assert!(near(found.eta(), expected.eta), "{found:?}, {expected:?}");
        assert!(near(found.v(), expected.v.unwrap()));
        assert!(near(
            found.deviation().map(f64::abs),
            expected.deviation.abs()
        ));
        assert!(found.is_beyond(VariabilityPreset::Conservative));
        let still = variability(&curve(&[(0.50, 0.015), (0.52, 0.021)])).unwrap();
        assert!(!still.is_beyond(VariabilityPreset::Sensitive));
    }

    #[test]
    fn one_epoch_tells_nothing_and_a_bad_one_is_refused() {
        assert_eq!(variability(&curve(&[(1.0, 0.1)])), Ok(Variability::Unknown));
        assert_eq!(variability(&[]), Ok(Variability::Unknown));
        for bad in [
            (f64::NAN, 0.1),
            (1.0, 0.0),
            (1.0, -0.1),
            (1.0, f64::INFINITY),
        ] {
            let error = variability(&curve(&[(1.0, 0.1), bad])).unwrap_err();
            assert!(error.is_permanent());
            assert!(error.to_string().contains("60001"), "{error}");
        }
    }
}
