//! What happens to products later: they move, and they are deleted.

use std::path::Path;

use sqlx::PgConnection;

use super::{
    error::RegistryError,
    product::{ProductId, ProductKind, ProductState, column, text},
};

/// What the registry holds at a path.
struct Held {
    id: ProductId,
    state: ProductState,
    moved_to: Option<ProductId>,
}

/// Notes that a product lies somewhere else now. Its number stays, so all that points to it is
/// right at once; measurements learn an image's new path. The old path is kept as `moved`. To
/// move what has moved there already is fine.
pub async fn move_product(
    connection: &mut PgConnection,
    kind: ProductKind,
    from: &Path,
    to: &Path,
) -> Result<ProductId, RegistryError> {
    let here = held(&mut *connection, kind, from).await?;
    let there = held(&mut *connection, kind, to).await?;
    let there = there.filter(|there| there.state == ProductState::Present);
    let here = here.ok_or_else(|| RegistryError::Missing {
        kind,
        path: from.to_owned(),
    })?;
    let arrived = there.as_ref().map(|there| there.id);
    // A step that runs twice: the old path leads to what lies at the new one.
    if let Some(arrived) =
        arrived.filter(|arrived| [Some(here.id), here.moved_to].contains(&Some(*arrived)))
    {
        return Ok(arrived);
    }
    match (here.state, arrived) {
        (ProductState::Present, None) => relocate(connection, here.id, kind, from, to).await,
        (ProductState::Present, Some(_)) => Err(RegistryError::Taken {
            kind,
            path: to.to_owned(),
        }),
        _ => Err(RegistryError::Missing {
            kind,
            path: from.to_owned(),
        }),
    }
}

/// The row of a path, locked: two moves of a product come one after the other.
async fn held(
    connection: &mut PgConnection,
    kind: ProductKind,
    path: &Path,
) -> Result<Option<Held>, RegistryError> {
    let statement = "
        select product_id, state, moved_to from pipeline.products
        where kind = $1 and path = $2 for update";
    let row = sqlx::query(statement)
        .bind(kind.as_str())
        .bind(text(path)?)
        .fetch_optional(connection)
        .await
        .map_err(RegistryError::database("a look for a product"))?;
    let Some(row) = row else { return Ok(None) };
    let state: String = column(&row, "state")?;
    let moved_to: Option<i64> = column(&row, "moved_to")?;
    Ok(Some(Held {
        id: ProductId(column(&row, "product_id")?),
        state: state.parse()?,
        moved_to: moved_to.map(ProductId),
    }))
}

async fn relocate(
    connection: &mut PgConnection,
    id: ProductId,
    kind: ProductKind,
    from: &Path,
    to: &Path,
) -> Result<ProductId, RegistryError> {
    // What moved away from there, or was deleted there, gives way: the path has a new owner.
    let clear = "
        delete from pipeline.products
        where kind = (select kind from pipeline.products where product_id = $1)
            and path = $2 and state <> 'present'";
    let arrive = "
        update pipeline.products set path = $2, changed_at = now() where product_id = $1";
    let remember = "
        insert into pipeline.products (kind, path, state, moved_to, group_id)
        select kind, $2, 'moved', product_id, group_id
        from pipeline.products where product_id = $1";
    let failed = || RegistryError::database("a move");
    let (from, to) = (text(from)?, text(to)?);
    for (statement, path) in [(clear, to), (arrive, to), (remember, from)] {
        sqlx::query(statement)
            .bind(id.0)
            .bind(path)
            .execute(&mut *connection)
            .await
            .map_err(failed())?;
    }
    if kind == ProductKind::Image {
        sqlx::query("update pipeline.photometry set image_path = $2 where image_path = $1")
            .bind(from)
            .bind(to)
            .execute(connection)
            .await
            .map_err(failed())?;
    }
    Ok(id)
}

/// Notes that a product is no longer there. Returns whether one was registered at the path.
pub async fn mark_deleted(
    connection: &mut PgConnection,
    kind: ProductKind,
    path: &Path,
) -> Result<bool, RegistryError> {
    let statement = "
        update pipeline.products set state = 'deleted', changed_at = now()
        where kind = $1 and path = $2 and state = 'present'";
    let done = sqlx::query(statement)
        .bind(kind.as_str())
        .bind(text(path)?)
        .execute(connection)
        .await
        .map_err(RegistryError::database("a deletion"))?;
    Ok(done.rows_affected() > 0)
}
