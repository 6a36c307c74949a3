//! The arithmetic of the pipeline: directions, baselines, beams, images as
//! arrays. No file and no program is touched here.

mod astrometry;
mod beam;
mod calibration;
mod crossmatch;
mod geometry;
mod mosaic_quality;
mod mosaic_windows;
mod photometry;
mod primary_beam;
mod projection;
mod sky_model;
mod source_finding;
mod statistics;
mod transits;
mod validation;
mod variability;

pub use astrometry::{
    OBSERVATORY_ALTITUDE, OBSERVATORY_LATITUDE, OBSERVATORY_LONGITUDE, Site, SiteError, Sky,
    observatory,
};
pub use beam::{airy_power, field_of_view};
pub use calibration::{Moments, Solution};
pub use crossmatch::{
    CrossMatch, DE_RUITER_LIMIT, FluxPoint, MATCH_RADIUS, Match, MatchMethod, MatchQuality,
    MeasuredSource, Missing, Offset, PositionError, SpectralIndex, crossmatch, de_ruiter_radius,
    sources_within, spectral_index,
};
pub use geometry::{Frame, SPEED_OF_LIGHT, Vector, dot, fringe};
pub use mosaic_quality::{
    MosaicCheck, MosaicMeasures, MosaicQuality, MosaicTier, MosaicVerdict, TierRules,
    assess_mosaic, expected_noise, measure_mosaic,
};
pub use mosaic_windows::{Window, WindowRules, WindowRulesError, windows};
pub use photometry::{Normalisation, Photometry, Reference, forced_photometry, reference_flux};
pub use primary_beam::{AveragedBeam, AveragedBeamError, DSA_110_DISH};
pub use projection::SinProjection;
pub use sky_model::SkyModel;
pub use source_finding::{Peak, Plane, find_peaks, noise};
pub(crate) use statistics::{count, median};
pub use transits::transits;
pub use validation::{Check, CheckLimits, Evidence, ImageNumbers, Outcome, validate, verdict};
pub(crate) use validation::{FLUX_LIMITS, OFFSET_LIMITS};
pub use variability::{
    Epoch, FluxChange, FluxRatio, LightCurveError, Spread, Variability, VariabilityFlags,
    VariabilityLimits, VariabilityPreset, variability,
};
