//! What the pipeline speaks of: quantities with their units, subband files and
//! the observation groups they form. Nothing here touches a disk.

mod catalogue;
mod group;
mod group_id;
mod stage;
mod subband;
mod units;

pub use catalogue::{CATALOGUE_FREQUENCY, CatalogueSource, SPECTRAL_INDEX_USUAL};
pub use group::{GroupError, ObservationGroup, SUBBANDS_PER_GROUP, cluster};
pub use group_id::{GroupId, GroupIdError};
pub use stage::{Stage, UnknownStage};
pub use subband::{SubbandFile, SubbandIndex, SubbandNameError};
pub use units::{
    Arcseconds, Degrees, Hertz, Jansky, JulianDate, Metres, Mjd, Radians, Seconds, SkyPosition,
};
