//! The primary beam of a dish that looks straight up the meridian.

use std::f64::consts::PI;

use super::geometry::SPEED_OF_LIGHT;
use crate::model::{Degrees, Hertz, Metres, Radians};

/// Power of an Airy pattern, one at its centre, at an angle from the pointing.
pub fn airy_power(offset: Radians, frequency: Hertz, dish: Metres) -> f64 {
    let x = PI * dish.0 * offset.0.sin() * frequency.0 / SPEED_OF_LIGHT;
    if x.abs() < 1e-6 {
        return 1.0;
    }
    (2.0 * bessel_j1(x) / x).powi(2)
}

/// Full width at half power.
pub fn field_of_view(frequency: Hertz, dish: Metres) -> Degrees {
    Radians(1.029 * SPEED_OF_LIGHT / frequency.0 / dish.0).to_degrees()
}

/// The Bessel function of first order, from its integral
/// `1/pi * integral of cos(t - x sin t) over 0..pi`. The trapezoidal rule is
/// exact to rounding here, because the integrand is periodic and smooth.
fn bessel_j1(x: f64) -> f64 {
    // Enough for |x| < 40, forty sidelobes away from anything we image.
    const STEPS: u32 = 64;
    let sum: f64 = (0..STEPS)
        .map(|step| {
            let t = 2.0 * PI * f64::from(step) / f64::from(STEPS);
            (t - x * t.sin()).cos()
        })
        .sum();
    sum / f64::from(STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bessel_function_agrees_with_tables() {
        for (x, expected) in [
            (0.5, 0.242_268_457_674_873_9),
            (1.0, 0.440_050_585_744_933_5),
            (3.831_705_970_207_512, 0.0),
            (10.0, 0.043_472_746_168_861_44),
        ] {
            assert!((bessel_j1(x) - expected).abs() < 1e-13, "J1({x})");
        }
    }

    #[test]
    fn half_power_is_half() {
        let (frequency, dish) = (Hertz(1.4e9), Metres(4.65));
        let half_width = Degrees(field_of_view(frequency, dish).0 / 2.0).to_radians();
        assert!((airy_power(half_width, frequency, dish) - 0.5).abs() < 2e-3);
    }
}
