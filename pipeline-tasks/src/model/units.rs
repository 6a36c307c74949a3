//! Numbers that carry their unit in their type.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! quantities {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub f64);
    )*};
}

quantities! {
    /// A frequency or a bandwidth.
    Hertz;
    /// A flux density; of an image pixel, per beam.
    Jansky;
    /// A UTC Julian date, as UVH5 writes times.
    JulianDate;
    /// A UTC modified Julian date in days.
    Mjd;
    /// An angle in degrees, the unit of configuration and reports.
    Degrees;
    /// An angle in radians, the unit of every calculation.
    Radians;
    /// A small angle.
    Arcseconds;
    /// A length.
    Metres;
    /// A time span.
    Seconds;
}

const MJD_EPOCH_JD: f64 = 2_400_000.5;
const SECONDS_PER_DAY: f64 = 86_400.0;

impl JulianDate {
    /// The same instant, counted from 1858-11-17.
    pub fn to_mjd(self) -> Mjd {
        Mjd(self.0 - MJD_EPOCH_JD)
    }
}

impl Mjd {
    /// The unit of every time column of a Measurement Set.
    pub fn seconds(self) -> f64 {
        self.0 * SECONDS_PER_DAY
    }

    /// The same instant as a Julian date.
    pub fn to_julian_date(self) -> JulianDate {
        JulianDate(self.0 + MJD_EPOCH_JD)
    }

    /// This instant, later by a span.
    pub fn plus(self, span: Seconds) -> Self {
        Self(self.0 + span.0 / SECONDS_PER_DAY)
    }
}

impl Degrees {
    /// The angle in radians.
    pub fn to_radians(self) -> Radians {
        Radians(self.0.to_radians())
    }
}

impl Radians {
    /// The angle in degrees.
    pub fn to_degrees(self) -> Degrees {
        Degrees(self.0.to_degrees())
    }

    /// The angle in arcseconds.
    pub fn to_arcseconds(self) -> Arcseconds {
        Arcseconds(self.0.to_degrees() * 3600.0)
    }

    /// The same direction in `0 .. 2 pi`.
    pub fn wrapped(self) -> Self {
        Self(self.0.rem_euclid(2.0 * PI))
    }
}

impl Arcseconds {
    /// The angle in radians.
    pub fn to_radians(self) -> Radians {
        Radians((self.0 / 3600.0).to_radians())
    }
}

/// A direction in the ICRS.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkyPosition {
    /// Right ascension.
    pub ra: Radians,
    /// Declination.
    pub dec: Radians,
}

impl SkyPosition {
    /// A position given the way catalogues write it.
    pub fn from_degrees(ra: f64, dec: f64) -> Self {
        Self {
            ra: Degrees(ra).to_radians(),
            dec: Degrees(dec).to_radians(),
        }
    }

    /// The angle to another position; exact also where it is tiny.
    pub fn separation(self, other: Self) -> Radians {
        let half_ra = (self.ra.0 - other.ra.0) / 2.0;
        let half_dec = (self.dec.0 - other.dec.0) / 2.0;
        let haversine =
            half_dec.sin().powi(2) + self.dec.0.cos() * other.dec.0.cos() * half_ra.sin().powi(2);
        Radians(2.0 * haversine.sqrt().min(1.0).asin())
    }
}
