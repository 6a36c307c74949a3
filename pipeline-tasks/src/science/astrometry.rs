//! Where a direction of the sky stands above the array at an instant.
//!
//! The chain is that of the IAU 2006/2000A models: ICRS, deflection of light by
//! the Sun, aberration by the motion of the site, bias, precession and nutation,
//! apparent sidereal time. UT1-UTC and polar motion are taken as zero: together
//! less than 0.3 arcseconds, which calibration against a known source removes.

use erfa::earth::position_velocity_00;
use erfa::prenut::pn_matrix_06a;
use erfa::time::gst06;
use erfa::transform::{cartesian_to_spherical, geodetic_to_geocentric};
use erfa::vectors_and_matrices::mat_mul_pvec;
use thiserror::Error;

use super::geometry::{
    Frame, SPEED_OF_LIGHT, Vector, add, cross, dot, from_spherical, turn_z, unit,
};
use crate::model::{Degrees, JulianDate, Metres, Radians, SkyPosition};

/// TT - UTC since 2017. A second more or less, as for older data, moves nothing
/// here by a microarcsecond: TT only drives precession and the Earth's orbit.
const TT_MINUS_UTC_DAYS: f64 = 69.184 / 86_400.0;
const SCHWARZSCHILD_RADIUS_SUN_AU: f64 = 1.974_125_743_36e-8;
const LIGHT_TIME_AU_DAYS: f64 = 499.004_782 / 86_400.0;
const EARTH_ROTATION_RADIANS_PER_SECOND: f64 = 7.292_115e-5;

/// Where an array stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Site {
    longitude: Radians,
    position_itrf_m: Vector,
}

/// Coordinates that are no place on Earth.
#[derive(Clone, Debug, PartialEq, Error)]
#[error(
    "latitude {latitude:?}, longitude {longitude:?}, altitude {altitude:?} is no place on Earth"
)]
pub struct SiteError {
    latitude: Degrees,
    longitude: Degrees,
    altitude: Metres,
}

/// Latitude of the reference point of DSA-110 in the Owens Valley, as the telescope's files say.
pub const OBSERVATORY_LATITUDE: Degrees = Degrees(37.233_405_1);
/// Its east longitude.
pub const OBSERVATORY_LONGITUDE: Degrees = Degrees(-118.283);
/// Its height above the ellipsoid.
pub const OBSERVATORY_ALTITUDE: Metres = Metres(1_188.051_9);

/// The site of DSA-110.
pub fn observatory() -> Result<Site, SiteError> {
    Site::new(
        OBSERVATORY_LATITUDE,
        OBSERVATORY_LONGITUDE,
        OBSERVATORY_ALTITUDE,
    )
}

impl Site {
    /// A place given by WGS 84 coordinates.
    pub fn new(latitude: Degrees, longitude: Degrees, altitude: Metres) -> Result<Self, SiteError> {
        let bad = SiteError {
            latitude,
            longitude,
            altitude,
        };
        let plausible =
            latitude.0.abs() <= 90.0 && longitude.0.abs() <= 360.0 && altitude.0.abs() < 100_000.0;
        if !plausible {
            return Err(bad);
        }
        let (east, north) = (longitude.to_radians(), latitude.to_radians());
        geodetic_to_geocentric(erfa::Ellipsoid::WGS84, east.0, north.0, altitude.0)
            .map(|position_itrf_m| Self {
                longitude: east,
                position_itrf_m,
            })
            .map_err(|_| bad)
    }

    /// A place given by its geocentric position.
    pub fn at_itrf(position_itrf_m: Vector) -> Self {
        Self {
            longitude: Radians(position_itrf_m[1].atan2(position_itrf_m[0])),
            position_itrf_m,
        }
    }

    /// East longitude.
    pub fn longitude(&self) -> Radians {
        self.longitude
    }

    /// Geocentric position.
    pub fn position_itrf_m(&self) -> Vector {
        self.position_itrf_m
    }

    /// The frame of a telescope that looks at the meridian: hour angle zero at an
    /// apparent declination.
    pub fn meridian_frame(&self, declination: Radians) -> Frame {
        let (sin, cos) = declination.0.sin_cos();
        let centre = turn_z([cos, 0.0, sin], self.longitude.0);
        let north = turn_z([-sin, 0.0, cos], self.longitude.0);
        Frame::towards(centre, north)
    }

    /// An Earth-fixed vector from components to the east, to the north and up.
    pub fn from_local(&self, latitude: Degrees, local: Vector) -> Vector {
        let (sin, cos) = latitude.to_radians().0.sin_cos();
        let [east, north, up] = local;
        turn_z(
            [cos * up - sin * north, east, sin * up + cos * north],
            self.longitude.0,
        )
    }
}

/// The sky over one site at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Sky {
    bias_precession_nutation: [Vector; 3],
    sidereal_time_greenwich: f64,
    longitude: Radians,
    velocity_c: Vector,
    from_sun: Vector,
    sun_distance_au: f64,
}

impl Sky {
    /// Prepares the matrices of an instant; directions then cost little.
    pub fn at(utc: JulianDate, site: &Site) -> Self {
        let tt = utc.0 + TT_MINUS_UTC_DAYS;
        let matrix = pn_matrix_06a(tt, 0.0);
        let sidereal_time_greenwich = gst06(utc.0, 0.0, tt, 0.0, matrix);
        let (_, heliocentric, barycentric) = position_velocity_00(tt, 0.0);
        let sun_distance_au = dot(heliocentric[0], heliocentric[0]).sqrt();
        let spin = cross(
            [0.0, 0.0, EARTH_ROTATION_RADIANS_PER_SECOND],
            site.position_itrf_m,
        )
        .map(|component| component / SPEED_OF_LIGHT);
        let spin = mat_mul_pvec(transposed(matrix), turn_z(spin, sidereal_time_greenwich));
        let orbit = barycentric[1].map(|component| component * LIGHT_TIME_AU_DAYS);
        Self {
            bias_precession_nutation: matrix,
            sidereal_time_greenwich,
            longitude: site.longitude,
            velocity_c: add(orbit, spin, 1.0),
            from_sun: unit(heliocentric[0]),
            sun_distance_au,
        }
    }

    /// Apparent sidereal time at the site.
    pub fn sidereal_time(&self) -> Radians {
        Radians(self.sidereal_time_greenwich + self.longitude.0).wrapped()
    }

    /// The unit vector, Earth-fixed, towards an ICRS position.
    pub fn direction(&self, position: SkyPosition) -> Vector {
        self.earth_fixed(from_spherical(position.ra.0, position.dec.0))
    }

    /// The u, v, w axes for a phase centre in the ICRS.
    ///
    /// North is the north of the ICRS, carried through the whole chain. Taken at
    /// the aberrated place instead, it would roll the image by 20 arcseconds.
    pub fn frame(&self, centre: SkyPosition) -> Frame {
        const STEP: f64 = 1e-5;
        let here = from_spherical(centre.ra.0, centre.dec.0);
        let north = from_spherical(centre.ra.0, centre.dec.0 + std::f64::consts::FRAC_PI_2);
        let here_fixed = self.earth_fixed(here);
        let north_fixed = self.earth_fixed(unit(add(here, north, STEP)));
        Frame::towards(here_fixed, add(north_fixed, here_fixed, -1.0))
    }

    /// The ICRS position that stands on the meridian at an apparent declination.
    pub fn meridian_position(&self, declination: Radians) -> SkyPosition {
        self.position_of(from_spherical(self.sidereal_time().0, declination.0))
    }

    /// The ICRS position in an Earth-fixed direction.
    pub fn position(&self, direction: Vector) -> SkyPosition {
        self.position_of(turn_z(direction, self.sidereal_time_greenwich))
    }

    /// From the true equator and equinox of date.
    fn position_of(&self, apparent: Vector) -> SkyPosition {
        let wanted = mat_mul_pvec(transposed(self.bias_precession_nutation), apparent);
        // Aberration shifts by 1e-4; each round gains as many digits again.
        let mut position = wanted;
        for _ in 0..5 {
            let miss = add(wanted, self.aberrated(position), -1.0);
            position = unit(add(position, miss, 1.0));
        }
        let (ra, dec) = cartesian_to_spherical(position);
        SkyPosition {
            ra: Radians(ra).wrapped(),
            dec: Radians(dec),
        }
    }

    fn earth_fixed(&self, icrs: Vector) -> Vector {
        let apparent = mat_mul_pvec(self.bias_precession_nutation, self.aberrated(icrs));
        turn_z(apparent, -self.sidereal_time_greenwich)
    }

    /// The direction as the moving site sees it, on the axes of the ICRS.
    fn aberrated(&self, icrs: Vector) -> Vector {
        let deflected = self.deflected(icrs);
        let velocity = self.velocity_c;
        let shrink = (1.0 - dot(velocity, velocity)).sqrt();
        let along = dot(deflected, velocity);
        let moved = add(
            deflected.map(|x| x * shrink),
            velocity,
            1.0 + along / (1.0 + shrink),
        );
        let potential = SCHWARZSCHILD_RADIUS_SUN_AU / self.sun_distance_au;
        unit(add(moved, add(velocity, deflected, -along), potential))
    }

    /// Bending of light by the Sun; held finite for directions close to it.
    fn deflected(&self, icrs: Vector) -> Vector {
        let distance = self.sun_distance_au;
        let limit = 1e-6 / (distance * distance).max(1.0);
        let closeness = (1.0 + dot(icrs, self.from_sun)).max(limit);
        let bend = SCHWARZSCHILD_RADIUS_SUN_AU / distance / closeness;
        unit(add(icrs, cross(icrs, cross(self.from_sun, icrs)), bend))
    }
}

fn transposed(m: [Vector; 3]) -> [Vector; 3] {
    [
        [m[0][0], m[1][0], m[2][0]],
        [m[0][1], m[1][1], m[2][1]],
        [m[0][2], m[1][2], m[2][2]],
    ]
}
