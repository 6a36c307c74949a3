//! Noise and peaks of an image plane.

use std::collections::BTreeSet;

/// A two-dimensional image, row by row from the bottom; blanks are not finite.
#[derive(Clone, Debug)]
pub struct Plane {
    /// Pixels along x.
    pub width: usize,
    /// Pixels along y.
    pub height: usize,
    /// `width * height` values, x fastest.
    pub values: Vec<f32>,
}

/// A local maximum, interpolated between the pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Pixel coordinate along x, from zero.
    pub x: f64,
    /// Pixel coordinate along y, from zero.
    pub y: f64,
    /// Height of the fitted maximum.
    pub value: f64,
}

/// More pixels than a beam of any use has.
const HILL_PIXELS_MAX: usize = 2_000;
/// A maximum lies no further than this from the highest pixel, in pixels.
const SHIFT_MAX: f64 = 2.0;

impl Plane {
    /// The value of a pixel; not a number outside.
    pub fn at(&self, x: usize, y: usize) -> f32 {
        if x < self.width {
            self.values.get(y * self.width + x).copied()
        } else {
            None
        }
        .unwrap_or(f32::NAN)
    }

    /// The highest pixel of all, not interpolated.
    pub fn maximum(&self) -> Option<(usize, usize)> {
        self.highest(0..self.width, 0..self.height)
    }

    fn highest(
        &self,
        columns: std::ops::Range<usize>,
        rows: std::ops::Range<usize>,
    ) -> Option<(usize, usize)> {
        rows.flat_map(|y| columns.clone().map(move |x| (x, y)))
            .filter(|(x, y)| self.at(*x, *y).is_finite())
            .max_by(|a, b| self.at(a.0, a.1).total_cmp(&self.at(b.0, b.1)))
    }

    /// A parabola through the logarithms of the pixels about a maximum, which a Gaussian beam
    /// follows exactly: those down to half of its height, and in any case the nearest nine. Each
    /// counts by the square of its value, for the error of a logarithm is that of the value over
    /// the value.
    pub fn interpolate(&self, x: usize, y: usize) -> Peak {
        let value = f64::from(self.at(x, y));
        #[expect(clippy::cast_precision_loss, reason = "a pixel coordinate is small")]
        let (centre_x, centre_y) = (x as f64, y as f64);
        let plain = Peak {
            x: centre_x,
            y: centre_y,
            value,
        };
        if x == 0 || y == 0 || x + 1 >= self.width || y + 1 >= self.height {
            return plain;
        }
        let Some(parabola) = self.parabola(x, y) else {
            return plain;
        };
        let [_, slope_x, slope_y, square_x, twist, square_y] = parabola;
        let (curve_x, curve_y) = (2.0 * square_x, 2.0 * square_y);
        let determinant = curve_x * curve_y - twist * twist;
        let shift_x = (twist * slope_y - curve_y * slope_x) / determinant;
        let shift_y = (twist * slope_x - curve_x * slope_y) / determinant;
        let terms = terms(shift_x, shift_y);
        let height = parabola.iter().zip(terms).map(|(p, t)| p * t).sum::<f64>();
        let height = height.exp();
        // The ridge of an elongated beam runs between the pixels: its top can be further away than
        // the nearest pixel.
        let near = shift_x.abs() <= SHIFT_MAX && shift_y.abs() <= SHIFT_MAX;
        let sound = determinant > 0.0 && near && height.is_finite();
        if !sound {
            return plain;
        }
        Peak {
            x: centre_x + shift_x,
            y: centre_y + shift_y,
            value: height,
        }
    }

    /// The coefficients of `1, x, y, x^2, x y, y^2` by least squares; none if the pixels don't
    /// tell all of them.
    fn parabola(&self, x: usize, y: usize) -> Option<[f64; 6]> {
        let mut normal = [[0.0; 7]; 6];
        for (column, row) in self.hill(x, y) {
            let value = f64::from(self.at(column, row));
            if value.is_nan() || value <= 0.0 {
                continue;
            }
            #[expect(clippy::cast_precision_loss, reason = "a pixel coordinate is small")]
            let (dx, dy) = (column as f64 - x as f64, row as f64 - y as f64);
            let (terms, weight) = (terms(dx, dy), value * value);
            for (line, first) in normal.iter_mut().zip(terms) {
                let right = terms.into_iter().chain([value.ln()]);
                for (cell, second) in line.iter_mut().zip(right) {
                    *cell += weight * first * second;
                }
            }
        }
        solved(normal)
    }

    /// The pixels of a maximum: its eight neighbours, and those connected to it that are more than
    /// half as high.
    fn hill(&self, x: usize, y: usize) -> BTreeSet<(usize, usize)> {
        let half = self.at(x, y) / 2.0;
        let mut hill = BTreeSet::from([(x, y)]);
        let mut open = vec![(x, y)];
        while let Some((column, row)) = open.pop() {
            for cell in 0..9 {
                let next = (
                    (column + cell % 3).checked_sub(1),
                    (row + cell / 3).checked_sub(1),
                );
                let (Some(column), Some(row)) = next else {
                    continue;
                };
                let is_near = column.abs_diff(x) <= 1 && row.abs_diff(y) <= 1;
                let is_high = self.at(column, row) > half;
                let fits = hill.len() < HILL_PIXELS_MAX && (is_near || is_high);
                if fits && hill.insert((column, row)) && is_high {
                    open.push((column, row));
                }
            }
        }
        hill
    }
}

fn terms(x: f64, y: f64) -> [f64; 6] {
    [1.0, x, y, x * x, x * y, y * y]
}

/// Solves six equations by elimination; none if they are not independent.
fn solved(mut lines: [[f64; 7]; 6]) -> Option<[f64; 6]> {
    for column in 0..6 {
        let largest = (column..6)
            .max_by(|a, b| lines[*a][column].abs().total_cmp(&lines[*b][column].abs()))?;
        lines.swap(column, largest);
        let pivot = lines[column];
        if pivot[column].abs() < f64::EPSILON * pivot.iter().map(|p| p.abs()).sum::<f64>() {
            return None;
        }
        for (other, line) in lines.iter_mut().enumerate() {
            if other == column {
                continue;
            }
            let factor = line[column] / pivot[column];
            for (cell, above) in line.iter_mut().zip(pivot) {
                *cell -= factor * above;
            }
        }
    }
    let mut solution = [0.0; 6];
    for (place, line) in lines.iter().enumerate() {
        solution[place] = line[6] / line[place];
    }
    solution
        .iter()
        .all(|value| value.is_finite())
        .then_some(solution)
}

/// The standard deviation of the noise from the median absolute deviation, which
/// sources on the image hardly move. None if every pixel is blank.
pub fn noise(plane: &Plane) -> Option<f64> {
    let mut values: Vec<f32> = plane
        .values
        .iter()
        .copied()
        .filter(|v| v.is_finite())
        .collect();
    let middle = median(&mut values)?;
    for value in &mut values {
        *value = (*value - middle).abs();
    }
    median(&mut values).map(|deviation| 1.4826 * f64::from(deviation))
}

fn median(values: &mut [f32]) -> Option<f32> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    Some(*values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// The peak of each island of pixels above `threshold`, highest first.
pub fn find_peaks(plane: &Plane, threshold: f64) -> Vec<Peak> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "pixels are single precision"
    )]
    let threshold = threshold as f32;
    let mut seen = vec![false; plane.values.len()];
    let mut peaks = Vec::new();
    for start in 0..plane.values.len() {
        if seen[start] || plane.values[start].is_nan() || plane.values[start] <= threshold {
            continue;
        }
        let top = climb_island(plane, threshold, start, &mut seen);
        peaks.push(plane.interpolate(top % plane.width, top / plane.width));
    }
    peaks.sort_by(|a, b| b.value.total_cmp(&a.value));
    peaks
}

/// Marks all pixels connected to `start` (by sides) and returns the highest.
fn climb_island(plane: &Plane, threshold: f32, start: usize, seen: &mut [bool]) -> usize {
    let mut top = start;
    let mut open = vec![start];
    seen[start] = true;
    while let Some(pixel) = open.pop() {
        if plane.values[pixel] > plane.values[top] {
            top = pixel;
        }
        let (x, y) = (pixel % plane.width, pixel / plane.width);
        let neighbours = [
            (x > 0).then(|| pixel - 1),
            (x + 1 < plane.width).then_some(pixel + 1),
            (y > 0).then(|| pixel - plane.width),
            (y + 1 < plane.height).then_some(pixel + plane.width),
        ];
        for next in neighbours.into_iter().flatten() {
            if !seen[next] && plane.values[next] > threshold {
                seen[next] = true;
                open.push(next);
            }
        }
    }
    top
}

/// The highest pixel within `radius` pixels of a place.
pub(crate) fn highest_near(plane: &Plane, x: f64, y: f64, radius: f64) -> Option<(usize, usize)> {
    if !(x.is_finite() && y.is_finite()) {
        return None;
    }
    let range = |centre: f64, limit: usize| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a negative start becomes zero, which is meant"
        )]
        let (from, to) = (
            (centre - radius).ceil() as usize,
            (centre + radius + 1.0) as usize,
        );
        from..to.min(limit)
    };
    plane.highest(range(x, plane.width), range(y, plane.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::cast_possible_truncation,
        reason = "pixels are single precision"
    )]
    fn gaussian(x0: f64, y0: f64) -> Plane {
        let (width, height) = (40_u32, 30_u32);
        let value = |x: u32, y: u32| {
            let (dx, dy) = (f64::from(x) - x0, f64::from(y) - y0);
            (2.0 * (-(dx * dx + 0.5 * dx * dy + dy * dy) / 8.0).exp()) as f32
        };
        let values = (0..height)
            .flat_map(|y| (0..width).map(move |x| value(x, y)))
            .collect();
        Plane {
            width: 40,
            height: 30,
            values,
        }
    }

    #[test]
    fn a_gaussian_is_found_between_the_pixels() {
        let peaks = find_peaks(&gaussian(17.3, 12.8), 0.5);
        assert_eq!(peaks.len(), 1);
        assert!((peaks[0].x - 17.3).abs() < 1e-3 && (peaks[0].y - 12.8).abs() < 1e-3);
        assert!((peaks[0].value - 2.0).abs() < 1e-3);
    }

    #[test]
    fn blanks_and_edges_do_no_harm() {
        let mut plane = gaussian(0.0, 0.0);
        plane.values[45] = f32::NAN;
        assert_eq!(find_peaks(&plane, 0.5).len(), 1);
        assert!(highest_near(&plane, -20.0, -20.0, 3.0).is_none());
        assert!(
            noise(&Plane {
                width: 1,
                height: 1,
                values: vec![f32::NAN]
            })
            .is_none()
        );
    }
}
