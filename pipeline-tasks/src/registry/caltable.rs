//! Calibration tables: from when until when they hold, and whether they are good enough.

use sqlx::{PgConnection, postgres::PgRow};

use super::{
    error::RegistryError,
    product::{
        Product, ProductId, ProductKind, ProductRecord, column, finite, record_of, record_product,
    },
};
use crate::model::Mjd;

/// A calibration table to be registered.
#[derive(Debug, Clone, PartialEq)]
pub struct CalTable {
    /// The product; its `quality` says how good the table is, its `kind` is not looked at.
    pub product: Product,
    /// What it holds: `bandpass` is a gain for each antenna, channel and polarization.
    pub table_type: String,
    /// First and last moment of observations that it is for.
    pub valid: (Mjd, Mjd),
    /// Whether it is good enough to be applied.
    pub is_usable: bool,
}

/// A calibration table that is registered.
#[derive(Debug, Clone, PartialEq)]
pub struct CalTableRecord {
    /// The product.
    pub record: ProductRecord,
    /// What it holds.
    pub table_type: String,
    /// First and last moment of observations that it is for.
    pub valid: (Mjd, Mjd),
}

/// Registers a table.
pub async fn record_caltable(
    connection: &mut PgConnection,
    table: &CalTable,
) -> Result<ProductId, RegistryError> {
    let statement = "
        insert into pipeline.caltable_validity
            (product_id, table_type, valid_from, valid_until, is_usable)
        values ($1, $2, $3, $4, $5)
        on conflict (product_id) do update set table_type = excluded.table_type,
            valid_from = excluded.valid_from, valid_until = excluded.valid_until,
            is_usable = excluded.is_usable";
    for (what, time) in [("start", table.valid.0), ("end", table.valid.1)] {
        let path = table.product.path.display();
        finite(|| format!("the {what} of the validity of {path}"), time.0)?;
    }
    let product = Product {
        kind: ProductKind::Caltable,
        ..table.product.clone()
    };
    let id = record_product(&mut *connection, &product).await?;
    sqlx::query(statement)
        .bind(id.0)
        .bind(&table.table_type)
        .bind(table.valid.0.0)
        .bind(table.valid.1.0)
        .bind(table.is_usable)
        .execute(connection)
        .await
        .map_err(RegistryError::database("a calibration table"))?;
    Ok(id)
}

/// Tables that are there, are good enough and hold at a time; the ones whose observation is
/// closest to it first. Where that is not known, the middle of their validity counts.
pub async fn caltables_valid_at(
    connection: &mut PgConnection,
    time: Mjd,
) -> Result<Vec<CalTableRecord>, RegistryError> {
    let statement = "
        select p.*, to_json(p.created_at) #>> '{}' as created,
            v.table_type, v.valid_from, v.valid_until
        from pipeline.caltable_validity v join pipeline.products p using (product_id)
        where $1 between v.valid_from and v.valid_until and v.is_usable and p.state = 'present'
        order by abs(coalesce(p.observed_from + p.observed_until,
            v.valid_from + v.valid_until) / 2 - $1), p.product_id desc";
    let rows = sqlx::query(statement)
        .bind(finite(|| "the time".to_owned(), time.0)?)
        .fetch_all(connection)
        .await
        .map_err(RegistryError::database("a look for calibration tables"))?;
    rows.iter().map(caltable_of).collect()
}

fn caltable_of(row: &PgRow) -> Result<CalTableRecord, RegistryError> {
    Ok(CalTableRecord {
        record: record_of(row)?,
        table_type: column(row, "table_type")?,
        valid: (
            Mjd(column(row, "valid_from")?),
            Mjd(column(row, "valid_until")?),
        ),
    })
}
