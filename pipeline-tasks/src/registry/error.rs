//! What the registry can't do.

use std::path::PathBuf;

use thiserror::Error;

use super::product::ProductKind;
use crate::model::GroupId;

/// Why something was not registered, or can't be looked up.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// The schema could not be brought up to date. Nothing has been changed.
    #[error(
        "schema `pipeline` can't be brought up to date; the database's user must own it, or be \
         allowed to create it"
    )]
    Install(#[source] sqlx::Error),
    /// The database refused.
    #[error("the database refused {what}")]
    Database {
        /// What was to be done.
        what: &'static str,
        /// The database's reason.
        source: sqlx::Error,
    },
    /// A number that no measurement has.
    #[error("{what} is {value}; measure again, only finite numbers are registered")]
    NotFinite {
        /// Which number.
        what: String,
        /// What was given.
        value: f64,
    },
    /// Two measurements where there can be one.
    #[error("source `{name}` of group {group} is given twice; keep the better measurement")]
    Twice {
        /// The source.
        name: String,
        /// The group.
        group: GroupId,
    },
    /// A path that the database can't keep.
    #[error("the path {} is no UTF-8 text; rename it", path.display())]
    PathNotText {
        /// The path.
        path: PathBuf,
    },
    /// A product that nobody has registered, or one that is deleted.
    #[error("no {kind} at {} is registered; register it first", path.display())]
    Missing {
        /// What it was to be.
        kind: ProductKind,
        /// Where it was to be.
        path: PathBuf,
    },
    /// A place where another product is.
    #[error("another {kind} is registered at {}; move it away first", path.display())]
    Taken {
        /// What it is.
        kind: ProductKind,
        /// Where it is.
        path: PathBuf,
    },
    /// A column that this release can't read.
    #[error("column `{name}` of the registry can't be read; does a newer release write it?")]
    Column {
        /// The column.
        name: &'static str,
        /// The driver's reason.
        source: sqlx::Error,
    },
    /// A word that this release can't read.
    #[error(
        "the registry holds a {what} that can't be read: `{value}`; does a newer \
         release write it?"
    )]
    Unreadable {
        /// What it was to be.
        what: &'static str,
        /// What stands there.
        value: String,
    },
}

impl RegistryError {
    /// For `map_err` on a statement.
    pub(super) fn database(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { what, source }
    }

    /// Whether another try must fail as well. A connection that broke may be there again; a
    /// value that breaks a constraint will do so again.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Install(source) | Self::Database { source, .. } => {
                let code = source
                    .as_database_error()
                    .and_then(sqlx::error::DatabaseError::code);
                code.is_some_and(|code| ["22", "23"].iter().any(|class| code.starts_with(class)))
            }
            _ => true,
        }
    }
}
