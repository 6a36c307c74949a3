//! Vectors, baselines and the phase of a fringe.

use std::f64::consts::TAU;

use num_complex::Complex64;

/// Metres per second.
pub const SPEED_OF_LIGHT: f64 = 299_792_458.0;

/// A vector in some right-handed frame; which one, the name has to tell.
pub type Vector = [f64; 3];

/// The scalar product.
pub fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vector, b: Vector) -> Vector {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

pub(crate) fn add(a: Vector, b: Vector, scale: f64) -> Vector {
    [
        a[0] + scale * b[0],
        a[1] + scale * b[1],
        a[2] + scale * b[2],
    ]
}

pub(crate) fn unit(a: Vector) -> Vector {
    let length = dot(a, a).sqrt();
    a.map(|component| component / length)
}

/// Turns a vector by `angle` about the z axis, from x to y.
pub(crate) fn turn_z(a: Vector, angle: f64) -> Vector {
    let (sin, cos) = angle.sin_cos();
    [cos * a[0] - sin * a[1], sin * a[0] + cos * a[1], a[2]]
}

pub(crate) fn from_spherical(longitude: f64, latitude: f64) -> Vector {
    erfa::transform::spherical_to_cartesian(longitude, latitude)
}

/// The axes along which a baseline has its u, v and w, as unit vectors of the
/// Earth-fixed frame: w points at the phase centre, v north of it, u east.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// East of the phase centre.
    pub u: Vector,
    /// North of the phase centre.
    pub v: Vector,
    /// The phase centre.
    pub w: Vector,
}

impl Frame {
    /// The frame whose w points at `centre` and whose v lies towards `north`.
    pub fn towards(centre: Vector, north: Vector) -> Self {
        let w = unit(centre);
        let v = unit(add(north, w, -dot(north, w)));
        Self {
            u: cross(v, w),
            v,
            w,
        }
    }

    /// The u, v and w of an Earth-fixed baseline.
    pub fn uvw(&self, baseline: Vector) -> Vector {
        [
            dot(self.u, baseline),
            dot(self.v, baseline),
            dot(self.w, baseline),
        ]
    }
}

/// `exp(2 pi i * path * frequency / c)`.
pub fn fringe(path_m: f64, frequency_hz: f64) -> Complex64 {
    Complex64::cis(TAU * (path_m * frequency_hz / SPEED_OF_LIGHT).fract())
}
