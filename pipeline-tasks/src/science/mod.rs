//! The arithmetic of the pipeline: directions, baselines, beams, images as
//! arrays. No file and no program is touched here.

mod astrometry;
mod beam;
mod geometry;
mod mosaic_quality;
mod mosaic_windows;
mod primary_beam;
mod projection;
mod source_finding;

pub use astrometry::{Site, SiteError, Sky};
pub use beam::{airy_power, field_of_view};
pub use geometry::{Frame, SPEED_OF_LIGHT, Vector, dot, fringe};
pub use mosaic_quality::{
    MosaicCheck, MosaicMeasures, MosaicQuality, MosaicTier, MosaicVerdict, TierRules,
    assess_mosaic, expected_noise, measure_mosaic,
};
pub use mosaic_windows::{Window, WindowRules, WindowRulesError, windows};
pub use primary_beam::{AveragedBeam, AveragedBeamError, DSA_110_DISH, meridian_pointings};
pub use projection::SinProjection;
pub use source_finding::{Peak, Plane, find_peaks, noise, peak_near};
