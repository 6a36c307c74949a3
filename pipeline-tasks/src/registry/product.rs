//! Products of every kind.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::{Decode, PgConnection, Postgres, Row as _, Type, postgres::PgRow, types::Json};

use super::{error::RegistryError, provenance::Provenance};
use crate::model::{GroupId, Mjd};

/// Enums whose words stand in the database.
macro_rules! words {
    (
        $(#[$doc:meta])*
        $name:ident, $what:literal { $($(#[$case:meta])* $variant:ident = $word:literal;)* }
    ) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$case])* $variant,)*
        }

        impl $name {
            /// The database's word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl FromStr for $name {
            type Err = RegistryError;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(RegistryError::Unreadable {
                        what: $what,
                        value: word.to_owned(),
                    }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a product is.
    ProductKind, "kind of product" {
        /// Visibilities.
        MeasurementSet = "measurement_set";
        /// Calibration.
        Caltable = "caltable";
        /// An image of one group.
        Image = "image";
        /// An image of several.
        Mosaic = "mosaic";
        /// A report for people.
        Report = "report";
        /// A catalogue of sources.
        Catalogue = "catalogue";
    }
}

words! {
    /// Whether a product is where its row says.
    ProductState, "state of a product" {
        /// It is there.
        Present = "present";
        /// It was there; its own row says where it is now.
        Moved = "moved";
        /// It was there, and has been deleted.
        Deleted = "deleted";
    }
}

/// A product's number; it stays the same when the product moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProductId(pub i64);

/// A product to be registered.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// What it is.
    pub kind: ProductKind,
    /// Where it is.
    pub path: PathBuf,
    /// The group that it shows, if it is one.
    pub group: Option<GroupId>,
    /// First and last moment of the observation.
    pub observed: Option<(Mjd, Mjd)>,
    /// What was measured of it; `noise_jy` is an image's noise.
    pub quality: Map<String, Value>,
    /// How it came to be.
    pub provenance: Provenance,
}

impl Product {
    /// A product of one group, of which nothing else is known yet.
    pub fn of_group(kind: ProductKind, group: GroupId, path: impl Into<PathBuf>) -> Self {
        Self {
            kind,
            path: path.into(),
            group: Some(group),
            observed: None,
            quality: Map::new(),
            provenance: Provenance::default(),
        }
    }
}

/// A product that is registered.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductRecord {
    /// Its number.
    pub id: ProductId,
    /// The product.
    pub product: Product,
    /// Whether it is there.
    pub state: ProductState,
    /// When it was first registered.
    pub created_at: Timestamp,
}

/// Registers a product; what was registered at its path before is replaced, and keeps its number.
pub async fn record_product(
    connection: &mut PgConnection,
    product: &Product,
) -> Result<ProductId, RegistryError> {
    let statement = "
        insert into pipeline.products
            (kind, path, group_id, observed_from, observed_until, quality, provenance)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (kind, path) do update set group_id = excluded.group_id,
            observed_from = excluded.observed_from, observed_until = excluded.observed_until,
            quality = excluded.quality, provenance = excluded.provenance,
            state = 'present', moved_to = null, changed_at = now()
        returning product_id";
    let (from, until) = product.observed.unzip();
    for (what, time) in [("start of the observation", from), ("end of it", until)] {
        if let Some(time) = time {
            finite(|| format!("{}: {what}", product.path.display()), time.0)?;
        }
    }
    let id = sqlx::query_scalar(statement)
        .bind(product.kind.as_str())
        .bind(text(&product.path)?)
        .bind(product.group.map(|group| group.to_string()))
        .bind(from.map(|time| time.0))
        .bind(until.map(|time| time.0))
        .bind(Json(&product.quality))
        .bind(Json(&product.provenance))
        .fetch_one(connection)
        .await
        .map_err(RegistryError::database("a product"))?;
    Ok(ProductId(id))
}

/// The image of a group that is there; the newest where it was imaged several times.
pub async fn image_of_group(
    connection: &mut PgConnection,
    group: GroupId,
) -> Result<Option<ProductRecord>, RegistryError> {
    let statement = "
        select *, to_json(created_at) #>> '{}' as created from pipeline.products
        where group_id = $1 and kind = 'image' and state = 'present'
        order by changed_at desc, product_id desc limit 1";
    let row = sqlx::query(statement)
        .bind(group.to_string())
        .fetch_optional(connection)
        .await
        .map_err(RegistryError::database("a look for an image"))?;
    row.as_ref().map(record_of).transpose()
}

/// All that was made of a group, also mosaics with others, oldest first. What has moved is told
/// once, where it is now.
pub async fn products_of_group(
    connection: &mut PgConnection,
    group: GroupId,
) -> Result<Vec<ProductRecord>, RegistryError> {
    let statement = "
        select *, to_json(created_at) #>> '{}' as created from pipeline.products
        where state <> 'moved' and (group_id = $1 or product_id in (
            select product_id from pipeline.mosaic_members where group_id = $1))
        order by product_id";
    let rows = sqlx::query(statement)
        .bind(group.to_string())
        .fetch_all(connection)
        .await
        .map_err(RegistryError::database("a look for a group's products"))?;
    rows.iter().map(record_of).collect()
}

/// A row of `pipeline.products`, with `created_at` also as the text `created`.
pub(super) fn record_of(row: &PgRow) -> Result<ProductRecord, RegistryError> {
    let words: [String; 4] = [
        column(row, "kind")?,
        column(row, "path")?,
        column(row, "state")?,
        column(row, "created")?,
    ];
    let [kind, path, state, created] = words;
    let created_at = created.parse().map_err(|_| RegistryError::Unreadable {
        what: "time",
        value: created,
    })?;
    let group: Option<String> = column(row, "group_id")?;
    let from: Option<f64> = column(row, "observed_from")?;
    let until: Option<f64> = column(row, "observed_until")?;
    let Json(quality) = column(row, "quality")?;
    let Json(provenance) = column(row, "provenance")?;
    Ok(ProductRecord {
        id: ProductId(column(row, "product_id")?),
        product: Product {
            kind: kind.parse()?,
            path: path.into(),
            group: group.map(|group| group_of(&group)).transpose()?,
            observed: from.zip(until).map(|(from, until)| (Mjd(from), Mjd(until))),
            quality,
            provenance,
        },
        state: state.parse()?,
        created_at,
    })
}

/// A column of a row.
pub(super) fn column<'r, T>(row: &'r PgRow, name: &'static str) -> Result<T, RegistryError>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(name)
        .map_err(|source| RegistryError::Column { name, source })
}

/// A group's name as it stands in a row.
pub(super) fn group_of(name: &str) -> Result<GroupId, RegistryError> {
    name.parse().map_err(|_| RegistryError::Unreadable {
        what: "group",
        value: name.to_owned(),
    })
}

/// A path as the database keeps it.
pub(super) fn text(path: &Path) -> Result<&str, RegistryError> {
    path.to_str().ok_or_else(|| RegistryError::PathNotText {
        path: path.to_owned(),
    })
}

/// Refuses what is no number: it would order and average as if it were one.
pub(super) fn finite(what: impl FnOnce() -> String, value: f64) -> Result<f64, RegistryError> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(RegistryError::NotFinite {
        what: what(),
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() -> Result<(), Box<dyn std::error::Error>> {
        for kind in [
            ProductKind::MeasurementSet,
            ProductKind::Caltable,
            ProductKind::Image,
            ProductKind::Mosaic,
            ProductKind::Report,
            ProductKind::Catalogue,
        ] {
            assert_eq!(kind.as_str().parse::<ProductKind>()?, kind);
            assert_eq!(serde_json::to_value(kind)?, kind.as_str());
            let list = format!("'{kind}'");
            assert!(
                include_str!("../../sql/registry.sql").contains(&list),
                "{list}"
            );
        }
        assert!("photograph".parse::<ProductKind>().is_err());
        Ok(())
    }
}
