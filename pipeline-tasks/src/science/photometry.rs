//! The flux density of a source at a known place, and of an epoch against others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    crossmatch::Offset,
    projection::SinProjection,
    source_finding::{Peak, Plane, highest_near, noise},
    statistics::{count, median, scatter},
};
use crate::model::{Degrees, Jansky, SkyPosition};

/// What stays uncertain about the flux scale after calibration, as a share of the flux.
const CALIBRATION_SHARE: f64 = 0.03;
/// A peak this many times above the noise is fitted; a fainter one may be noise that only looks
/// like a peak.
const FIT_SNR_MIN: f64 = 5.0;
/// Where the noise is measured, from the source, in major axes of the beam: beyond what the source
/// itself lights up, and wide enough for about a hundred beams.
const ANNULUS: (f64, f64) = (1.5, 4.0);
/// But never narrower than this, in pixels: quick looks have few pixels to a beam.
const OUTER_PIXELS_MIN: f64 = 8.0;
/// With fewer pixels the noise would be a guess.
const ANNULUS_PIXELS_MIN: usize = 100;
/// A reference source stands at least so far out of the noise: better than the flux scale.
const REFERENCE_SNR_MIN: f64 = 50.0;
/// So many reference sources are used at most, the ones that stand out most.
const REFERENCES_MAX: usize = 20;
/// With fewer, one source that varies would set the scale of an epoch.
const REFERENCES_MIN: usize = 3;
/// So many epochs set what is expected of a source.
const FIRST_EPOCHS: usize = 10;
/// The standard deviation of a median over that of a mean, for many normal values.
const MEDIAN_OVER_MEAN: f64 = 1.2533;

/// A measured flux density.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Photometry {
    /// Peak flux density.
    pub flux: Jansky,
    /// Standard deviation of the noise around the source.
    pub noise: Jansky,
    /// What is uncertain about the flux scale: the same share for all sources of an image.
    pub calibration_error: Jansky,
    /// Where the fitted peak is, from the place asked for; none where there was no peak to fit and
    /// the flux is that of the place itself.
    pub offset: Option<Offset>,
}

impl Photometry {
    fn of(flux: f64, noise: f64, offset: Option<Offset>) -> Self {
        Self {
            flux: Jansky(flux),
            noise: Jansky(noise),
            calibration_error: Jansky(CALIBRATION_SHARE * flux.abs()),
            offset,
        }
    }

    /// Flux over noise.
    pub fn snr(&self) -> f64 {
        self.flux.0 / self.noise.0
    }

    /// The whole error: noise and flux scale, which don't know of each other.
    pub fn error(&self) -> Jansky {
        Jansky(self.noise.0.hypot(self.calibration_error.0))
    }
}

/// Measures an image at a position, whether there is a source or not. `beam` is the major and the
/// minor axis at half power.
///
/// None outside of the image and its outermost two pixels, on blank pixels, and where there is
/// too little around to measure the noise.
pub fn forced_photometry(
    plane: &Plane,
    projection: &SinProjection,
    beam: (Degrees, Degrees),
    position: SkyPosition,
) -> Option<Photometry> {
    let target = projection.to_pixel(position)?;
    let pixel = projection.step.1.to_degrees().0.abs();
    let (major, minor) = (beam.0.0 / pixel, beam.1.0 / pixel);
    if !(major.is_finite() && minor > 0.0) {
        return None;
    }
    let value = interpolated(plane, target)?;
    let noise = noise_around(plane, target, major)?;
    let peak = peak_at(plane, target, (minor / 2.0).max(1.0));
    let peak = peak.filter(|peak| peak.value >= FIT_SNR_MIN * noise);
    let fitted = peak.and_then(|peak| {
        let found = projection.to_sky(peak.x, peak.y)?;
        let offset = Offset::between(position, found);
        Some(Photometry::of(peak.value, noise, Some(offset)))
    });
    Some(fitted.unwrap_or_else(|| Photometry::of(value, noise, None)))
}

/// The fitted peak within `radius` pixels of a place: a pixel above its eight neighbours, and
/// not just the foot of a brighter source that stands farther off.
fn peak_at(plane: &Plane, target: (f64, f64), radius: f64) -> Option<Peak> {
    let (x, y) = highest_near(plane, target.0, target.1, radius)?;
    if x == 0 || y == 0 {
        return None;
    }
    let (peak, top) = (plane.interpolate(x, y), plane.at(x, y));
    let neighbours = (0..9).map(|cell| plane.at(x + cell % 3 - 1, y + cell / 3 - 1));
    let is_top = neighbours.filter(|value| *value <= top).count() == 9;
    let near = (peak.x - target.0).hypot(peak.y - target.1) <= radius;
    (is_top && near).then_some(peak)
}

/// The value between the pixels, by the cubic through the four nearest along each axis. None if
/// one of the sixteen is blank.
fn interpolated(plane: &Plane, target: (f64, f64)) -> Option<f64> {
    let (x, weights_x) = cubic(target.0)?;
    let (y, weights_y) = cubic(target.1)?;
    let mut sum = 0.0;
    for (dy, weight_y) in weights_y.iter().enumerate() {
        for (dx, weight_x) in weights_x.iter().enumerate() {
            sum += weight_x * weight_y * f64::from(plane.at(x + dx, y + dy));
        }
    }
    sum.is_finite().then_some(sum)
}

/// The first of the four pixels about a coordinate, and what each counts: the polynomials of
/// Lagrange for the abscissae -1, 0, 1 and 2.
fn cubic(coordinate: f64) -> Option<(usize, [f64; 4])> {
    let before = coordinate.floor() - 1.0;
    if !(0.0..1e9).contains(&before) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a small positive number"
    )]
    let first = before as usize;
    let t = coordinate - coordinate.floor();
    let weights = [
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    ];
    Some((first, weights))
}

/// The noise of the annulus about a place; `major` is the beam's major axis in pixels.
fn noise_around(plane: &Plane, target: (f64, f64), major: f64) -> Option<f64> {
    let inner = ANNULUS.0 * major;
    let outer = (ANNULUS.1 * major).max(OUTER_PIXELS_MIN);
    let (columns, rows) = (
        pixels(target.0, outer, plane.width),
        pixels(target.1, outer, plane.height),
    );
    let values: Vec<f32> = rows
        .flat_map(|y| columns.clone().map(move |x| (x, y)))
        .filter(|(x, y)| {
            let distance = (count(*x) - target.0).hypot(count(*y) - target.1);
            (inner..=outer).contains(&distance)
        })
        .map(|(x, y)| plane.at(x, y))
        .filter(|value| value.is_finite())
        .collect();
    if values.len() < ANNULUS_PIXELS_MIN {
        return None;
    }
    let annulus = Plane {
        width: values.len(),
        height: 1,
        values,
    };
    noise(&annulus).filter(|noise| *noise > 0.0)
}

/// The pixels of an axis of `length` that lie within `reach` of a coordinate.
fn pixels(coordinate: f64, reach: f64, length: usize) -> std::ops::Range<usize> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a negative start becomes zero and a far end the image's, which is meant"
    )]
    let (first, last) = ((coordinate - reach) as usize, (coordinate + reach) as usize);
    first..last.saturating_add(1).min(length)
}

/// A source that is believed not to vary.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reference {
    /// What it should measure, of a catalogue or by [`reference_flux`].
    pub expected: Jansky,
    /// What it measures in this epoch.
    pub measured: Photometry,
}

/// What a source is expected to measure: the median of its first epochs, ten at most. None without
/// an epoch.
pub fn reference_flux(epochs: &[Jansky]) -> Option<Jansky> {
    median(epochs.iter().take(FIRST_EPOCHS).map(|flux| flux.0)).map(Jansky)
}

/// How the flux scale of an epoch is put right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Normalisation {
    /// What fluxes of the epoch are multiplied by.
    pub factor: f64,
    /// The standard deviation of the factor over the factor.
    pub relative_error: f64,
    /// How many reference sources it comes from.
    pub references: usize,
}

impl Normalisation {
    /// The scale of an epoch from its reference sources: those of a signal-to-noise ratio of 50 or
    /// more, the best twenty of them, by the median of what they measure over what they should.
    /// None with fewer than three.
    pub fn of(references: &[Reference]) -> Option<Self> {
        let usable = |reference: &&Reference| {
            reference.measured.snr() >= REFERENCE_SNR_MIN && reference.expected.0 > 0.0
        };
        let mut references: Vec<_> = references.iter().filter(usable).collect();
        references.sort_by(|a, b| b.measured.snr().total_cmp(&a.measured.snr()));
        references.truncate(REFERENCES_MAX);
        if references.len() < REFERENCES_MIN {
            return None;
        }
        let ratios = references.iter();
        let ratios = ratios.map(|reference| reference.measured.flux.0 / reference.expected.0);
        let ratios: Vec<f64> = ratios.collect();
        let middle = median(ratios.iter().copied())?;
        let error = MEDIAN_OVER_MEAN * scatter(&ratios)? / count(ratios.len()).sqrt();
        Some(Self {
            factor: 1.0 / middle,
            relative_error: error / middle,
            references: ratios.len(),
        })
    }

    /// A measurement on the common scale. Its error of the flux scale becomes that of the
    /// normalisation.
    pub fn apply(&self, measured: &Photometry) -> Photometry {
        let flux = measured.flux.0 * self.factor;
        Photometry {
            flux: Jansky(flux),
            noise: Jansky(measured.noise.0 * self.factor),
            calibration_error: Jansky(self.relative_error * flux.abs()),
            offset: measured.offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};
    use rand_distr::{Distribution as _, Normal};

    use super::*;
    use crate::model::{Arcseconds, Radians};

    const BEAM: (Degrees, Degrees) = (Degrees(24.0 / 3_600.0), Degrees(15.0 / 3_600.0));
    const NOISE: f64 = 0.01;
    const SIZE: u32 = 121;

    fn projection() -> SinProjection {
        let step = Arcseconds(5.0).to_radians();
        SinProjection {
            centre: SkyPosition::from_degrees(128.7, 55.5),
            centre_pixel: (60.0, 60.0),
            step: (Radians(-step.0), step),
        }
    }

    /// White noise, and sources of the beam's shape at pixels.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "pixels are single precision"
    )]
    fn image(sources: &[(f64, f64, f64)]) -> Plane {
        let mut random = StdRng::seed_from_u64(11);
        let normal = Normal::new(0.0, NOISE).unwrap();
        let width = |axis: Degrees| axis.0 * 3_600.0 / 5.0 / 2.354_82;
        let (along, across) = (width(BEAM.0), width(BEAM.1));
        let pixels = (0..SIZE).flat_map(|y| (0..SIZE).map(move |x| (f64::from(x), f64::from(y))));
        let values = pixels.map(|(x, y)| {
            let lit: f64 = sources
                .iter()
                .map(|(x0, y0, flux)| {
                    let (dx, dy) = ((x - x0) / across, (y - y0) / along);
                    flux * (-(dx * dx + dy * dy) / 2.0).exp()
                })
                .sum();
            (lit + normal.sample(&mut random)) as f32
        });
        Plane {
            width: SIZE as usize,
            height: SIZE as usize,
            values: values.collect(),
        }
    }

    fn measure(plane: &Plane, x: f64, y: f64) -> Option<Photometry> {
        let position = projection().to_sky(x, y).unwrap();
        forced_photometry(plane, &projection(), BEAM, position)
    }

    #[test]
    fn a_source_between_pixels_is_measured_at_its_peak() {
        let plane = image(&[(50.4, 70.3, 3.0)]);
        let asked = measure(&plane, 50.2, 70.3).unwrap();
        assert!((asked.flux.0 / 3.0 - 1.0).abs() < 0.01, "{asked:?}");
        assert!((asked.noise.0 / NOISE - 1.0).abs() < 0.1, "{asked:?}");
        assert!((asked.calibration_error.0 - 0.03 * asked.flux.0).abs() < 1e-12);
        assert!((asked.error().0 - 0.0906).abs() < 0.002, "{asked:?}");
        assert!(asked.snr() > 200.0);
        // The source is 0.2 pixels of 5 arcseconds to the west.
        let offset = asked.offset.unwrap();
        assert!(
            (offset.ra.0 + 1.0).abs() < 0.2 && offset.dec.0.abs() < 0.2,
            "{offset:?}"
        );
    }

    #[test]
    fn an_empty_place_measures_noise() {
        let plane = image(&[]);
        let mut deviations = Vec::new();
        for step in 0..100_u32 {
            let (x, y) = (
                15.3 + f64::from(step % 10) * 9.0,
                15.7 + f64::from(step / 10) * 9.0,
            );
            let asked = measure(&plane, x, y).unwrap();
            assert!(asked.offset.is_none(), "{asked:?}");
            deviations.push(asked.flux.0);
        }
        // Not the highest pixel nearby: that would be positive nearly always.
        let middle = median(deviations.iter().copied()).unwrap();
        assert!(middle.abs() < 0.3 * NOISE, "{middle}");
        assert!(scatter(&deviations).unwrap() < 1.2 * NOISE);
    }

    #[test]
    fn the_foot_of_a_neighbour_is_no_peak() {
        let plane = image(&[(60.0, 60.0, 3.0)]);
        let asked = measure(&plane, 64.2, 60.0).unwrap();
        assert!(asked.offset.is_none(), "{asked:?}");
        let across = BEAM.1.0 * 3_600.0 / 5.0 / 2.354_82;
        let there = 3.0 * (-(4.2 / across).powi(2) / 2.0).exp();
        assert!(
            (asked.flux.0 - there).abs() < 4.0 * NOISE,
            "{asked:?}, {there}"
        );
    }

    #[test]
    fn blanks_and_the_outside_measure_nothing() {
        let mut plane = image(&[(50.0, 70.0, 3.0)]);
        plane.values[70 * SIZE as usize + 51] = f32::NAN;
        assert_eq!(measure(&plane, 50.2, 70.0), None);
        for (x, y) in [(0.4, 60.0), (60.0, 119.6), (-7.0, 60.0), (400.0, 60.0)] {
            assert_eq!(measure(&plane, x, y), None, "{x}, {y}");
        }
        let behind = SkyPosition::from_degrees(308.7, -55.5);
        assert_eq!(forced_photometry(&plane, &projection(), BEAM, behind), None);
        let nowhere = SkyPosition::from_degrees(f64::NAN, 55.5);
        assert_eq!(
            forced_photometry(&plane, &projection(), BEAM, nowhere),
            None
        );
        plane.values.fill(0.0);
        assert_eq!(measure(&plane, 60.0, 60.0), None, "no noise, no error");
    }

    fn reference(expected: f64, measured: f64) -> Reference {
        Reference {
            expected: Jansky(expected),
            measured: Photometry::of(measured, 0.001, None),
        }
    }

    /// An epoch that reads a tenth too high is put right, though one reference has doubled and a
    /// faint source says otherwise.
    #[test]
    fn an_epoch_is_put_on_the_scale_of_its_references() {
        let mut references: Vec<_> = (1..=5)
            .map(|flux| reference(f64::from(flux), 1.1 * f64::from(flux)))
            .collect();
        references.push(reference(1.0, 2.2));
        references.extend([reference(0.001, 0.049); 9]);
        let scale = Normalisation::of(&references).unwrap();
        assert_eq!(scale.references, 6);
        assert!((scale.factor - 1.0 / 1.1).abs() < 1e-12);
        assert!(scale.relative_error.abs() < 1e-12, "{scale:?}");
        let put_right = scale.apply(&Photometry::of(0.55, 0.011, None));
        assert!((put_right.flux.0 - 0.5).abs() < 1e-12 && (put_right.noise.0 - 0.01).abs() < 1e-12);
        assert!(Normalisation::of(&references[..2]).is_none());
    }

    #[test]
    fn the_best_twenty_references_are_used() {
        let good = (0..20).map(|_| reference(2.0, 2.0));
        let poor = (0..30).map(|_| reference(0.1, 0.2));
        let references: Vec<_> = poor.chain(good).collect();
        let scale = Normalisation::of(&references).unwrap();
        assert_eq!(scale.references, 20);
        assert!((scale.factor - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_first_ten_epochs_set_what_is_expected() {
        let epochs: Vec<_> = (0..30).map(|epoch| Jansky(f64::from(epoch / 10))).collect();
        assert_eq!(reference_flux(&epochs), Some(Jansky(0.0)));
        assert_eq!(reference_flux(&[]), None);
    }
}
