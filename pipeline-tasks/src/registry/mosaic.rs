//! Mosaics, and the groups that are in them.

use sqlx::PgConnection;

use super::{
    error::RegistryError,
    product::{Product, ProductId, ProductKind, group_of, record_product},
};
use crate::model::GroupId;

/// A mosaic to be registered.
#[derive(Debug, Clone, PartialEq)]
pub struct MosaicBuild {
    /// The product; its `group` and `kind` are not looked at, `groups` counts.
    pub product: Product,
    /// Its name. Several builds may have the same one.
    pub name: String,
    /// `quicklook`, `science` or `deep`.
    pub tier: String,
    /// The groups whose images are in it.
    pub groups: Vec<GroupId>,
}

/// Registers a mosaic with its groups; those of an earlier build at its path are forgotten.
pub async fn record_mosaic(
    connection: &mut PgConnection,
    mosaic: &MosaicBuild,
) -> Result<ProductId, RegistryError> {
    let product = Product {
        kind: ProductKind::Mosaic,
        group: None,
        ..mosaic.product.clone()
    };
    let id = record_product(&mut *connection, &product).await?;
    let build = "
        insert into pipeline.mosaic_builds (product_id, name, tier) values ($1, $2, $3)
        on conflict (product_id) do update set name = excluded.name, tier = excluded.tier";
    sqlx::query(build)
        .bind(id.0)
        .bind(&mosaic.name)
        .bind(&mosaic.tier)
        .execute(&mut *connection)
        .await
        .map_err(RegistryError::database("a mosaic"))?;
    let groups: Vec<String> = mosaic.groups.iter().map(GroupId::to_string).collect();
    let others = "
        delete from pipeline.mosaic_members where product_id = $1 and group_id <> all ($2)";
    let members = "
        insert into pipeline.mosaic_members (product_id, group_id)
        select $1, unnest($2::text[]) on conflict do nothing";
    for statement in [others, members] {
        sqlx::query(statement)
            .bind(id.0)
            .bind(&groups)
            .execute(&mut *connection)
            .await
            .map_err(RegistryError::database("a mosaic's groups"))?;
    }
    Ok(id)
}

/// The groups that are in a mosaic, by time.
pub async fn groups_of_mosaic(
    connection: &mut PgConnection,
    mosaic: ProductId,
) -> Result<Vec<GroupId>, RegistryError> {
    let statement = "
        select group_id from pipeline.mosaic_members where product_id = $1 order by group_id";
    let names: Vec<String> = sqlx::query_scalar(statement)
        .bind(mosaic.0)
        .fetch_all(connection)
        .await
        .map_err(RegistryError::database("a look for a mosaic's groups"))?;
    names.iter().map(|name| group_of(name)).collect()
}
