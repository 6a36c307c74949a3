//! Sources as catalogues list them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{Hertz, Jansky, SkyPosition};

/// The frequency at which catalogues give flux densities.
pub const CATALOGUE_FREQUENCY: Hertz = Hertz(1.4e9);

/// Flux densities fall with frequency like this where a catalogue doesn't say: the median of
/// extragalactic sources between 0.843 and 1.4 GHz (Mauch et al. 2003, MNRAS 342, 1117, section 5).
pub const SPECTRAL_INDEX_USUAL: f64 = -0.83;

/// A source of a catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogueSource {
    /// Its name there.
    pub name: String,
    /// Where it is, ICRS.
    pub position: SkyPosition,
    /// Its flux density at [`CATALOGUE_FREQUENCY`].
    pub flux: Jansky,
    /// `alpha` of `flux * (frequency / 1.4 GHz)^alpha`.
    pub spectral_index: f64,
}

impl CatalogueSource {
    /// Its flux density at a frequency.
    pub fn flux_at(&self, frequency: Hertz) -> Jansky {
        let ratio = frequency.0 / CATALOGUE_FREQUENCY.0;
        Jansky(self.flux.0 * ratio.powf(self.spectral_index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flux_falls_with_frequency() {
        let source = CatalogueSource {
            name: "0834+555".into(),
            position: SkyPosition::from_degrees(128.728_767, 55.572_52),
            flux: Jansky(8.8),
            spectral_index: -0.36,
        };
        assert!((source.flux_at(CATALOGUE_FREQUENCY).0 - 8.8).abs() < 1e-12);
        let doubled = source.flux_at(Hertz(2.8e9)).0;
        assert!((doubled - 8.8 * 2_f64.powf(-0.36)).abs() < 1e-12);
    }
}
