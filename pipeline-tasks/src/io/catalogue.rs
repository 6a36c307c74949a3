//! Catalogues of sources: plain tables, and the NRAO's list of calibrators.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::part::write_whole;
use crate::{
    model::{CatalogueSource, Hertz, Jansky, SPECTRAL_INDEX_USUAL, SkyPosition},
    science::{FluxPoint, spectral_index},
};

/// Why a catalogue can't be used.
#[derive(Debug, Error)]
pub enum CatalogueError {
    /// It can't be read.
    #[error("{}: can't be read as a text", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A column that every catalogue needs is not there.
    #[error("{}: no column `{column}`; name it so in the first line", path.display())]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The name that the first line lacks.
        column: &'static str,
    },
    /// A cell holds what it can't hold. A flux that is not known is no reason to guess one: take
    /// the row out.
    #[error("{}, line {line}, `{column}`: {problem}", path.display())]
    BadCell {
        /// The file.
        path: PathBuf,
        /// Its line, from one.
        line: usize,
        /// The column or part of the line.
        column: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl CatalogueError {
    /// Whether another try with the same file must fail as well.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Unreadable { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidData
            ),
            Self::NoColumn { .. } | Self::BadCell { .. } => true,
        }
    }
}

/// Reads a table of values parted by commas, whose first line names its columns: `name`, `ra_deg`,
/// `dec_deg` (ICRS) and `s1400_jy` are needed, `spectral_index` is used where it is there and
/// filled in, and all others are passed over. A field can't hold a comma, nor quotes.
pub fn read_catalogue(path: &Path) -> Result<Vec<CatalogueSource>, CatalogueError> {
    let text = read(path)?;
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let columns = Columns::of(path, header)?;
    let rows = lines.enumerate();
    let rows = rows.filter(|(_, row)| !row.trim().is_empty());
    rows.map(|(index, row)| {
        let place = Place {
            path,
            line: index + 2,
        };
        columns.source(&place, row)
    })
    .collect()
}

fn read(path: &Path) -> Result<String, CatalogueError> {
    fs::read_to_string(path).map_err(|source| CatalogueError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// Where a mistake is.
struct Place<'a> {
    path: &'a Path,
    line: usize,
}

impl Place<'_> {
    fn bad(&self, column: &'static str, problem: impl Into<String>) -> CatalogueError {
        CatalogueError::BadCell {
            path: self.path.to_owned(),
            line: self.line,
            column,
            problem: problem.into(),
        }
    }

    /// The number in a cell, if it is one that the cell can hold.
    fn number(
        &self,
        column: &'static str,
        cell: &str,
        holds: impl Fn(f64) -> bool,
        meaning: &str,
    ) -> Result<f64, CatalogueError> {
        let number = cell.parse().ok().filter(|number| holds(*number));
        number.ok_or_else(|| self.bad(column, format!("`{cell}` is no {meaning}")))
    }
}

/// Where the columns of a table are.
struct Columns {
    count: usize,
    name: usize,
    ra: usize,
    dec: usize,
    flux: usize,
    spectral_index: Option<usize>,
}

impl Columns {
    fn of(path: &Path, header: &str) -> Result<Self, CatalogueError> {
        let names: Vec<_> = header.split(',').map(str::trim).collect();
        let find = |column: &'static str| {
            let place = names.iter().position(|name| *name == column);
            place.ok_or_else(|| CatalogueError::NoColumn {
                path: path.to_owned(),
                column,
            })
        };
        Ok(Self {
            count: names.len(),
            name: find("name")?,
            ra: find("ra_deg")?,
            dec: find("dec_deg")?,
            flux: find("s1400_jy")?,
            spectral_index: find("spectral_index").ok(),
        })
    }

    fn source(&self, place: &Place<'_>, row: &str) -> Result<CatalogueSource, CatalogueError> {
        let cells: Vec<_> = row.split(',').map(str::trim).collect();
        if cells.len() != self.count {
            let problem = format!("{} fields, the first line has {}", cells.len(), self.count);
            return Err(place.bad("the whole row", problem));
        }
        let cell = |column: usize| cells.get(column).copied().unwrap_or_default();
        let name = cell(self.name);
        if name.is_empty() {
            return Err(place.bad("name", "a source needs a name"));
        }
        let ra = |degrees: f64| (0.0..=360.0).contains(&degrees);
        let dec = |degrees: f64| (-90.0..=90.0).contains(&degrees);
        let index = self.spectral_index.map(cell);
        let spectral_index = match index.filter(|index| !index.is_empty()) {
            Some(index) => place.number("spectral_index", index, f64::is_finite, "number")?,
            None => SPECTRAL_INDEX_USUAL,
        };
        Ok(CatalogueSource {
            name: name.to_owned(),
            position: SkyPosition::from_degrees(
                place.number("ra_deg", cell(self.ra), ra, "angle of 0 to 360 degrees")?,
                place.number("dec_deg", cell(self.dec), dec, "angle of -90 to 90 degrees")?,
            ),
            flux: Jansky(place.number("s1400_jy", cell(self.flux), is_flux, FLUX)?),
            spectral_index,
        })
    }
}

const FLUX: &str = "flux density above zero; take the row out if it isn't known";

fn is_flux(jansky: f64) -> bool {
    jansky.is_finite() && jansky > 0.0
}

/// Writes sources as [`read_catalogue`] reads them. The file appears only when it is complete.
pub fn write_catalogue(path: &Path, sources: &[CatalogueSource]) -> Result<(), io::Error> {
    let row = |source: &CatalogueSource| {
        let (ra, dec) = (
            source.position.ra.to_degrees(),
            source.position.dec.to_degrees(),
        );
        let (flux, index) = (source.flux.0, source.spectral_index);
        format!(
            "{},{:.6},{:.6},{flux:.6},{index:.4}\n",
            source.name, ra.0, dec.0
        )
    };
    let rows: String = sources.iter().map(row).collect();
    let text = format!("name,ra_deg,dec_deg,s1400_jy,spectral_index\n{rows}");
    write_whole(path, text)
}

/// The calibrators of the Very Large Array.
#[derive(Debug, Clone, PartialEq)]
pub struct VlaCalibrators {
    /// Those with a flux density at 20 cm, in the order of the list.
    pub sources: Vec<CatalogueSource>,
    /// How many were left out because the list gives none, or zero.
    pub without_flux: usize,
}

/// Standard frequencies of the VLA's bands at 20 and 6 cm before its expansion, when the list's
/// flux densities were measured.
const FREQUENCY_20CM: Hertz = Hertz(1.4649e9);
const FREQUENCY_6CM: Hertz = Hertz(4.8851e9);

/// Reads the calibrator list of the NRAO, with its J2000 positions.
///
/// The flux density at 20 cm is taken as that at 1.4 GHz, which for usual spectra is true to four
/// per cent; the spectral index is that between 20 and 6 cm where the list has both.
pub fn read_vla_calibrators(path: &Path) -> Result<VlaCalibrators, CatalogueError> {
    let text = read(path)?;
    let mut entries: Vec<VlaEntry> = Vec::new();
    for (index, row) in text.lines().enumerate() {
        let place = Place {
            path,
            line: index + 1,
        };
        let words: Vec<_> = row.split_whitespace().collect();
        match words.as_slice() {
            [name, "J2000", _, ra, dec, ..] => entries.push(VlaEntry {
                name: (*name).to_owned(),
                position: place.position(ra, dec)?,
                flux_20cm: None,
                flux_6cm: None,
            }),
            [_, "J2000", ..] => return Err(place.bad("position", "no RA and DEC after J2000")),
            [band @ ("20cm" | "6cm"), ..] => {
                let Some(entry) = entries.last_mut() else {
                    return Err(place.bad("band", "a flux density, but of no source yet"));
                };
                let flux = place.flux_field(row)?;
                if *band == "20cm" {
                    entry.flux_20cm = flux;
                } else {
                    entry.flux_6cm = flux;
                }
            }
            _ => {}
        }
    }
    let all = entries.len();
    let sources: Vec<_> = entries.into_iter().filter_map(VlaEntry::source).collect();
    Ok(VlaCalibrators {
        without_flux: all - sources.len(),
        sources,
    })
}

/// What the list says of a calibrator.
struct VlaEntry {
    name: String,
    position: SkyPosition,
    flux_20cm: Option<Jansky>,
    flux_6cm: Option<Jansky>,
}

impl VlaEntry {
    fn source(self) -> Option<CatalogueSource> {
        let flux = self.flux_20cm?;
        let point = |frequency, flux| FluxPoint {
            frequency,
            flux,
            error: Jansky(0.0),
        };
        let index = self.flux_6cm.and_then(|flux_6cm| {
            spectral_index(point(FREQUENCY_20CM, flux), point(FREQUENCY_6CM, flux_6cm))
        });
        Some(CatalogueSource {
            name: self.name,
            position: self.position,
            flux,
            spectral_index: index.map_or(SPECTRAL_INDEX_USUAL, |index| index.value),
        })
    }
}

impl Place<'_> {
    /// The flux density of a band's line; the list writes zero and `?` for one it doesn't know.
    /// Words won't do: a band without a flux may still have the limits of baselines that stand to
    /// the right of it.
    fn flux_field(&self, row: &str) -> Result<Option<Jansky>, CatalogueError> {
        const FIRST: usize = 19;
        const WIDTH: usize = 15;
        let field: String = row.chars().skip(FIRST).take(WIDTH).collect();
        match field.trim() {
            "" | "?" => Ok(None),
            flux => {
                let listed = |flux: f64| flux == 0.0 || is_flux(flux);
                let flux = self.number("FLUX(Jy)", flux, listed, "flux density")?;
                Ok(is_flux(flux).then_some(Jansky(flux)))
            }
        }
    }

    /// A position written like `08h34m54.904117s` and `-55d34'21.070980"`.
    fn position(&self, ra: &str, dec: &str) -> Result<SkyPosition, CatalogueError> {
        let hours = sexagesimal(ra, ['h', 'm', 's']).filter(|hours| *hours < 24.0);
        let hours = hours.ok_or_else(|| self.bad("RA", format!("`{ra}` is not hh h mm m ss s")))?;
        // The sign is taken off first: minus zero degrees is south as well.
        let (sign, arc) = match dec.strip_prefix('-') {
            Some(arc) => (-1.0, arc),
            None => (1.0, dec.strip_prefix('+').unwrap_or(dec)),
        };
        let degrees = sexagesimal(arc, ['d', '\'', '"']).filter(|degrees| *degrees <= 90.0);
        let degrees =
            degrees.ok_or_else(|| self.bad("DEC", format!("`{dec}` is not dd d mm ' ss \"")))?;
        Ok(SkyPosition::from_degrees(15.0 * hours, sign * degrees))
    }
}

/// A number of three parts, each closed by its mark, in units of the first; none has a sign.
fn sexagesimal(text: &str, marks: [char; 3]) -> Option<f64> {
    let (whole, rest) = text.split_once(marks[0])?;
    let (minutes, rest) = rest.split_once(marks[1])?;
    let seconds = rest.strip_suffix(marks[2])?;
    let whole: u32 = whole.parse().ok()?;
    let minutes: u32 = minutes.parse().ok().filter(|minutes| *minutes < 60)?;
    let seconds: f64 = seconds.parse().ok()?;
    let fits = (0.0..60.0).contains(&seconds);
    fits.then(|| f64::from(whole) + f64::from(minutes) / 60.0 + seconds / 3_600.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn file(text: &str) -> Result<tempfile::NamedTempFile, io::Error> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), text)?;
        Ok(file)
    }

    #[test]
    fn columns_are_found_by_name() -> TestResult {
        let file = file(
            "e_ra_arcsec,s1400_jy,name,spectral_index,dec_deg,ra_deg\r\n\
             1.0,0.5,A,-0.7,-12.5,350.25\r\n\n1.0,0.25,B,,12.5,10\n",
        )?;
        let sources = read_catalogue(file.path())?;
        let expected = |name: &str, flux, spectral_index, ra, dec| CatalogueSource {
            name: name.into(),
            position: SkyPosition::from_degrees(ra, dec),
            flux: Jansky(flux),
            spectral_index,
        };
        assert_eq!(
            sources,
            [
                expected("A", 0.5, -0.7, 350.25, -12.5),
                expected("B", 0.25, SPECTRAL_INDEX_USUAL, 10.0, 12.5),
            ]
        );
        Ok(())
    }

    #[test]
    fn a_bad_row_is_named() -> TestResult {
        let good = "A,10,20,1.0";
        for (row, column) in [
            ("B,10,20,", "s1400_jy"),
            ("B,10,20,0", "s1400_jy"),
            ("B,10,20,nan", "s1400_jy"),
            ("B,10,20,inf", "s1400_jy"),
            ("B,ten,20,1", "ra_deg"),
            ("B,361,20,1", "ra_deg"),
            ("B,10,-90.5,1", "dec_deg"),
            (",10,20,1", "name"),
            ("B,10,20", "the whole row"),
        ] {
            let file = file(&format!("name,ra_deg,dec_deg,s1400_jy\n{good}\n{row}\n"))?;
            let error = read_catalogue(file.path()).unwrap_err();
            let text = error.to_string();
            let named = text.contains("line 3") && text.contains(&format!("`{column}`"));
            assert!(named && error.is_permanent(), "{row}: {text}");
        }
        Ok(())
    }

    #[test]
    fn a_catalogue_without_fluxes_is_refused() -> TestResult {
        let table = file("name,ra_deg,dec_deg\nA,10,20\n")?;
        let error = read_catalogue(table.path()).unwrap_err();
        assert!(
            error.to_string().contains("no column `s1400_jy`"),
            "{error}"
        );
        let absent = read_catalogue(Path::new("/nowhere/catalogue.csv")).unwrap_err();
        assert!(absent.is_permanent());
        Ok(())
    }

    const SOUTHERN: &str = "\
0003-174   J2000  T 00h03m21.9969s   -00d27'11.781\"
0000-177   B1950  T 00h00m48.4200s   -17d43'54.000\"
-----------------------------------------------------
BAND        A B C D    FLUX(Jy)    UVMIN(kL)  UVMAX(kL)
=====================================================
 90cm    P  X S S S          7                        7
 20cm    L  X X X S        2.2                        7
";

    #[test]
    fn minus_zero_degrees_is_south() -> TestResult {
        let list = read_vla_calibrators(file(SOUTHERN)?.path())?;
        let dec = list.sources[0].position.dec.to_degrees().0;
        let expected = -(27.0 + 11.781 / 60.0) / 60.0;
        assert!((dec - expected).abs() < 1e-12, "{dec}");
        assert_eq!(list.sources[0].flux, Jansky(2.2));
        assert_eq!(list.without_flux, 0);
        Ok(())
    }

    /// The list has lines of two shapes; in the shorter one the flux begins farther to the left:
    /// its first digit is not to be lost.
    #[test]
    fn both_shapes_of_a_line_are_read() -> TestResult {
        let longer = "20cm    L  X X X S        2.2";
        let shorter = "20cm L  X X X X     30.00  ";
        let list = read_vla_calibrators(file(&SOUTHERN.replace(longer, shorter))?.path())?;
        assert_eq!(list.sources[0].flux, Jansky(30.0));
        Ok(())
    }

    /// Fluxes that are blank, unknown or zero leave a source out; the 7 kilolambda to the right are
    /// none.
    #[test]
    fn an_unknown_flux_is_never_replaced() -> TestResult {
        for unknown in ["   ", "?  ", "0.0"] {
            let list = read_vla_calibrators(file(&SOUTHERN.replace("2.2", unknown))?.path())?;
            assert_eq!((list.sources.len(), list.without_flux), (0, 1));
        }
        let error = read_vla_calibrators(file(&SOUTHERN.replace("2.2", "2.x"))?.path());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("line 7, `FLUX(Jy)`: `2.x`"), "{error}");
        let error = read_vla_calibrators(file(&SOUTHERN.replace("00h03m", "00h63m"))?.path());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("line 1, `RA`"), "{error}");
        Ok(())
    }
}
