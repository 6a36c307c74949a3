//! Light curves: which sources change from epoch to epoch.

use absurd_sdk::{
    LogLevel,
    prelude::{Context, Deserialize, JsonSchema, Serialize, TaskError, TaskResult, task},
};

use super::stages::finally;
use crate::{
    model::{Degrees, Jansky, SkyPosition},
    registry::{
        self, Measurement, PgConnection, RegistryError, SourceVariability, measured_sources,
        record_variability,
    },
    science::{Epoch, VariabilityPreset, variability},
};

/// Sources whose light curves are in memory at the same time.
const BATCH: usize = 200;

/// Which sources to look at, and how closely.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LightCurveOrder {
    /// The part of the sky; all sources where it is absent.
    pub field: Option<SkyField>,
    /// From which limits on a source is a candidate.
    pub preset: VariabilityPreset,
}

/// A part of the sky.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkyField {
    /// The right ascension of its centre, ICRS.
    pub ra: Degrees,
    /// The declination.
    pub dec: Degrees,
    /// How far it reaches from there.
    pub radius: Degrees,
}

impl SkyField {
    fn contains(&self, position: SkyPosition) -> bool {
        let centre = SkyPosition::from_degrees(self.ra.0, self.dec.0);
        position.separation(centre).to_degrees().0 <= self.radius.0
    }
}

/// What the light curves tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LightCurves {
    /// Sources with two epochs or more.
    pub sources: u64,
    /// Those that vary, the largest eta first.
    pub candidates: Vec<SourceVariability>,
    /// Sources whose measurements can't be used, and why.
    pub errors: Vec<String>,
}

/// Computes how each source of the registry changes, writes that into the registry
/// (`pipeline.variability`), and returns those that vary.
#[task(name = "light-curves", retry = exponential("5s", max = "5m"))]
pub async fn light_curves(ctx: &mut Context, order: LightCurveOrder) -> TaskResult<LightCurves> {
    let names: Vec<String> = ctx
        .transaction("sources", async |tx| {
            let sources = measured_sources(tx).await.map_err(refused)?;
            let in_field = |position| order.field.is_none_or(|field| field.contains(position));
            let sources = sources.into_iter().filter(|(_, place)| in_field(*place));
            Ok::<_, TaskError>(sources.map(|(name, _)| name).collect())
        })
        .await?;
    let mut all = LightCurves::default();
    for batch in names.chunks(BATCH) {
        // Rows and checkpoint are one commit.
        let found = async |tx: &mut PgConnection| measure(tx, batch, order.preset).await;
        let found: LightCurves = ctx.transaction("measure", found).await?;
        for error in &found.errors {
            ctx.reporter().log(LogLevel::Warn, error.clone());
        }
        all.sources += found.sources;
        all.candidates.extend(found.candidates);
        all.errors.extend(found.errors);
    }
    all.candidates.sort_by(|a, b| b.eta.total_cmp(&a.eta));
    Ok(all)
}

fn refused(error: RegistryError) -> TaskError {
    finally(error.is_permanent(), error)
}

async fn measure(
    connection: &mut PgConnection,
    names: &[String],
    preset: VariabilityPreset,
) -> TaskResult<LightCurves> {
    let curves = registry::light_curves(connection, names)
        .await
        .map_err(refused)?;
    let (mut measured, mut errors) = (Vec::new(), Vec::new());
    for (name, curve) in curves {
        match of_curve(&name, &curve, preset) {
            Ok(found) => measured.extend(found),
            Err(problem) => errors.push(problem),
        }
    }
    let sources = record_variability(connection, &measured)
        .await
        .map_err(refused)?;
    measured.retain(|source| source.is_candidate);
    Ok(LightCurves {
        sources,
        candidates: measured,
        errors,
    })
}

/// What a light curve, ordered by time, tells of its source; none of a single epoch. Errors are
/// whole ones: noise, and what is uncertain about the scale of each image.
fn of_curve(
    name: &str,
    curve: &[Measurement],
    preset: VariabilityPreset,
) -> Result<Option<SourceVariability>, String> {
    let epochs = curve.iter().map(|measured| Epoch {
        time: measured.mjd,
        flux: measured.flux,
        error: measured.flux_error,
    });
    let epochs: Vec<Epoch> = epochs.collect();
    let found = variability(&epochs).map_err(|error| format!("`{name}`: {error}"))?;
    let (Some(eta), Some(deviation)) = (found.eta(), found.deviation()) else {
        return Ok(None);
    };
    let (Some(first), Some(last)) = (curve.first(), curve.last()) else {
        return Ok(None);
    };
    Ok(Some(SourceVariability {
        source_name: name.to_owned(),
        position: last.position,
        epochs: u32::try_from(curve.len()).unwrap_or(u32::MAX),
        observed: (first.mjd, last.mjd),
        mean_flux: weighted_mean(&epochs),
        eta,
        v: found.v(),
        deviation,
        is_candidate: found.is_beyond(preset),
    }))
}

/// Each epoch weighted by the inverse square of its error, which is above zero.
fn weighted_mean(epochs: &[Epoch]) -> Jansky {
    let weight = |epoch: &Epoch| epoch.error.0.powi(-2);
    let sum: f64 = epochs
        .iter()
        .map(|epoch| weight(epoch) * epoch.flux.0)
        .sum();
    Jansky(sum / epochs.iter().map(weight).sum::<f64>())
}
