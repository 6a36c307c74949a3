//! What an array would see of known point sources.

use num_complex::Complex64;

use super::{
    beam::airy_power,
    geometry::{dot, fringe},
    projection::cosines,
};
use crate::model::{CatalogueSource, Hertz, Metres, SkyPosition};

/// Point sources as one integration sees them: their places about the phase centre, and their
/// flux densities through the dishes' beam, which the Earth carries across the sky.
#[derive(Debug, Clone)]
pub struct SkyModel<'f> {
    frequencies: &'f [Hertz],
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
            components: sources.iter().map(component).collect(),
        }
    }

    /// The visibility of each channel on a baseline, as a Measurement Set counts u, v, w
    /// (metres): `flux * exp(2 pi i (u l + v m + w (n - 1)) frequency / c)`, summed.
    pub fn visibilities(&self, uvw: [f64; 3], into: &mut [Complex64]) {
        into.fill(Complex64::ZERO);
        for component in &self.components {
            let path = dot(uvw, component.cosines);
            let channels = self.frequencies.iter().zip(&component.flux);
            for (sum, (frequency, flux)) in into.iter_mut().zip(channels) {
                *sum += *flux * fringe(path, frequency.0);
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
}
