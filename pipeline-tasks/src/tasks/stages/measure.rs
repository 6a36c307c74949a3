//! What an image shows: its sources, against the catalogue and over time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use absurd_sdk::{LogLevel, Reporter, TaskError, TaskResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{calibration::read_sources, finally, in_background};
use crate::{
    io::{FitsError, FitsImage, ImageReport, Tile, read_plane, write_whole},
    model::{
        CATALOGUE_FREQUENCY, CatalogueSource, Degrees, GroupId, Jansky, Mjd, Seconds, SkyPosition,
    },
    science::{
        CrossMatch, Evidence, ImageNumbers, MATCH_RADIUS, MatchMethod, MeasuredSource, Photometry,
        Plane, PositionError, crossmatch, forced_photometry, sources_within, validate, verdict,
    },
    tasks::{
        params::{Outputs, StageParams},
        toolbox::Toolbox,
    },
    tools::{FoundSource, Search, find_sources},
};

/// A source stands this many times above the noise at its place,
const SIGNIFICANCE: f64 = 8.0;
/// and this share of how far the brightest one stands above its own: what is left of the gains'
/// errors about that one looks like sources below it.
const SHARE_OF_BRIGHTEST: f64 = 0.0035;
/// Catalogue sources so far from the centre can't be on the image.
const FIELD: Degrees = Degrees(4.0);
/// Sources this much above the threshold are always found.
const COMPLETENESS_MARGIN: f64 = 1.25;

/// The flux density of a source in one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceFlux {
    /// Its name in the catalogue, or one made of its place.
    pub name: String,
    /// Where it was measured.
    pub position: SkyPosition,
    /// When the observation began.
    pub time: Mjd,
    /// Corrected for the dishes' beam.
    pub photometry: Photometry,
}

/// Checks an image against the catalogue and itself, and writes a page about it. What the checks
/// say never fails the task: it is a result.
pub(in crate::tasks) async fn validation(
    tools: &Toolbox,
    params: &StageParams,
    reporter: &Reporter,
) -> TaskResult<Outputs> {
    let field = Field::load(tools, params).await?;
    let outputs = in_background(move || {
        let matched = field.crossmatch();
        let image = ImageNumbers::of(&field.image.plane).ok_or_else(|| field.blank())?;
        let checks = validate(&Evidence {
            crossmatch: &matched,
            image,
            complete_above: field.complete_above(),
            noise_expected: None,
        });
        let report = field.beside("report.html");
        let (major, minor) = field.image.beam;
        let facts = [
            (
                "Noise at the centre",
                format!("{:.2} mJy/beam", field.tile.rms.0 * 1e3),
            ),
            (
                "Beam",
                format!("{:.1}\" by {:.1}\"", major.0 * 3_600.0, minor.0 * 3_600.0),
            ),
        ];
        let page = ImageReport {
            title: &field.title(),
            facts: &facts,
            centre: field.image.projection.centre,
            checks: &checks,
            crossmatch: &matched,
            match_radius: MATCH_RADIUS,
            plane: Some(&field.image.plane),
        };
        page.write(&report)
            .map_err(|error| finally(error.is_permanent(), error))?;
        let record = field.beside("validation.json");
        write_json(&record, &checks)?;
        Ok(Outputs {
            validation: Some(verdict(&checks)),
            report_path: Some(report),
            ..Outputs::default()
        })
    })
    .await?;
    if let Some(verdict) = outputs.validation {
        reporter.log(LogLevel::Info, format!("the image's validation: {verdict}"));
    }
    Ok(outputs)
}

/// Finds the catalogue's sources on an image, and sources that it doesn't have.
pub(in crate::tasks) async fn crossmatching(
    tools: &Toolbox,
    params: &StageParams,
    reporter: &Reporter,
) -> TaskResult<Outputs> {
    let field = Field::load(tools, params).await?;
    let matched = field.crossmatch();
    let said = format!(
        "{} sources are of the catalogue, {} are new, {} of the catalogue are missing",
        matched.matches.len(),
        matched.new.len(),
        matched.missing.len()
    );
    reporter.log(LogLevel::Info, said);
    let place = field.beside("crossmatch.json");
    write_json(&place, &matched)?;
    Ok(Outputs {
        crossmatch_path: Some(place),
        ..Outputs::default()
    })
}

/// Measures all catalogue sources of the field, found or not, and those that are new.
pub(in crate::tasks) async fn photometry(
    tools: &Toolbox,
    params: &StageParams,
) -> TaskResult<Outputs> {
    let field = Field::load(tools, params).await?;
    in_background(move || {
        let new = field.crossmatch().new;
        let new = new
            .iter()
            .map(|source| (name_of(source.position), source.position));
        let listed = field.catalogue.iter().map(|s| (s.name.clone(), s.position));
        let time = field.time.ok_or_else(|| {
            let unsaid = format!("{} says no DATE-OBS", field.tile.image.display());
            TaskError::terminal(TaskError::msg(unsaid))
        })?;
        let image = &field.image;
        let fluxes = listed.chain(new).filter_map(|(name, position)| {
            let photometry =
                forced_photometry(&image.plane, &image.projection, image.beam, position)?;
            Some(SourceFlux {
                name,
                position,
                time,
                photometry,
            })
        });
        let place = field.beside("photometry.json");
        write_json(&place, &fluxes.collect::<Vec<_>>())?;
        Ok(Outputs {
            photometry_path: Some(place),
            ..Outputs::default()
        })
    })
    .await
}

/// A beam-corrected image with its sources, and the part of the catalogue that it can show.
struct Field {
    tile: Tile,
    image: FitsImage,
    weight: Plane,
    time: Option<Mjd>,
    catalogue: Vec<CatalogueSource>,
    found: Vec<MeasuredSource>,
}

impl Field {
    async fn load(tools: &Toolbox, params: &StageParams) -> TaskResult<Self> {
        let tile = tile_of(params)?;
        let found = found_sources(&tile, tools).await?;
        let path = params
            .outputs
            .catalogue_path
            .clone()
            .or(tools.catalogue.clone());
        in_background(move || {
            let read = |error: FitsError| finally(error.is_permanent(), error);
            let image = FitsImage::read(&tile.image).map_err(read)?;
            let weight = read_plane(&tile.weight).map_err(read)?;
            let began = image.date.as_deref().and_then(mjd_of);
            let listed = path
                .map(|path| read_sources(&path))
                .transpose()?
                .unwrap_or_default();
            let mut field = Self {
                catalogue: sources_within(&listed, image.projection.centre, FIELD),
                tile,
                image,
                weight,
                time: began,
                found: Vec::new(),
            };
            field.catalogue = field.shown(&field.catalogue);
            field.found = field.measured(&found);
            Ok(field)
        })
        .await
    }

    /// The sources that lie where the image is not blank.
    fn shown(&self, sources: &[CatalogueSource]) -> Vec<CatalogueSource> {
        let has_weight =
            |source: &&CatalogueSource| self.weight_at(source.position).is_some_and(|w| w > 0.0);
        sources.iter().filter(has_weight).cloned().collect()
    }

    fn weight_at(&self, position: SkyPosition) -> Option<f32> {
        let (x, y) = self.image.projection.to_pixel(position)?;
        let inside = x >= 0.0 && y >= 0.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be inside"
        )]
        let weight = inside.then(|| self.weight.at(x.round() as usize, y.round() as usize));
        weight.filter(|weight| weight.is_finite())
    }

    fn measured(&self, found: &[FoundSource]) -> Vec<MeasuredSource> {
        let brightest = found.iter().map(|source| source.snr).fold(0.0, f64::max);
        let clear = found
            .iter()
            .filter(|s| s.snr >= SHARE_OF_BRIGHTEST * brightest);
        clear
            .map(|source| MeasuredSource {
                position: source.position,
                position_error: PositionError::from_noise(self.image.beam.0, source.snr),
                flux: source.peak,
                flux_error: Jansky(source.peak.0 / source.snr),
            })
            .collect()
    }

    /// Against what the catalogue lets expect at the image's frequency.
    fn crossmatch(&self) -> CrossMatch {
        let frequency = self.image.frequency.unwrap_or(CATALOGUE_FREQUENCY);
        crossmatch(
            &self.found,
            &self.catalogue,
            MatchMethod::default(),
            |source| source.flux_at(frequency),
        )
    }

    /// The flux density from which a source is found anywhere on the image.
    fn complete_above(&self) -> Jansky {
        let noise = self.weight.values.iter().filter(|weight| **weight > 0.0);
        let least = noise.copied().fold(f32::INFINITY, f32::min);
        let noise_most = f64::from(least).sqrt().recip();
        let brightest = self
            .found
            .iter()
            .map(MeasuredSource::snr)
            .fold(0.0, f64::max);
        let threshold = SIGNIFICANCE.max(SHARE_OF_BRIGHTEST * brightest);
        Jansky(threshold * noise_most * COMPLETENESS_MARGIN)
    }

    fn title(&self) -> String {
        stem(&self.tile.image)
    }

    fn beside(&self, ending: &str) -> PathBuf {
        self.tile
            .image
            .with_file_name(format!("{}.{ending}", self.title()))
    }

    fn blank(&self) -> TaskError {
        let blank = format!("{}: every pixel is blank", self.tile.image.display());
        TaskError::terminal(TaskError::msg(blank))
    }
}

/// The observation's name: what stands before the first point.
pub(super) fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// The tile of an image, or of the image of a Measurement Set.
fn tile_of(params: &StageParams) -> TaskResult<Tile> {
    if let Some(tile) = &params.outputs.tile {
        return Ok(tile.clone());
    }
    let image = params
        .image()
        .or_else(|error| match &params.outputs.ms_path {
            Some(ms) => Ok(ms.with_extension("fits")),
            None => Err(error),
        })?;
    let record = tile_record(&image);
    read_json(&record).map_err(|error| {
        let missing = format!(
            "{} has no beam-corrected image beside it ({error}): make it by the task `imaging`",
            image.display()
        );
        TaskError::terminal(TaskError::msg(missing))
    })
}

/// The tile of a group that has been processed.
pub(in crate::tasks) fn tile_of_group(tools: &Toolbox, group: GroupId) -> TaskResult<Tile> {
    let image = tools.work(group).join(format!("{group}.fits"));
    read_json(&tile_record(&image)).map_err(|error| {
        let missing = format!("group {group} has no tile ({error}): process it first");
        TaskError::terminal(TaskError::msg(missing))
    })
}

/// Where the imaging stage says which tile it has made of an image.
pub(super) fn tile_record(image: &Path) -> PathBuf {
    image.with_file_name(format!("{}.tile.json", stem(image)))
}

/// The sources of a tile, from the file beside it if they have been looked for already.
async fn found_sources(tile: &Tile, tools: &Toolbox) -> TaskResult<Vec<FoundSource>> {
    let place = tile
        .image
        .with_file_name(format!("{}.sources.json", stem(&tile.image)));
    let is_newer = || -> std::io::Result<bool> {
        Ok(fs::metadata(&place)?.modified()? >= fs::metadata(&tile.image)?.modified()?)
    };
    if is_newer().unwrap_or(false) {
        return read_json(&place);
    }
    let search = Search {
        image: tile.image.clone(),
        weight: Some(tile.weight.clone()),
        significance: SIGNIFICANCE,
    };
    let found = find_sources(&search, tools.limit).await;
    let found = found.map_err(|error| finally(error.is_permanent(), error))?;
    write_json(&place, &found)?;
    Ok(found)
}

/// A time as FITS writes it.
fn mjd_of(date: &str) -> Option<Mjd> {
    let date: jiff::civil::DateTime = date.parse().ok()?;
    let whole = GroupId::from(date).to_mjd();
    let rest = f64::from(date.subsec_nanosecond()) * 1e-9;
    Some(whole.plus(Seconds(rest)))
}

/// `Jhhmmss+ddmmss`, the IAU's pattern: digits are cut off, not rounded.
fn name_of(position: SkyPosition) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds of an angle"
    )]
    let parts = |seconds: f64| {
        let seconds = seconds as u64;
        format!(
            "{:02}{:02}{:02}",
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60
        )
    };
    let dec = position.dec.to_degrees().0;
    let sign = if dec < 0.0 { '-' } else { '+' };
    let ra = position.ra.wrapped().to_degrees().0 / 15.0;
    format!(
        "J{}{sign}{}",
        parts(ra * 3_600.0),
        parts(dec.abs() * 3_600.0)
    )
}

pub(in crate::tasks) fn write_json(path: &Path, value: &impl Serialize) -> TaskResult<()> {
    Ok(write_whole(path, serde_json::to_vec_pretty(value)?)?)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> TaskResult<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_sources_have_names_of_their_places() {
        let position = SkyPosition::from_degrees(129.682_321, 56.659_65);
        assert_eq!(name_of(position), "J083843+563934");
        assert_eq!(
            name_of(SkyPosition::from_degrees(0.0, -1.5)),
            "J000000-013000"
        );
    }

    #[test]
    fn dates_of_images_are_read() {
        let mjd = mjd_of("2026-01-26T08:07:52.5").unwrap();
        assert!((mjd.0 - (61_066.0 + (8.0 * 3600.0 + 7.0 * 60.0 + 52.5) / 86_400.0)).abs() < 1e-9);
    }
}
