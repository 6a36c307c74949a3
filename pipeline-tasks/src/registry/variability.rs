//! What light curves tell of their sources.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::{error::RegistryError, product::finite};
use crate::model::{Jansky, Mjd, SkyPosition};

/// How a source changes, from two epochs on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceVariability {
    /// The source's name in the catalogue.
    pub source_name: String,
    /// Where it is, ICRS.
    pub position: SkyPosition,
    /// How many measurements there are.
    pub epochs: u32,
    /// The times of the first and the last one.
    pub observed: (Mjd, Mjd),
    /// The mean flux density, each epoch weighted by the inverse square of its error.
    pub mean_flux: Jansky,
    /// The weighted chi square about that mean, per degree of freedom.
    pub eta: f64,
    /// The standard deviation over the plain mean; none if that mean is not positive.
    pub v: Option<f64>,
    /// The largest deviation of one epoch from the others, in standard deviations; of two epochs
    /// the later one counts.
    pub deviation: f64,
    /// Whether it is beyond the limits of the preset that was asked for.
    pub is_candidate: bool,
}

/// Registers what was computed, in one statement; it replaces what was computed before. Returns
/// how many sources there were.
pub async fn record_variability(
    connection: &mut PgConnection,
    sources: &[SourceVariability],
) -> Result<u64, RegistryError> {
    let statement = "
        insert into pipeline.variability (source_name, epochs, v, is_candidate, ra_deg, dec_deg,
            first_mjd, last_mjd, mean_flux_jy, eta, deviation)
        select * from unnest($1::text[], $2::int8[], $3::float8[], $4::bool[], $5::float8[],
            $6::float8[], $7::float8[], $8::float8[], $9::float8[], $10::float8[], $11::float8[])
        on conflict (source_name) do update set epochs = excluded.epochs, v = excluded.v,
            is_candidate = excluded.is_candidate, ra_deg = excluded.ra_deg,
            dec_deg = excluded.dec_deg, first_mjd = excluded.first_mjd,
            last_mjd = excluded.last_mjd, mean_flux_jy = excluded.mean_flux_jy,
            eta = excluded.eta, deviation = excluded.deviation, computed_at = now()";
    let names: Vec<&str> = sources.iter().map(|s| s.source_name.as_str()).collect();
    let epochs: Vec<i64> = sources.iter().map(|s| i64::from(s.epochs)).collect();
    let v: Vec<Option<f64>> = sources.iter().map(|s| s.v).collect();
    let is_candidate: Vec<bool> = sources.iter().map(|s| s.is_candidate).collect();
    let mut query = sqlx::query(statement)
        .bind(names)
        .bind(epochs)
        .bind(v)
        .bind(is_candidate);
    for numbers in numbers(sources)? {
        query = query.bind(numbers);
    }
    let done = query
        .execute(connection)
        .await
        .map_err(RegistryError::database("the variability of sources"))?;
    Ok(done.rows_affected())
}

/// Right ascension, declination, first and last time, mean, eta, deviation.
fn numbers(sources: &[SourceVariability]) -> Result<[Vec<f64>; 7], RegistryError> {
    let mut columns: [Vec<f64>; 7] = Default::default();
    for source in sources {
        let position = source.position;
        let numbers = [
            ("right ascension", position.ra.wrapped().to_degrees().0),
            ("declination", position.dec.to_degrees().0),
            ("first time", source.observed.0.0),
            ("last time", source.observed.1.0),
            ("mean flux density", source.mean_flux.0),
            ("eta", source.eta),
            ("deviation", source.deviation),
        ];
        for (column, (what, value)) in columns.iter_mut().zip(numbers) {
            let what = || format!("the {what} of `{}`", source.source_name);
            column.push(finite(what, value)?);
        }
    }
    Ok(columns)
}
