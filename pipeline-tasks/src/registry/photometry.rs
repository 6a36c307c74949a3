//! Measurements of sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use sqlx::{PgConnection, postgres::PgRow};

use super::{
    error::RegistryError,
    product::{column, finite, group_of, text},
};
use crate::model::{GroupId, Jansky, Mjd, SkyPosition};

/// The flux density of a source on the image of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// The group.
    pub group: GroupId,
    /// The source's name in the catalogue, the same in every group.
    pub source_name: String,
    /// Where it was measured, ICRS.
    pub position: SkyPosition,
    /// What was measured.
    pub flux: Jansky,
    /// Its standard error.
    pub flux_error: Jansky,
    /// Flux density over the noise of the image.
    pub snr: f64,
    /// The middle of the observation.
    pub mjd: Mjd,
    /// The image.
    pub image: PathBuf,
}

/// Columns of a table that are sent as arrays.
#[derive(Default)]
struct Columns<'m> {
    groups: Vec<String>,
    names: Vec<&'m str>,
    images: Vec<&'m str>,
    /// Right ascension, declination, flux, its error, ratio to noise, time.
    numbers: [Vec<f64>; 6],
}

/// Registers measurements, in one statement. A source that was measured in a group before is
/// measured anew. Returns how many there are.
pub async fn record_photometry(
    connection: &mut PgConnection,
    measurements: &[Measurement],
) -> Result<u64, RegistryError> {
    let statement = "
        insert into pipeline.photometry (group_id, source_name, image_path, ra_deg, dec_deg,
            flux_jy, flux_error_jy, snr, mjd)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::float8[],
            $6::float8[], $7::float8[], $8::float8[], $9::float8[])
        on conflict (group_id, source_name) do update set image_path = excluded.image_path,
            ra_deg = excluded.ra_deg, dec_deg = excluded.dec_deg, flux_jy = excluded.flux_jy,
            flux_error_jy = excluded.flux_error_jy, snr = excluded.snr, mjd = excluded.mjd,
            measured_at = now()";
    let columns = columns(measurements)?;
    let mut query = sqlx::query(statement)
        .bind(columns.groups)
        .bind(columns.names)
        .bind(columns.images);
    for numbers in columns.numbers {
        query = query.bind(numbers);
    }
    let done = query
        .execute(connection)
        .await
        .map_err(RegistryError::database("measurements"))?;
    Ok(done.rows_affected())
}

fn columns(measurements: &[Measurement]) -> Result<Columns<'_>, RegistryError> {
    let mut columns = Columns::default();
    let mut known = BTreeSet::new();
    for measured in measurements {
        let (group, name) = (measured.group, measured.source_name.as_str());
        if !known.insert((group, name)) {
            return Err(RegistryError::Twice {
                name: name.to_owned(),
                group,
            });
        }
        columns.groups.push(group.to_string());
        columns.names.push(name);
        columns.images.push(text(&measured.image)?);
        let numbers = [
            (
                "right ascension",
                measured.position.ra.wrapped().to_degrees().0,
            ),
            ("declination", measured.position.dec.to_degrees().0),
            ("flux density", measured.flux.0),
            ("flux density's error", measured.flux_error.0),
            ("ratio of signal to noise", measured.snr),
            ("time", measured.mjd.0),
        ];
        for (column, (what, value)) in columns.numbers.iter_mut().zip(numbers) {
            column.push(finite(
                || format!("the {what} of `{name}` in {group}"),
                value,
            )?);
        }
    }
    Ok(columns)
}

/// All measurements of a source, by the time of their observation.
pub async fn light_curve(
    connection: &mut PgConnection,
    source_name: &str,
) -> Result<Vec<Measurement>, RegistryError> {
    let statement =
        "select * from pipeline.photometry where source_name = $1 order by mjd, group_id";
    let rows = sqlx::query(statement)
        .bind(source_name)
        .fetch_all(connection)
        .await
        .map_err(RegistryError::database("a look for a light curve"))?;
    rows.iter().map(measurement_of).collect()
}

/// The light curves of several sources, by their names.
pub async fn light_curves(
    connection: &mut PgConnection,
    source_names: &[String],
) -> Result<BTreeMap<String, Vec<Measurement>>, RegistryError> {
    let statement = "
        select * from pipeline.photometry where source_name = any ($1) order by mjd, group_id";
    let rows = sqlx::query(statement)
        .bind(source_names)
        .fetch_all(connection)
        .await
        .map_err(RegistryError::database("a look for light curves"))?;
    let mut curves: BTreeMap<String, Vec<Measurement>> = BTreeMap::new();
    for row in &rows {
        let measured = measurement_of(row)?;
        let curve = curves.entry(measured.source_name.clone()).or_default();
        curve.push(measured);
    }
    Ok(curves)
}

/// All sources that were ever measured, by name, and where they were measured last.
pub async fn measured_sources(
    connection: &mut PgConnection,
) -> Result<Vec<(String, SkyPosition)>, RegistryError> {
    let statement = "
        select distinct on (source_name) source_name, ra_deg, dec_deg
        from pipeline.photometry order by source_name, mjd desc";
    let rows = sqlx::query(statement)
        .fetch_all(connection)
        .await
        .map_err(RegistryError::database("a look for sources"))?;
    let sources = rows.iter().map(|row| {
        let (ra, dec) = (column(row, "ra_deg")?, column(row, "dec_deg")?);
        let position = SkyPosition::from_degrees(ra, dec);
        Ok((column(row, "source_name")?, position))
    });
    sources.collect()
}

fn measurement_of(row: &PgRow) -> Result<Measurement, RegistryError> {
    let (group, image): (String, String) = (column(row, "group_id")?, column(row, "image_path")?);
    Ok(Measurement {
        group: group_of(&group)?,
        source_name: column(row, "source_name")?,
        position: SkyPosition::from_degrees(column(row, "ra_deg")?, column(row, "dec_deg")?),
        flux: Jansky(column(row, "flux_jy")?),
        flux_error: Jansky(column(row, "flux_error_jy")?),
        snr: column(row, "snr")?,
        mjd: Mjd(column(row, "mjd")?),
        image: image.into(),
    })
}
