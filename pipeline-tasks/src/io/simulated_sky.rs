//! What a simulated array looks at, where its antennas stand, and what they are.

use std::f64::consts::TAU;

use rand::{Rng as _, rngs::StdRng};

use crate::{
    model::{CatalogueSource, Jansky, Seconds, SkyPosition},
    science::{Vector, count},
};

pub(super) const INTEGRATION: Seconds = Seconds(12.884_901_888);

/// A source that is a point to the array.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct PointSource {
    /// Where.
    pub position: SkyPosition,
    /// How bright, before the beam.
    pub flux: Jansky,
}

/// A bright source near the centre and fainter ones around it, none near another, all with the
/// same flux density over the band.
pub(super) fn sources(
    count: usize,
    centre: SkyPosition,
    random: &mut StdRng,
) -> Vec<CatalogueSource> {
    const RADIUS_DEGREES: f64 = 0.6;
    let (ra, dec) = (centre.ra.to_degrees().0, centre.dec.to_degrees().0);
    let source = |position, flux, number| CatalogueSource {
        name: format!("made-up {number}"),
        position,
        flux,
        spectral_index: 0.0,
    };
    let bright = SkyPosition::from_degrees(ra + 0.05, dec - 0.03);
    let mut sources = vec![source(bright, Jansky(5.0), 0)];
    while sources.len() <= count {
        let distance = RADIUS_DEGREES * random.random::<f64>().sqrt();
        let angle = TAU * random.random::<f64>();
        let position = SkyPosition::from_degrees(
            ra + distance * angle.cos() / centre.dec.0.cos(),
            dec + distance * angle.sin(),
        );
        let apart =
            |other: &CatalogueSource| other.position.separation(position).to_degrees().0 > 0.1;
        if sources.iter().all(apart) {
            let flux = Jansky(0.5 + 1.5 * random.random::<f64>());
            sources.push(source(position, flux, sources.len()));
        }
    }
    sources
}

/// Antennas on an arm to the east and one to the north, closer at the crossing, up to 1.5 km
/// away: east, north and up in metres. Distances go with the power `crowding` of their order.
pub(super) fn stations(antennas: usize, crowding: f64) -> impl Iterator<Item = Vector> {
    (0..antennas).map(move |index| {
        let along = count(index / 2 + 1) / count(antennas.div_ceil(2));
        let distance = 1_500.0 * along.powf(crowding);
        let sideways = 3.0 * count(index);
        if index % 2 == 0 {
            [distance, sideways, 0.0]
        } else {
            [sideways, distance, 0.0]
        }
    })
}
