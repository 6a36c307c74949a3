//! Flags, gains and their application.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use absurd_sdk::{LogLevel, Reporter, TaskError, TaskResult};

use super::{finally, in_background, measure::stem};
use crate::{
    io::{GainTable, SetInfo, SolveSettings, apply, flag_unusable, solve},
    model::CatalogueSource,
    tasks::{
        params::{Outputs, StageParams},
        toolbox::Toolbox,
    },
    tools::flag_interference,
};

/// The kind of our tables: one complex gain for each antenna, channel and polarization.
const KIND: &str = "bandpass";
const SUFFIX: &str = ".gains.h5";
/// Tables are used this long before and after their observation (dsa110-contimg's lookup).
pub(in crate::tasks) const VALID_HOURS: f64 = 12.0;

/// Flags interference, and what is no data.
pub(in crate::tasks) async fn flag(
    tools: &Toolbox,
    params: &StageParams,
    reporter: &Reporter,
) -> TaskResult<Outputs> {
    let ms = params.ms()?;
    let said = flag_interference(&ms, tools.threads, tools.limit).await;
    let said = said.map_err(|error| finally(error.is_permanent(), error))?;
    reporter.log(LogLevel::Info, said);
    let flagged = in_background(move || {
        flag_unusable(&ms).map_err(|error| finally(error.is_permanent(), error))
    })
    .await?;
    reporter.log(LogLevel::Info, format!("{:.1} % flagged", flagged * 100.0));
    Ok(Outputs {
        flagged: Some(flagged),
        ..Outputs::default()
    })
}

/// Solves for gains, and publishes the table.
pub(in crate::tasks) async fn calibration_solve(
    tools: &Toolbox,
    params: &StageParams,
) -> TaskResult<Outputs> {
    let ms = params.ms()?;
    let Some(catalogue) = catalogue_of(tools, params) else {
        let missing = "there is no catalogue to solve against: run catalog-setup before, or set \
                       PIPELINE_CATALOGUE";
        return Err(TaskError::terminal(TaskError::msg(missing)));
    };
    let mut settings = SolveSettings::default();
    settings
        .reference_antennas
        .splice(0..0, params.config.reference_antenna.clone());
    let place = tools.caltables().join(format!("{}{SUFFIX}", stem(&ms)));
    in_background(move || {
        let sources = read_sources(&catalogue)?;
        let solved = solve(&ms, &sources, &settings);
        let (table, quality) = solved.map_err(|error| finally(error.is_permanent(), error))?;
        fs::create_dir_all(place.parent().unwrap_or(Path::new(".")))?;
        table.write(&place)?;
        Ok(Outputs {
            calibration_tables: BTreeMap::from([(KIND.to_owned(), place.clone())]),
            caltables: vec![place],
            calibration_quality: Some(quality),
            ..Outputs::default()
        })
    })
    .await
}

/// The catalogue that was made for the group, else the worker's.
fn catalogue_of(tools: &Toolbox, params: &StageParams) -> Option<PathBuf> {
    let made = params.outputs.catalogue_path.clone();
    made.or_else(|| tools.catalogue.clone())
}

/// A catalogue as `catalog-setup` leaves it, or one that somebody else has written.
pub(super) fn read_sources(catalogue: &Path) -> TaskResult<Vec<CatalogueSource>> {
    if catalogue
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        return Ok(serde_json::from_slice(&fs::read(catalogue)?)?);
    }
    crate::io::read_catalogue(catalogue).map_err(TaskError::terminal)
}

/// Applies the tables that were given, else the ones that were solved closest in time. Sources of
/// the catalogue, where there is one, are held still.
pub(in crate::tasks) async fn calibration_apply(
    tools: &Toolbox,
    params: &StageParams,
) -> TaskResult<Outputs> {
    let ms = params.ms()?;
    let given = params.outputs.calibration_tables.get(KIND);
    let given = given.or(params.outputs.caltables.first()).cloned();
    let folder = tools.caltables();
    let catalogue = catalogue_of(tools, params);
    in_background(move || {
        let sources = catalogue.as_deref().map(read_sources).transpose()?;
        let sources = sources.unwrap_or_default();
        let table = match given {
            Some(table) => table,
            None => nearest_table(&folder, &ms)?,
        };
        let flagged =
            apply(&ms, &table, &sources).map_err(|error| finally(error.is_permanent(), error))?;
        Ok(Outputs {
            calibration_tables: BTreeMap::from([(KIND.to_owned(), table.clone())]),
            caltables: vec![table],
            flagged: Some(flagged),
            ..Outputs::default()
        })
    })
    .await
}

/// The table of the observation closest in time. Without one nothing goes on: an image of
/// uncalibrated data would look like a result.
fn nearest_table(folder: &Path, ms: &Path) -> TaskResult<PathBuf> {
    let (first, last) = SetInfo::of(ms)?.span();
    let middle = f64::midpoint(first.0, last.0);
    let mut nearest: Option<(f64, PathBuf)> = None;
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with('.') || !name.ends_with(SUFFIX) {
            continue;
        }
        let (first, last) = GainTable::span_of(&path)?;
        let apart = (f64::midpoint(first.0, last.0) - middle).abs() * 24.0;
        if apart <= VALID_HOURS && nearest.as_ref().is_none_or(|(other, _)| apart < *other) {
            nearest = Some((apart, path));
        }
    }
    nearest.map(|(_, path)| path).ok_or_else(|| {
        let missing = format!(
            "no calibration table within {VALID_HOURS} hours of {}; solve a calibrator first",
            ms.display()
        );
        TaskError::terminal(TaskError::msg(missing))
    })
}
