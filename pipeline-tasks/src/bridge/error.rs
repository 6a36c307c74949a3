//! Why a scan of the incoming folder fails.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::model::GroupError;

/// Why a scan did not come to its end. What it had submitted until then stays submitted.
#[derive(Debug, Error)]
pub enum BridgeError {
    /// A file or folder can't be used.
    #[error(
        "can't use {}; see that it is mounted and that the bridge may use it",
        path.display()
    )]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The engine refuses.
    #[error(transparent)]
    Absurd(#[from] absurd_sdk::Error),
    /// Files that were taken for a group are none: a mistake in the bridge.
    #[error("files were grouped wrongly; report this")]
    Group(#[from] GroupError),
    /// What looks at files ended early.
    #[error("the look at the incoming folder was given up")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl BridgeError {
    /// Whether another scan must fail as well.
    pub fn is_permanent(&self) -> bool {
        use absurd_sdk::Error::{FeatureMissing, Name, Option, Payload};
        match self {
            Self::Group(error) => error.is_permanent(),
            Self::Absurd(error) => {
                matches!(
                    error,
                    FeatureMissing { .. } | Name(_) | Option { .. } | Payload(_)
                )
            }
            // Folders are mounted, queues created, databases come back.
            Self::File { .. } | Self::Interrupted(_) => false,
        }
    }

    /// For `map_err` on what is done to a path.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
