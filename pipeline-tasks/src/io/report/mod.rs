//! What became of an image, as a page to look at: its checks, how its sources lie against a
//! catalogue, and the sources themselves. The page is one file and asks no other for anything.

mod figures;
mod plot;
mod text;
mod thumbnail;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use self::{
    figures::figures,
    text::{Escaped, Sexagesimal, number, signed},
    thumbnail::Thumbnail,
};
use super::part::write_whole;
use crate::{
    model::{Arcseconds, Jansky, SkyPosition},
    science::{Check, CheckLimits, CrossMatch, Match, Outcome, Plane, verdict},
};

/// Why there is no report.
#[derive(Debug, Error)]
#[error("can't write {}; is its folder there, and room on the disk?", path.display())]
pub struct ReportError {
    path: PathBuf,
    source: io::Error,
}

impl ReportError {
    /// Whether another try must fail as well: where the path itself is at fault.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::NotADirectory
                | io::ErrorKind::AlreadyExists
                | io::ErrorKind::InvalidInput
        )
    }
}

/// What a page tells of one image.
#[derive(Debug, Clone, Copy)]
pub struct ImageReport<'a> {
    /// The name of the image.
    pub title: &'a str,
    /// What else is to be said of it, such as its beam or its calibrator: names and values.
    pub facts: &'a [(&'a str, String)],
    /// Its pointing: where the primary beam has its centre.
    pub centre: SkyPosition,
    /// The checks, as they came out.
    pub checks: &'a [Check],
    /// Its sources against a catalogue.
    pub crossmatch: &'a CrossMatch,
    /// Within which angle sources were matched.
    pub match_radius: Arcseconds,
    /// The image, for a small drawing of it.
    pub plane: Option<&'a Plane>,
}

impl ImageReport<'_> {
    /// Writes the page; it appears whole or not at all, and its folder is made if need be.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        let write = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            write_whole(path, self.to_string())
        };
        write().map_err(|source| ReportError {
            path: path.to_owned(),
            source,
        })
    }

    fn header(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = verdict(self.checks);
        let title = Escaped(self.title);
        writeln!(
            f,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}: {outcome}</title>\n<style>\n{}</style>\n</head>\n<body>\n\
             <h1>{title}</h1>\n{}\n<dl>",
            include_str!("style.css"),
            Badge(outcome),
        )?;
        let centre = Sexagesimal(self.centre).to_string();
        let own = [("Centre, ICRS", centre.as_str())];
        let others = self.facts.iter();
        let others = others.map(|(name, value)| (*name, value.as_str()));
        for (name, value) in own.into_iter().chain(others) {
            let (name, value) = (Escaped(name), Escaped(value));
            writeln!(f, "<div><dt>{name}</dt><dd>{value}</dd></div>")?;
        }
        writeln!(f, "</dl>")
    }

    fn checks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = ["Outcome", "Check", "#Value", "Should be", "From"];
        let rows = self.checks.iter().map(|check| {
            vec![
                Badge(check.outcome).to_string(),
                Escaped(&check.name).to_string(),
                with_unit(check.value, &check.unit),
                limits(check.limits, &check.unit),
                format!("<span class=\"note\">{}</span>", Escaped(&check.note)),
            ]
        });
        table(f, "Checks", &columns, &rows.collect::<Vec<_>>())
    }

    fn figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "<h2>Against the catalogue</h2>\n<div class=\"plots\">")?;
        for plot in figures(self) {
            write!(f, "{plot}")?;
        }
        if let Some(drawing) = self.plane.and_then(Thumbnail::of) {
            write!(f, "{drawing}")?;
        }
        writeln!(f, "</div>")
    }

    fn sources(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CrossMatch {
            matches,
            new,
            missing,
        } = self.crossmatch;
        let columns = [
            "Source",
            "Position, ICRS",
            "#Measured, mJy",
            "#Expected, mJy",
            "#Ratio",
            "#SNR",
            "#East",
            "#North",
            "#Apart, arcsec",
            "Match",
        ];
        let rows: Vec<_> = matches.iter().map(match_row).collect();
        table(f, "Found in the catalogue", &columns, &rows)?;
        let columns = ["Position, ICRS", "#Measured, mJy", "#SNR"];
        let rows = new.iter().map(|source| {
            vec![
                Sexagesimal(source.position).to_string(),
                milli(source.flux),
                number(source.snr()),
            ]
        });
        table(
            f,
            "Not in the catalogue",
            &columns,
            &rows.collect::<Vec<_>>(),
        )?;
        let columns = ["Entry", "Position, ICRS", "#Expected, mJy"];
        let rows = missing.iter().map(|entry| {
            vec![
                Escaped(&entry.listed.name).to_string(),
                Sexagesimal(entry.listed.position).to_string(),
                milli(entry.expected),
            ]
        });
        let rows: Vec<_> = rows.collect();
        table(f, "In the catalogue and not found", &columns, &rows)
    }
}

impl fmt::Display for ImageReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.header(f)?;
        self.checks(f)?;
        self.figures(f)?;
        self.sources(f)?;
        writeln!(f, "</body>\n</html>")
    }
}

/// An outcome as word and sign; colour only repeats what they say.
struct Badge(Outcome);

impl fmt::Display for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.0 {
            Outcome::Pass => '\u{2713}',
            Outcome::Warn => '!',
            Outcome::Fail => '\u{2717}',
        };
        write!(f, "<span class=\"outcome {0}\">{sign} {0}</span>", self.0)
    }
}

/// A table under its heading. A column whose name begins with `#` holds numbers; cells are HTML.
fn table(
    f: &mut fmt::Formatter<'_>,
    heading: &str,
    columns: &[&str],
    rows: &[Vec<String>],
) -> fmt::Result {
    let count = rows.len();
    writeln!(f, "<h2>{heading} <span>{count}</span></h2>")?;
    if rows.is_empty() {
        return writeln!(f, "<p class=\"note\">None.</p>");
    }
    writeln!(f, "<div class=\"scroll\"><table>\n<thead><tr>")?;
    for column in columns {
        let (class, name) = kind(column);
        writeln!(f, "<th{class}>{name}</th>")?;
    }
    writeln!(f, "</tr></thead>\n<tbody>")?;
    for row in rows {
        write!(f, "<tr>")?;
        for (column, cell) in columns.iter().zip(row) {
            write!(f, "<td{}>{cell}</td>", kind(column).0)?;
        }
        writeln!(f, "</tr>")?;
    }
    writeln!(f, "</tbody>\n</table></div>")
}

fn kind(column: &str) -> (&'static str, &str) {
    match column.strip_prefix('#') {
        Some(name) => (" class=\"number\"", name),
        None => ("", column),
    }
}

fn match_row(pair: &Match) -> Vec<String> {
    vec![
        Escaped(&pair.listed.name).to_string(),
        Sexagesimal(pair.measured.position).to_string(),
        milli(pair.measured.flux),
        milli(pair.expected),
        pair.flux_ratio().map_or_else(none, number),
        number(pair.measured.snr()),
        signed(pair.offset.ra.0),
        signed(pair.offset.dec.0),
        format!("{:.2}", pair.separation.0),
        pair.quality.to_string(),
    ]
}

fn milli(flux: Jansky) -> String {
    number(1_000.0 * flux.0)
}

fn none() -> String {
    "\u{2013}".to_owned()
}

fn with_unit(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(none, |value| quantity(&number(value), unit))
}

fn quantity(number: &str, unit: &str) -> String {
    let text = format!("{number} {}", Escaped(unit));
    text.trim_end().to_owned()
}

/// Limits are shown as they were set, not rounded.
fn limits(limits: CheckLimits, unit: &str) -> String {
    let (words, warn, fail) = match limits {
        CheckLimits::Above { warn, fail } => ("at most", warn, fail),
        CheckLimits::Below { warn, fail } => ("at least", warn, fail),
    };
    let warn = quantity(&warn.to_string(), unit);
    let fail = fail.map(|fail| format!("; fails beyond {}", quantity(&fail.to_string(), unit)));
    format!("{words} {warn}{}", fail.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::CatalogueSource,
        science::{
            Evidence, ImageNumbers, MatchMethod, MeasuredSource, PositionError, crossmatch,
            validate,
        },
    };

    fn matched() -> CrossMatch {
        let listed = |name: &str, dec| CatalogueSource {
            name: name.into(),
            position: SkyPosition::from_degrees(128.0, dec),
            flux: Jansky(0.5),
            spectral_index: -0.7,
        };
        let measured = |dec| MeasuredSource {
            position: SkyPosition::from_degrees(128.0, dec),
            position_error: PositionError::default(),
            flux: Jansky(0.25),
            flux_error: Jansky(0.01),
        };
        let catalogue = [
            listed("<script>alert(1)</script>", 55.0),
            listed("B&B", 56.0),
        ];
        crossmatch(
            &[measured(55.0), measured(57.0)],
            &catalogue,
            MatchMethod::default(),
            |source| source.flux,
        )
    }

    fn checks(crossmatch: &CrossMatch) -> Vec<Check> {
        validate(&Evidence {
            crossmatch,
            image: ImageNumbers {
                peak: Jansky(1.0),
                rms: Jansky(0.01),
                lit_pixels: 100,
            },
            complete_above: Jansky(0.1),
            noise_expected: None,
        })
    }

    #[test]
    fn a_page_tells_all_and_runs_nothing() {
        let crossmatch = matched();
        let checks = checks(&crossmatch);
        let facts = [("Beam", "48\" x 15\"".to_owned())];
        let report = ImageReport {
            title: "a<b>.fits",
            facts: &facts,
            centre: SkyPosition::from_degrees(128.0, 55.5),
            checks: &checks,
            crossmatch: &crossmatch,
            match_radius: Arcseconds(10.0),
            plane: None,
        };
        let page = report.to_string();
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
        for part in [
            "a&lt;b&gt;.fits",
            "&lt;script&gt;",
            "B&amp;B",
            "48&quot; x 15&quot;",
            "08:32:00.00 +57:00:00.0",
            "Not in the catalogue <span>1</span>",
            "<td class=\"number\">0.500</td>",
            "1 of 2 entries above 100.0 mJy",
            "\u{2717} fail",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        for tag in [
            "svg", "table", "div", "figure", "td", "tr", "text", "span", "title",
        ] {
            let opened = page.matches(&format!("<{tag}>")).count();
            let opened = opened + page.matches(&format!("<{tag} ")).count();
            let closed = page.matches(&format!("</{tag}>")).count();
            assert_eq!(opened, closed, "{tag}");
        }
        assert_eq!(page.matches("<figure>").count(), 3);
    }

    #[test]
    fn a_report_of_nothing_is_a_page_too() -> Result<(), Box<dyn std::error::Error>> {
        let report = ImageReport {
            title: "blank",
            facts: &[],
            centre: SkyPosition::from_degrees(0.0, 0.0),
            checks: &[],
            crossmatch: &CrossMatch::default(),
            match_radius: Arcseconds(10.0),
            plane: None,
        };
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("reports/blank.html");
        report.write(&path)?;
        report.write(&path)?;
        let page = fs::read_to_string(&path)?;
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
        assert_eq!(fs::read_dir(folder.path().join("reports"))?.count(), 1);
        for below_a_file in ["x.html", "y/x.html"] {
            let error = report.write(&path.join(below_a_file)).unwrap_err();
            assert!(error.is_permanent(), "{error:?}");
        }
        Ok(())
    }
}
