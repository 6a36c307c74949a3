//! When a source stands on the meridian.

use std::f64::consts::{PI, TAU};

use super::astrometry::{Site, Sky};
use crate::model::{Mjd, SkyPosition};

/// The sidereal day in days of UTC.
const SIDEREAL_DAY: f64 = 0.997_269_566_3;

/// All upper transits of a position over a site within a span of time, earliest first; exact to a
/// second.
pub fn transits(site: &Site, position: SkyPosition, (from, until): (Mjd, Mjd)) -> Vec<Mjd> {
    let mut found: Vec<Mjd> = Vec::new();
    let mut near = from.0;
    while near <= until.0 + SIDEREAL_DAY {
        let mut time = near;
        // The hour angle grows by a turn in a sidereal day, but for precession.
        for _ in 0..3 {
            time -= hour_angle(site, position, Mjd(time)) / TAU * SIDEREAL_DAY;
        }
        let is_new = found
            .last()
            .is_none_or(|last| time - last.0 > SIDEREAL_DAY / 2.0);
        if is_new && time >= from.0 && time <= until.0 {
            found.push(Mjd(time));
        }
        near += SIDEREAL_DAY;
    }
    found
}

/// Between minus half a turn and half a turn, radians.
fn hour_angle(site: &Site, position: SkyPosition, time: Mjd) -> f64 {
    let direction = Sky::at(time.to_julian_date(), site).direction(position);
    let angle = site.longitude().0 - direction[1].atan2(direction[0]);
    (angle + PI).rem_euclid(TAU) - PI
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Degrees, Metres};

    #[test]
    fn a_source_is_on_the_meridian_at_its_transits() {
        let site = Site::new(Degrees(37.2334), Degrees(-118.283), Metres(1_188.0)).unwrap();
        let calibrator = SkyPosition::from_degrees(128.728_767, 55.572_52);
        let (from, until) = (Mjd(61_066.0), Mjd(61_069.0));
        let found = transits(&site, calibrator, (from, until));
        assert_eq!(found.len(), 3);
        for transit in &found {
            let seconds = hour_angle(&site, calibrator, *transit) / TAU * 86_400.0;
            assert!(seconds.abs() < 1.0, "{seconds} seconds away");
            let sky = Sky::at(transit.to_julian_date(), &site);
            let declination = sky.direction(calibrator)[2].asin();
            let above = sky.meridian_position(crate::model::Radians(declination));
            assert!(above.separation(calibrator).to_arcseconds().0 < 20.0);
        }
        // The shared groups were observed about one: it is in the middle of the first.
        assert!(
            found
                .iter()
                .any(|transit| (transit.0 - 61_066.337_1).abs() < 0.01)
        );
    }
}
