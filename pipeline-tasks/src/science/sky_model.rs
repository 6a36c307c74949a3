//! What an array would see of known point sources.

use num_complex::Complex64;

use super::{
    beam::airy_power,
    geometry::{dot, fringe},
    projection::cosines,
    statistics::count,
};
use crate::model::{CatalogueSource, Hertz, Metres, SkyPosition};

/// Point sources as one integration sees them: their places about the phase centre, and their
/// flux densities through the dishes' beam, which the Earth carries across the sky.
#[derive(Debug, Clone)]
pub struct SkyModel<'f> {
    frequencies: &'f [Hertz],
    /// How far apart channels are; none where that is not the same for all.
    step: Option<Hertz>,
    components: Vec<Component>,
}

#[derive(Debug, Clone)]
struct Component {
    /// `l`, `m` and `n - 1`.
    cosines: [f64; 3],
    /// By channel.
    flux: Vec<f64>,
}

impl<'f> SkyModel<'f> {
    /// The sources about a phase centre, through the beam of dishes that look at `pointing`.
    pub fn new(
        sources: &[CatalogueSource],
        centre: SkyPosition,
        pointing: SkyPosition,
        dish: Metres,
        frequencies: &'f [Hertz],
    ) -> Self {
        let component = |source: &CatalogueSource| {
            let offset = source.position.separation(pointing);
            let flux = |frequency: &Hertz| {
                source.flux_at(*frequency).0 * airy_power(offset, *frequency, dish)
            };
            let [l, m, _] = cosines(centre, source.position);
            let half = centre.separation(source.position).0 / 2.0;
            Component {
                // `n - 1` this way is exact also close to the centre.
                cosines: [l, m, -2.0 * half.sin().powi(2)],
                flux: frequencies.iter().map(flux).collect(),
            }
        };
        Self {
            frequencies,
            step: even_step(frequencies),
            components: sources.iter().map(component).collect(),
        }
    }

    /// How many sources.
    pub fn len(&self) -> usize {
        self.components.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// The flux density of each source, in the mean of the channels.
    pub fn mean_fluxes(&self) -> impl Iterator<Item = f64> {
        let channels = count(self.frequencies.len());
        let fluxes = self.components.iter().map(|component| &component.flux);
        fluxes.map(move |flux| flux.iter().sum::<f64>() / channels)
    }

    /// The same sources with so much less in each channel.
    #[must_use]
    pub fn without(mut self, fluxes: &[f64]) -> Self {
        for (component, less) in self.components.iter_mut().zip(fluxes) {
            for flux in &mut component.flux {
                *flux -= less;
            }
        }
        self
    }

    /// The visibility of each channel on a baseline, as a Measurement Set counts u, v, w
    /// (metres): `flux * exp(2 pi i (u l + v m + w (n - 1)) frequency / c)`, summed.
    pub fn visibilities(&self, uvw: [f64; 3], into: &mut [Complex64]) {
        into.fill(Complex64::ZERO);
        for component in &self.components {
            let path = dot(uvw, component.cosines);
            let channels = self.frequencies.iter().zip(&component.flux);
            let cells = into.iter_mut().zip(channels);
            let Some(step) = self.step else {
                for (sum, (frequency, flux)) in cells {
                    *sum += *flux * fringe(path, frequency.0);
                }
                continue;
            };
            // A product for each channel in place of a sine and a cosine.
            let first = self.frequencies.first().map_or(0.0, |first| first.0);
            let (mut phasor, turn) = (fringe(path, first), fringe(path, step.0));
            for (sum, (_, flux)) in cells {
                *sum += *flux * phasor;
                phasor *= turn;
            }
        }
    }

    /// The flux density of all sources together at the middle of the band.
    pub fn total_flux(&self) -> f64 {
        let middle = self.frequencies.len() / 2;
        let fluxes = self.components.iter();
        fluxes
            .filter_map(|component| component.flux.get(middle))
            .sum()
    }
}

/// The step from channel to channel, if it is the same everywhere to a hertz: over the longest
/// paths from the phase centre that is a millionth of a turn.
fn even_step(frequencies: &[Hertz]) -> Option<Hertz> {
    let (first, last) = (frequencies.first()?, frequencies.last()?);
    let step = (last.0 - first.0) / count(frequencies.len().checked_sub(1)?.max(1));
    let mut places = frequencies.iter().enumerate();
    let even = places.all(|(place, own)| (first.0 + count(place) * step - own.0).abs() < 1.0);
    even.then_some(Hertz(step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CATALOGUE_FREQUENCY, Jansky};

    fn source(ra: f64, dec: f64) -> CatalogueSource {
        CatalogueSource {
            name: "a".into(),
            position: SkyPosition::from_degrees(ra, dec),
            flux: Jansky(2.0),
            spectral_index: 0.0,
        }
    }

    #[test]
    fn a_source_at_the_centre_is_its_flux_on_every_baseline() {
        let centre = SkyPosition::from_degrees(128.7, 55.4);
        let frequencies = [CATALOGUE_FREQUENCY, Hertz(1.5e9)];
        let sources = [source(128.7, 55.4)];
        let model = SkyModel::new(&sources, centre, centre, Metres(4.65), &frequencies);
        let mut seen = [Complex64::ZERO; 2];
        model.visibilities([100.0, -250.0, 30.0], &mut seen);
        assert!(
            seen.iter()
                .all(|v| (v - Complex64::from(2.0)).norm() < 1e-12)
        );
        assert!((model.total_flux() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_source_to_the_east_turns_with_u() {
        let centre = SkyPosition::from_degrees(128.7, 55.4);
        let step = 1e-4_f64;
        let east = source(
            128.7 + step.to_degrees() / 55.4_f64.to_radians().cos(),
            55.4,
        );
        let frequencies = [Hertz(299_792_458.0)];
        let model = SkyModel::new(&[east], centre, centre, Metres(4.65), &frequencies);
        let mut seen = [Complex64::ZERO];
        // A quarter of a turn at a wavelength of one metre.
        model.visibilities([0.25 / step, 0.0, 0.0], &mut seen);
        assert!(
            (seen[0].arg().to_degrees() - 90.0).abs() < 0.1,
            "{}",
            seen[0]
        );
    }

    #[test]
    fn even_channels_are_as_uneven_ones() {
        let centre = SkyPosition::from_degrees(128.7, 55.4);
        let even: Vec<Hertz> = (0..768)
            .map(|k| Hertz(1.3e9 + 2.4e5 * f64::from(k)))
            .collect();
        let mut uneven = even.clone();
        uneven.push(Hertz(2e9));
        let sources = [source(129.9, 55.0), source(127.3, 56.2)];
        let seen = |frequencies: &[Hertz]| {
            let model = SkyModel::new(&sources, centre, centre, Metres(4.65), frequencies);
            let mut seen = vec![Complex64::ZERO; frequencies.len()];
            model.visibilities([2_100.0, -1_500.0, 400.0], &mut seen);
            (model.step, seen)
        };
        let ((step, fast), (none, slow)) = (seen(&even), seen(&uneven));
        assert!(step.is_some() && none.is_none());
        for (fast, slow) in fast.iter().zip(&slow) {
            assert!((fast - slow).norm() < 1e-9, "{fast} is not {slow}");
        }
    }

    #[test]
    fn what_is_taken_off_is_gone_in_the_mean() {
        let centre = SkyPosition::from_degrees(128.7, 55.4);
        let frequencies = [Hertz(1.3e9), Hertz(1.4e9), Hertz(1.5e9)];
        let sources = [source(129.9, 55.0)];
        let model = SkyModel::new(&sources, centre, centre, Metres(4.65), &frequencies);
        let means: Vec<f64> = model.mean_fluxes().collect();
        assert!(means[0] > 0.5 && means[0] < 2.0, "{means:?}");
        let rest = model.without(&means);
        assert!(rest.mean_fluxes().all(|flux| flux.abs() < 1e-12));
        let mut seen = [Complex64::ZERO; 3];
        rest.visibilities([0.0; 3], &mut seen);
        assert!(seen[0].re > 0.05 && seen[2].re < -0.05, "{seen:?}");
    }
}
