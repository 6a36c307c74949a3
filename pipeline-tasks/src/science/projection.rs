//! Sky to pixel and back on the orthographic (SIN) plane of an interferometer.

use crate::model::{Radians, SkyPosition};

/// A SIN projection with the axes of a radio image: right ascension falls along
/// x, declination rises along y. Pixels count from zero, centres at whole numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SinProjection {
    /// The tangent point.
    pub centre: SkyPosition,
    /// Its pixel.
    pub centre_pixel: (f64, f64),
    /// The step of one pixel along x (negative) and along y.
    pub step: (Radians, Radians),
}

impl SinProjection {
    /// The pixel of a position; none if it is on the other side of the sky.
    pub fn to_pixel(&self, position: SkyPosition) -> Option<(f64, f64)> {
        let [l, m, n] = cosines(self.centre, position);
        if n <= 0.0 {
            return None;
        }
        Some((
            self.centre_pixel.0 + l / self.step.0.0,
            self.centre_pixel.1 + m / self.step.1.0,
        ))
    }

    /// The position of a pixel; none beyond the horizon of the projection.
    #[expect(
        clippy::many_single_char_names,
        reason = "x, y and the direction cosines l, m, n are the field's names"
    )]
    pub fn to_sky(&self, x: f64, y: f64) -> Option<SkyPosition> {
        let l = (x - self.centre_pixel.0) * self.step.0.0;
        let m = (y - self.centre_pixel.1) * self.step.1.0;
        let n = (1.0 - l * l - m * m).max(-1.0);
        if n < 0.0 {
            return None;
        }
        let n = n.sqrt();
        let (sin_dec0, cos_dec0) = self.centre.dec.0.sin_cos();
        let dec = (m * cos_dec0 + n * sin_dec0).clamp(-1.0, 1.0).asin();
        let ra = self.centre.ra.0 + l.atan2(n * cos_dec0 - m * sin_dec0);
        Some(SkyPosition {
            ra: Radians(ra).wrapped(),
            dec: Radians(dec),
        })
    }
}

/// The direction cosines of a position about a centre: to the east, to the north, towards it.
pub(super) fn cosines(centre: SkyPosition, position: SkyPosition) -> [f64; 3] {
    let (sin_dec, cos_dec) = position.dec.0.sin_cos();
    let (sin_dec0, cos_dec0) = centre.dec.0.sin_cos();
    let (sin_ra, cos_ra) = (position.ra.0 - centre.ra.0).sin_cos();
    [
        cos_dec * sin_ra,
        sin_dec * cos_dec0 - cos_dec * sin_dec0 * cos_ra,
        sin_dec * sin_dec0 + cos_dec * cos_dec0 * cos_ra,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Arcseconds;

    #[test]
    fn there_and_back_again() {
        let step = Arcseconds(5.0).to_radians();
        let plane = SinProjection {
            centre: SkyPosition::from_degrees(0.1, 55.4),
            centre_pixel: (500.0, 400.0),
            step: (Radians(-step.0), step),
        };
        for (x, y) in [(500.0, 400.0), (0.0, 0.0), (999.0, 3.5)] {
            let sky = plane.to_sky(x, y).unwrap();
            let (x2, y2) = plane.to_pixel(sky).unwrap();
            assert!((x - x2).abs() < 1e-6 && (y - y2).abs() < 1e-6);
        }
        let east = plane
            .to_pixel(SkyPosition::from_degrees(0.2, 55.4))
            .unwrap();
        assert!(east.0 < 500.0, "east is to the left");
    }
}
