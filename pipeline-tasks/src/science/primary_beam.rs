//! The primary beam of a whole observation: the dishes stand still while the sky drifts through
//! their beam, and the beam narrows across the band.

use thiserror::Error;

use super::{
    beam::airy_power,
    geometry::{SPEED_OF_LIGHT, Vector, add, dot, from_spherical, unit},
    statistics::count,
};
use crate::model::{Hertz, Metres, Radians, SkyPosition};

/// Diameter of a DSA-110 dish that the beam follows.
pub const DSA_110_DISH: Metres = Metres(4.65);

/// Each of these stands for the mean of its neighbours, so that the error goes with the curvature
/// of the beam over one part. In five minutes the sky drifts by a quarter of the beam, a part is
/// a thirtieth: 0.06 % of the power where that is 0.2, and less inside. (A test measures it.)
const TIMES_MAX: usize = 8;
/// A part of the band is 1.7 % of the frequency: 0.004 % of the power where that is 0.2.
const FREQUENCIES_MAX: usize = 8;
/// The table of the beam ends here, in `pi D sin(angle) / wavelength`: behind the third null.
const TABLE_REACH: f64 = 12.0;
/// Linear steps this fine err by 1e-5 of the beam's peak.
const TABLE_STEPS: u32 = 4096;

/// There is nothing to average over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a beam needs a pointing and a frequency, and has {pointings} and {frequencies}; \
     give those of the observation"
)]
pub struct AveragedBeamError {
    pointings: usize,
    frequencies: usize,
}

impl AveragedBeamError {
    /// Whether another try with the same input must fail as well.
    pub fn is_permanent(&self) -> bool {
        true
    }
}

/// The power of an Airy beam, averaged over the integrations and the band of one observation.
///
/// A plain average is meant: it is the factor between the intrinsic and the apparent flux
/// density of a source with a flat spectrum. A steep source is seen through a slightly wider
/// beam, because more of it comes from the lower end of the band.
#[derive(Clone, Debug)]
pub struct AveragedBeam {
    pointings: Vec<(Vector, f64)>,
    frequencies: Vec<(Hertz, f64)>,
    dish: Metres,
    /// Power, averaged over the band, in equal steps of the squared sine of the offset.
    table: Vec<f64>,
    table_step: f64,
}

impl AveragedBeam {
    /// The beam of dishes that looked at `pointings` (ICRS), one for each integration, in the
    /// order of time, with channels at `frequencies`, all of the same weight.
    ///
    /// # Errors
    /// If there is no pointing or no frequency.
    pub fn new(
        pointings: &[SkyPosition],
        frequencies: &[Hertz],
        dish: Metres,
    ) -> Result<Self, AveragedBeamError> {
        if pointings.is_empty() || frequencies.is_empty() {
            return Err(AveragedBeamError {
                pointings: pointings.len(),
                frequencies: frequencies.len(),
            });
        }
        let direction = |position: &SkyPosition| from_spherical(position.ra.0, position.dec.0);
        let middle = |part: &[SkyPosition]| {
            let sum = |sum: Vector, position: &SkyPosition| add(sum, direction(position), 1.0);
            unit(part.iter().fold([0.0; 3], sum))
        };
        let mean = |part: &[Hertz]| {
            let sum: f64 = part.iter().map(|frequency| frequency.0).sum();
            Hertz(sum / count(part.len()))
        };
        let frequencies = parts(frequencies, FREQUENCIES_MAX, mean);
        let highest = frequencies.iter().fold(0.0, |high, f| f.0.0.max(high));
        let reach = (TABLE_REACH * SPEED_OF_LIGHT / (std::f64::consts::PI * dish.0 * highest))
            .clamp(0.0, 1.0);
        let mut beam = Self {
            pointings: parts(pointings, TIMES_MAX, middle),
            frequencies,
            dish,
            table: Vec::new(),
            table_step: reach * reach / f64::from(TABLE_STEPS),
        };
        beam.table = (0..=TABLE_STEPS)
            .map(|step| beam.over_band(beam.table_step * f64::from(step)))
            .collect();
        Ok(beam)
    }

    /// The averaged power in a direction of the ICRS: one at the centre of a dish's beam, a
    /// little less at the best place of an observation.
    pub fn power(&self, position: SkyPosition) -> f64 {
        let direction = from_spherical(position.ra.0, position.dec.0);
        let seen = self.pointings.iter().map(|(pointing, weight)| {
            if dot(direction, *pointing) <= 0.0 {
                // Behind the dish, where the formula would begin anew.
                return 0.0;
            }
            // From the chord: exact also where the angle is tiny.
            let chord = add(direction, *pointing, -1.0);
            let chord_squared = dot(chord, chord);
            weight * self.at_sine_squared(chord_squared * (1.0 - chord_squared / 4.0))
        });
        seen.sum()
    }

    fn at_sine_squared(&self, sine_squared: f64) -> f64 {
        let place = sine_squared / self.table_step;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative; beyond the table it is any large number"
        )]
        let index = place as usize;
        match self.table.get(index..).unwrap_or_default() {
            [low, high, ..] => low + (high - low) * place.fract(),
            _ => self.over_band(sine_squared),
        }
    }

    fn over_band(&self, sine_squared: f64) -> f64 {
        let offset = Radians(sine_squared.clamp(0.0, 1.0).sqrt().asin());
        let powers = self.frequencies.iter();
        powers
            .map(|(frequency, weight)| weight * airy_power(offset, *frequency, self.dish))
            .sum()
    }
}

/// At most `most` neighbouring parts of about the same size: what stands for each, and its share
/// of the whole.
fn parts<T, U>(items: &[T], most: usize, one_of: impl Fn(&[T]) -> U) -> Vec<(U, f64)> {
    let number = items.len().min(most);
    let bound = |part: usize| part * items.len() / number.max(1);
    (0..number)
        .filter_map(|part| items.get(bound(part)..bound(part + 1)))
        .map(|part| (one_of(part), count(part.len()) / count(items.len())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Degrees;

    /// 24 integrations in which the sky drifts by 0.73 degrees, and 64 channels.
    fn observation() -> (Vec<SkyPosition>, Vec<Hertz>) {
        let pointings = (0..24).map(|time| {
            SkyPosition::from_degrees(129.3 + 15.04 / 3600.0 * 12.885 * f64::from(time), 55.4)
        });
        let channels = (0..64).map(|channel| Hertz(1.3127e9 + 2.93e6 * f64::from(channel)));
        (pointings.collect(), channels.collect())
    }

    fn full_average(pointings: &[SkyPosition], band: &[Hertz], at: SkyPosition) -> f64 {
        let all = pointings.iter().flat_map(|pointing| {
            let offset = pointing.separation(at);
            let powers = band.iter();
            powers.map(move |frequency| airy_power(offset, *frequency, DSA_110_DISH))
        });
        all.sum::<f64>() / count(pointings.len() * band.len())
    }

    #[test]
    fn few_times_and_frequencies_are_enough() {
        let (pointings, band) = observation();
        let beam = AveragedBeam::new(&pointings, &band, DSA_110_DISH).unwrap();
        let mut seen_weak = false;
        for step in 0..400 {
            let (across, up) = (f64::from(step % 20) - 9.5, f64::from(step / 20) - 9.5);
            let at = SkyPosition::from_degrees(129.9 + 0.4 * across, 55.4 + 0.2 * up);
            let all = full_average(&pointings, &band, at);
            let few = beam.power(at);
            assert!((few - all).abs() < 3e-4, "{few} for {all} at {at:?}");
            if all > 0.2 {
                assert!((few / all - 1.0).abs() < 1e-3, "{few} for {all} at {at:?}");
                seen_weak |= all < 0.25;
            }
        }
        assert!(
            seen_weak,
            "the edge of a mosaic's tiles was not among the places"
        );
    }

    #[test]
    fn one_pointing_and_one_channel_are_the_plain_beam() {
        let centre = SkyPosition::from_degrees(0.0, 55.4);
        let frequency = Hertz(1.4e9);
        let beam = AveragedBeam::new(&[centre], &[frequency], DSA_110_DISH).unwrap();
        for degrees in [0.0, 1e-5, 0.7, 1.35, 2.9, 5.0, 20.0] {
            let at = SkyPosition::from_degrees(0.0, 55.4 + degrees);
            let plain = airy_power(Degrees(degrees).to_radians(), frequency, DSA_110_DISH);
            assert!((beam.power(at) - plain).abs() < 2e-5, "{degrees} degrees");
        }
    }

    #[test]
    fn the_centre_is_the_middle_of_the_drift_and_nothing_is_seen_behind() {
        let (pointings, band) = observation();
        let beam = AveragedBeam::new(&pointings, &band, DSA_110_DISH).unwrap();
        let middle = pointings[0].ra.0.midpoint(pointings[23].ra.0);
        let at = |ra: f64| {
            beam.power(SkyPosition {
                ra: Radians(ra),
                dec: pointings[0].dec,
            })
        };
        assert!(at(middle) < 1.0 && at(middle) > 0.95);
        assert!((at(middle - 0.02) - at(middle + 0.02)).abs() < 1e-5);
        let behind = SkyPosition {
            ra: Radians(middle + std::f64::consts::PI),
            dec: Radians(-pointings[0].dec.0),
        };
        assert!(beam.power(behind).abs() < 1e-12);
    }

    #[test]
    fn nothing_to_average_over_is_said() {
        let centre = SkyPosition::from_degrees(0.0, 0.0);
        let error = AveragedBeam::new(&[centre], &[], DSA_110_DISH).unwrap_err();
        assert!(error.is_permanent() && error.to_string().contains("has 1 and 0"));
    }
}
