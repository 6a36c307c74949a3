//! Files hold numbers of single precision, calculations need double.

use num_complex::{Complex32, Complex64};

#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
pub(super) fn single(value: Complex64) -> Complex32 {
    Complex32::new(value.re as f32, value.im as f32)
}
