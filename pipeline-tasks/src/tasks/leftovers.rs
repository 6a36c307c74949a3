//! What killed workers leave half-made.
//!
//! Parts carry the moment at which they were begun, so an attempt removes what was begun before
//! itself and never what a later attempt makes: a worker that lost its lease without noticing, and
//! wakes up, can't harm its successor. The other way round, a successor takes the stale worker's
//! parts away. That one's step then fails, or its part can't be put in place and what is there
//! stays; the engine takes no result from it in any case. Nor does it put its Measurement Set in
//! the place of one that was made after it began its own.

use absurd_sdk::{TaskResult, prelude::TaskError};
use jiff::{SignedDuration, Timestamp};

use super::{stages::in_background, toolbox::Toolbox};
use crate::{io::sweep_parts, model::GroupId};

/// Catalogues are shared by groups, and others may be writing theirs: nobody writes so long.
const CATALOGUE_AGE: SignedDuration = SignedDuration::from_mins(10);

/// The clock that also names parts: the database's is none for them.
pub(super) fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "parts are named by the time of this machine, not by that of the database"
    )]
    Timestamp::now()
}

/// Removes a group's parts that were begun before a moment. Parts that stay are in nobody's way,
/// so no failure of this is one of the task.
pub(super) async fn sweep(tools: &Toolbox, group: GroupId, before: Timestamp) -> TaskResult<()> {
    let name = format!("{group}.");
    let places = [
        (tools.work(group), String::new(), before),
        (tools.caltables(), name.clone(), before),
        (tools.products(), name, before),
        (tools.catalogues(), String::new(), before - CATALOGUE_AGE),
    ];
    in_background(move || {
        for (folder, name, before) in places {
            match sweep_parts(&folder, &name, before) {
                Ok(0) => {}
                Ok(parts) => tracing::info!(parts, folder = %folder.display(), "swept leftovers"),
                Err(error) => {
                    tracing::warn!(%error, folder = %folder.display(), "leftovers stay");
                }
            }
        }
        Ok::<_, TaskError>(())
    })
    .await
}
