//! Figures of a sample that a few wild values hardly move.

/// Turns the median absolute deviation of a normal distribution into its standard deviation.
const DEVIATION_TO_SIGMA: f64 = 1.4826;

/// The middle value, or the mean of the middle two; values that are no numbers don't count.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    let above = values.get(values.len() / 2)?;
    let below = values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(*below, *above))
}

/// The standard deviation, from the median absolute deviation.
pub(super) fn scatter(values: &[f64]) -> Option<f64> {
    let middle = median(values.iter().copied())?;
    let deviations = values.iter().map(|value| (value - middle).abs());
    median(deviations).map(|deviation| DEVIATION_TO_SIGMA * deviation)
}

/// A number of things as a number to calculate with.
#[expect(
    clippy::cast_precision_loss,
    reason = "sources, epochs, channels and pixels are far fewer than 2^52"
)]
pub(crate) fn count(things: usize) -> f64 {
    things as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([7.0, f64::NAN]), Some(7.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn one_wild_value_does_not_widen_the_scatter() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0e6];
        assert_eq!(scatter(&values), Some(1.4826));
        assert_eq!(scatter(&[]), None);
    }
}
