//! A small drawing of an image: what stands out of its noise.

use std::fmt;

use crate::science::{Plane, noise};

/// Cells along the longer side.
const CELLS: usize = 128;
/// Shades of a cell, the darkest last.
const SHADES: usize = 8;
/// Below this many times the noise a cell stays empty: the brightest of its many pixels is often
/// three times the noise where there is no source.
const FAINTEST: f64 = 4.0;

/// Each cell shows the brightest of its pixels, on a scale that is linear for faint and
/// logarithmic for bright ones.
pub(super) struct Thumbnail {
    columns: usize,
    rows: usize,
    /// The shade of each cell, row by row from the top.
    shades: Vec<usize>,
}

impl Thumbnail {
    /// Draws an image; none if it is blank.
    pub(super) fn of(plane: &Plane) -> Option<Self> {
        let rms = noise(plane).filter(|rms| *rms > 0.0)?;
        let (x, y) = plane.maximum()?;
        let full = (f64::from(plane.at(x, y)) / rms / FAINTEST).asinh();
        let cell = plane.width.max(plane.height).div_ceil(CELLS).max(1);
        let (columns, rows) = (plane.width.div_ceil(cell), plane.height.div_ceil(cell));
        let cells = (0..rows).rev();
        let cells = cells.flat_map(|row| (0..columns).map(move |column| (column, row)));
        let shades = cells.map(|(column, row)| {
            let brightest = brightest(plane, cell, column, row) / rms;
            if brightest.is_nan() || brightest < FAINTEST {
                return 0;
            }
            shade((brightest / FAINTEST).asinh() / full)
        });
        Some(Self {
            columns,
            rows,
            shades: shades.collect(),
        })
    }
}

/// The highest pixel of a cell; not a number if it is blank.
fn brightest(plane: &Plane, cell: usize, column: usize, row: usize) -> f64 {
    let rows = row * cell..(row + 1) * cell;
    let pixels = rows.flat_map(|y| (column * cell..(column + 1) * cell).map(move |x| (x, y)));
    let values = pixels.map(|(x, y)| plane.at(x, y));
    f64::from(values.fold(f32::NAN, f32::max))
}

/// The shade of a brightness between zero and one.
fn shade(brightness: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "held between one and the number of shades"
    )]
    let shade = (brightness * SHADES as f64)
        .ceil()
        .clamp(1.0, SHADES as f64) as usize;
    shade
}

impl fmt::Display for Thumbnail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (columns, rows) = (self.columns, self.rows);
        writeln!(
            f,
            "<figure><figcaption>The image, from {FAINTEST} times its noise up</figcaption>\
             <svg class=\"thumbnail\" viewBox=\"0 0 {columns} {rows}\" role=\"img\" \
             aria-label=\"The image\" shape-rendering=\"crispEdges\">"
        )?;
        for shade in 1..=SHADES {
            write!(f, "<path class=\"shade{shade}\" d=\"")?;
            for (row, cells) in self.shades.chunks(columns.max(1)).enumerate() {
                let mut column = 0;
                for run in cells.chunk_by(|a, b| a == b) {
                    if run.first() == Some(&shade) {
                        write!(
                            f,
                            "M{column} {row}h{length}v1h-{length}z",
                            length = run.len()
                        )?;
                    }
                    column += run.len();
                }
            }
            writeln!(f, "\"/>")?;
        }
        writeln!(f, "</svg></figure>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise of one, and two sources: the brighter one is darker, and north is up.
    #[test]
    fn sources_are_drawn_where_they_are() {
        let mut values: Vec<f32> = (0_u8..100).map(|n| f32::from(n % 3) - 1.0).collect();
        values[91] = 500.0;
        values[38] = 10.0;
        let mut plane = Plane {
            width: 10,
            height: 10,
            values,
        };
        let svg = Thumbnail::of(&plane).unwrap().to_string();
        assert!(
            svg.contains("<path class=\"shade8\" d=\"M1 0h1v1h-1z\"/>"),
            "{svg}"
        );
        assert!(
            svg.contains("<path class=\"shade3\" d=\"M8 6h1v1h-1z\"/>"),
            "{svg}"
        );
        assert_eq!(svg.matches('z').count(), 2, "{svg}");
        plane.values.fill(f32::NAN);
        assert!(Thumbnail::of(&plane).is_none());
    }

    #[test]
    fn a_large_image_becomes_small() {
        let values = (0_u16..40_000).map(|n| f32::from(n % 7)).collect();
        let plane = Plane {
            width: 400,
            height: 100,
            values,
        };
        let drawn = Thumbnail::of(&plane).unwrap();
        assert_eq!(
            (drawn.columns, drawn.rows, drawn.shades.len()),
            (100, 25, 2_500)
        );
    }
}
