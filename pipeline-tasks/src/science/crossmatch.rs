//! Which source of an image is which entry of a catalogue.

use std::{collections::BTreeSet, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Arcseconds, CatalogueSource, Degrees, Hertz, Jansky, Radians, SkyPosition};

/// How far a source may be from its entry, if nobody says otherwise.
pub const MATCH_RADIUS: Arcseconds = Arcseconds(10.0);

/// The usual limit of the de Ruiter radius. Offsets that are only errors follow a Rayleigh
/// distribution, so of true pairs one in ten million is beyond it: `exp(-5.68^2 / 2)`
/// (Swinbank et al. 2015, Astronomy and Computing 11, 25).
pub const DE_RUITER_LIMIT: f64 = 5.68;

/// Closer than this, a match is excellent,
const EXCELLENT: Arcseconds = Arcseconds(2.0);
/// and closer than this it is good.
const GOOD: Arcseconds = Arcseconds(5.0);

/// Standard deviations of a position, both along the arc: right ascension with its `cos(dec)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PositionError {
    /// To the east.
    pub ra: Arcseconds,
    /// To the north.
    pub dec: Arcseconds,
}

impl PositionError {
    /// The same error in both directions.
    pub fn round(error: Arcseconds) -> Self {
        Self {
            ra: error,
            dec: error,
        }
    }

    /// The error that noise leaves on the position of a point source: the beam's full width at
    /// half power over twice the signal-to-noise ratio (Condon 1997, PASP 109, 166, with a factor
    /// of 2.35 rounded to 2), and no more than the beam. Take the major axis of a beam that lies
    /// askew.
    pub fn from_noise(beam: Degrees, snr: f64) -> Self {
        let width = beam.0 * 3_600.0;
        Self::round(Arcseconds(width / (2.0 * snr).max(1.0)))
    }
}

/// A source as it was measured on an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MeasuredSource {
    /// Where it is, ICRS.
    pub position: SkyPosition,
    /// How well that is known.
    pub position_error: PositionError,
    /// Its peak flux density.
    pub flux: Jansky,
    /// The noise there, not counting what is uncertain about the flux scale.
    pub flux_error: Jansky,
}

impl MeasuredSource {
    /// How far it stands out of the noise.
    pub fn snr(&self) -> f64 {
        self.flux.0 / self.flux_error.0
    }
}

/// When a source and an entry may be the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum MatchMethod {
    /// No farther apart than an angle. Two that coincide are a match like any other.
    Radius {
        /// The angle.
        radius: Arcseconds,
    },
    /// No farther apart than their errors explain; see [`de_ruiter_radius`].
    DeRuiter {
        /// The limit of the de Ruiter radius, such as [`DE_RUITER_LIMIT`].
        limit: f64,
        /// Farther apart is no match, however large the errors are.
        radius: Arcseconds,
        /// How well the catalogue knows its positions.
        catalogue_error: PositionError,
    },
}

impl Default for MatchMethod {
    fn default() -> Self {
        Self::Radius {
            radius: MATCH_RADIUS,
        }
    }
}

impl MatchMethod {
    /// The largest separation of a pair.
    pub fn radius(&self) -> Arcseconds {
        match self {
            Self::Radius { radius } | Self::DeRuiter { radius, .. } => *radius,
        }
    }

    /// How near a pair is in the sense of this method; none if it can't be one source.
    fn distance(&self, measured: &MeasuredSource, listed: &CatalogueSource) -> Option<f64> {
        let apart = measured.position.separation(listed.position);
        let apart = apart.to_arcseconds().0;
        if apart.is_nan() || apart > self.radius().0 {
            return None;
        }
        match self {
            Self::Radius { .. } => Some(apart),
            Self::DeRuiter {
                limit,
                catalogue_error,
                ..
            } => {
                let offset = Offset::between(listed.position, measured.position);
                let normed = de_ruiter_radius(offset, measured.position_error, *catalogue_error);
                (normed <= *limit).then_some(normed)
            }
        }
    }
}

/// The way from one position to another nearby, along the arc: right ascension with its
/// `cos(dec)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Offset {
    /// To the east.
    pub ra: Arcseconds,
    /// To the north.
    pub dec: Arcseconds,
}

impl Offset {
    /// The offset of `to` from `from`, on the plane that touches the sky at `from`.
    pub fn between(from: SkyPosition, to: SkyPosition) -> Self {
        let turn = to.ra.0 - from.ra.0;
        let east = to.dec.0.cos() * turn.sin();
        // The textbook's form of `north` is a difference of numbers near one; this is the same
        // without the loss of digits.
        let bend = 2.0 * (turn / 2.0).sin().powi(2) * to.dec.0.cos() * from.dec.0.sin();
        let north = (to.dec.0 - from.dec.0).sin() + bend;
        Self {
            ra: Radians(east).to_arcseconds(),
            dec: Radians(north).to_arcseconds(),
        }
    }
}

/// An offset in units of its error, from the errors of both positions (de Ruiter, Willis & Arp
/// 1977, A&AS 28, 211). Infinite for an offset where neither position has an error.
pub fn de_ruiter_radius(offset: Offset, one: PositionError, other: PositionError) -> f64 {
    let normed = |offset: Arcseconds, one: Arcseconds, other: Arcseconds| {
        if offset.0 == 0.0 {
            0.0
        } else {
            offset.0 / one.0.hypot(other.0)
        }
    };
    normed(offset.ra, one.ra, other.ra).hypot(normed(offset.dec, one.dec, other.dec))
}

/// How near a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchQuality {
    /// Under two arcseconds.
    Excellent,
    /// Under five arcseconds.
    Good,
    /// Within the radius.
    Fair,
}

impl MatchQuality {
    /// The word for a separation.
    pub fn of(separation: Arcseconds) -> Self {
        if separation.0 < EXCELLENT.0 {
            Self::Excellent
        } else if separation.0 < GOOD.0 {
            Self::Good
        } else {
            Self::Fair
        }
    }
}

impl fmt::Display for MatchQuality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Excellent => "excellent",
            Self::Good => "good",
            Self::Fair => "fair",
        })
    }
}

/// A source with its entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Match {
    /// The source of the image.
    pub measured: MeasuredSource,
    /// The entry.
    pub listed: CatalogueSource,
    /// The flux density that the entry let expect.
    pub expected: Jansky,
    /// The angle between them.
    pub separation: Arcseconds,
    /// The source's offset from the entry.
    pub offset: Offset,
    /// How near they are, in a word.
    pub quality: MatchQuality,
}

impl Match {
    fn of(measured: &MeasuredSource, listed: &CatalogueSource, expected: Jansky) -> Self {
        let separation = measured.position.separation(listed.position);
        let separation = separation.to_arcseconds();
        Self {
            measured: *measured,
            listed: listed.clone(),
            expected,
            separation,
            offset: Offset::between(listed.position, measured.position),
            quality: MatchQuality::of(separation),
        }
    }

    /// Measured over expected flux density; none where nothing is expected.
    pub fn flux_ratio(&self) -> Option<f64> {
        (self.expected.0 > 0.0).then(|| self.measured.flux.0 / self.expected.0)
    }
}

/// An entry that no source of the image is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// The entry.
    pub listed: CatalogueSource,
    /// The flux density it should have shown. Well above what the image can show, the entry is a
    /// ghost.
    pub expected: Jansky,
}

/// An image against a catalogue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CrossMatch {
    /// The pairs, in the order of the measured sources.
    pub matches: Vec<Match>,
    /// Sources that are no entry.
    pub new: Vec<MeasuredSource>,
    /// Entries that are no source.
    pub missing: Vec<Missing>,
}

/// The entries within an angle of a position: what an image of that field can show.
pub fn sources_within(
    catalogue: &[CatalogueSource],
    centre: SkyPosition,
    radius: Degrees,
) -> Vec<CatalogueSource> {
    let near =
        |source: &&CatalogueSource| source.position.separation(centre).to_degrees().0 <= radius.0;
    catalogue.iter().filter(near).cloned().collect()
}

/// Pairs sources with entries, the nearest pair first; each source and each entry is in one pair
/// at most.
///
/// `expected` tells the flux density that an entry should have on the image: its own at the
/// image's frequency, times the power of the primary beam if the image is not corrected for that.
/// Nothing is dropped for being too near or too faint.
pub fn crossmatch(
    measured: &[MeasuredSource],
    catalogue: &[CatalogueSource],
    method: MatchMethod,
    expected: impl Fn(&CatalogueSource) -> Jansky,
) -> CrossMatch {
    let (mut paired, mut taken) = (BTreeSet::new(), BTreeSet::new());
    let mut pairs = Vec::new();
    for pair in candidates(measured, catalogue, method) {
        if !paired.contains(&pair.source) && !taken.contains(&pair.entry) {
            paired.insert(pair.source);
            taken.insert(pair.entry);
            pairs.push(pair);
        }
    }
    pairs.sort_by_key(|pair| pair.source);
    let matches = pairs.iter().map(|pair| {
        let expected = expected(pair.listed);
        Match::of(pair.measured, pair.listed, expected)
    });
    let new = measured.iter().enumerate();
    let new = new.filter(|(source, _)| !paired.contains(source));
    let missing = catalogue.iter().enumerate();
    let missing = missing.filter(|(entry, _)| !taken.contains(entry));
    CrossMatch {
        matches: matches.collect(),
        new: new.map(|(_, source)| *source).collect(),
        missing: missing
            .map(|(_, listed)| Missing {
                listed: listed.clone(),
                expected: expected(listed),
            })
            .collect(),
    }
}

/// A pair that may be one source.
struct Candidate<'a> {
    distance: f64,
    source: usize,
    entry: usize,
    measured: &'a MeasuredSource,
    listed: &'a CatalogueSource,
}

/// All pairs that may be one source, nearest first.
fn candidates<'a>(
    measured: &'a [MeasuredSource],
    catalogue: &'a [CatalogueSource],
    method: MatchMethod,
) -> Vec<Candidate<'a>> {
    // A difference in declination is never more than the separation, so of a catalogue of the
    // whole sky only a thin strip is looked at. The strip is a little too wide: rounding must
    // not cost a pair.
    let reach = method.radius().to_radians().0 + 1e-9;
    let mut strip: Vec<_> = catalogue.iter().enumerate().collect();
    strip.sort_by(|(_, a), (_, b)| a.position.dec.0.total_cmp(&b.position.dec.0));
    let mut pairs = Vec::new();
    for (source, measured) in measured.iter().enumerate() {
        let dec = measured.position.dec.0;
        let start = strip.partition_point(|(_, listed)| listed.position.dec.0 < dec - reach);
        let near = strip.iter().copied().skip(start);
        let near = near.take_while(|(_, listed)| listed.position.dec.0 <= dec + reach);
        pairs.extend(near.filter_map(|(entry, listed)| {
            Some(Candidate {
                distance: method.distance(measured, listed)?,
                source,
                entry,
                measured,
                listed,
            })
        }));
    }
    pairs.sort_by(|a, b| {
        let by_distance = a.distance.total_cmp(&b.distance);
        by_distance.then((a.source, a.entry).cmp(&(b.source, b.entry)))
    });
    pairs
}

/// A flux density at a frequency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FluxPoint {
    /// Where in the spectrum.
    pub frequency: Hertz,
    /// How much.
    pub flux: Jansky,
    /// Its standard deviation.
    pub error: Jansky,
}

/// `alpha` of `flux ~ frequency^alpha`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpectralIndex {
    /// The index: negative where the flux falls with frequency.
    pub value: f64,
    /// Its standard deviation.
    pub error: f64,
}

/// The spectral index between two points of a spectrum; none for equal frequencies and for fluxes
/// that are not positive, of which there is no logarithm.
pub fn spectral_index(one: FluxPoint, other: FluxPoint) -> Option<SpectralIndex> {
    let span = (other.frequency.0 / one.frequency.0).ln();
    let usable = one.flux.0 > 0.0 && other.flux.0 > 0.0 && span.is_finite() && span != 0.0;
    let relative = (one.error.0 / one.flux.0).hypot(other.error.0 / other.flux.0);
    usable.then(|| SpectralIndex {
        value: (other.flux.0 / one.flux.0).ln() / span,
        error: relative / span.abs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SPECTRAL_INDEX_USUAL;

    const ARCSECOND: f64 = 1.0 / 3_600.0;

    fn measured(ra: f64, dec: f64) -> MeasuredSource {
        MeasuredSource {
            position: SkyPosition::from_degrees(ra, dec),
            position_error: PositionError::round(Arcseconds(1.0)),
            flux: Jansky(0.5),
            flux_error: Jansky(0.005),
        }
    }

    fn listed(name: &str, ra: f64, dec: f64) -> CatalogueSource {
        CatalogueSource {
            name: name.into(),
            position: SkyPosition::from_degrees(ra, dec),
            flux: Jansky(1.0),
            spectral_index: SPECTRAL_INDEX_USUAL,
        }
    }

    fn matched(measured: &[MeasuredSource], catalogue: &[CatalogueSource]) -> CrossMatch {
        crossmatch(measured, catalogue, MatchMethod::default(), |source| {
            source.flux
        })
    }

    #[test]
    fn a_perfect_match_counts() {
        let result = matched(&[measured(128.7, 55.5)], &[listed("A", 128.7, 55.5)]);
        assert_eq!(result.matches.len(), 1);
        assert_eq!(result.matches[0].quality, MatchQuality::Excellent);
        assert!(result.matches[0].separation.0.abs() < 1e-9);
        assert_eq!(result.matches[0].flux_ratio(), Some(0.5));
        assert!(result.new.is_empty() && result.missing.is_empty());
    }

    /// At 60 degrees, 16 arcseconds of right ascension are eight of arc: a match; at the equator
    /// they are none.
    #[test]
    fn right_ascension_shrinks_towards_the_pole() {
        let north = matched(
            &[measured(10.0 + 16.0 * ARCSECOND, 60.0)],
            &[listed("A", 10.0, 60.0)],
        );
        let offset = north.matches[0].offset;
        assert!((offset.ra.0 - 8.0).abs() < 1e-3, "{offset:?}");
        assert!(offset.dec.0.abs() < 1e-3, "{offset:?}");
        assert!((north.matches[0].separation.0 - 8.0).abs() < 1e-3);
        assert_eq!(north.matches[0].quality, MatchQuality::Fair);
        let equator = matched(
            &[measured(10.0 + 16.0 * ARCSECOND, 0.0)],
            &[listed("A", 10.0, 0.0)],
        );
        assert_eq!((equator.new.len(), equator.missing.len()), (1, 1));
        assert_eq!(equator.missing[0].expected, Jansky(1.0));
    }

    #[test]
    fn right_ascension_goes_round() {
        let east = matched(
            &[measured(2.0 * ARCSECOND, 0.0)],
            &[listed("A", 360.0 - 2.0 * ARCSECOND, 0.0)],
        );
        assert!((east.matches[0].offset.ra.0 - 4.0).abs() < 1e-6);
        assert_eq!(east.matches[0].quality, MatchQuality::Good);
    }

    /// A takes the first source although that one is also within reach of B, and B gets the other.
    /// The order of the lists does not matter.
    #[test]
    fn the_nearest_pair_comes_first() {
        let sources = [
            measured(10.0, 0.0),
            measured(10.0, 8.0 * ARCSECOND),
            measured(50.0, 0.0),
        ];
        let catalogue = [
            listed("B", 10.0, 5.0 * ARCSECOND),
            listed("A", 10.0, 1.0 * ARCSECOND),
            listed("C", 10.0, -30.0 * ARCSECOND),
        ];
        let result = matched(&sources, &catalogue);
        let names: Vec<_> = result
            .matches
            .iter()
            .map(|pair| &pair.listed.name)
            .collect();
        assert_eq!(names, ["A", "B"]);
        assert_eq!(result.new, [sources[2]]);
        assert_eq!(result.missing[0].listed.name, "C");
        let mut backwards = catalogue.to_vec();
        backwards.reverse();
        assert_eq!(matched(&sources, &backwards).matches, result.matches);
    }

    #[test]
    fn one_entry_serves_one_source() {
        let sources = [measured(10.0, 0.0), measured(10.0, 2.0 * ARCSECOND)];
        let result = matched(&sources, &[listed("A", 10.0, 0.0)]);
        assert_eq!(result.matches.len(), 1);
        assert_eq!(result.new, [sources[1]]);
    }

    #[test]
    fn what_is_no_position_matches_nothing() {
        let result = matched(&[measured(f64::NAN, 1.0)], &[listed("A", 10.0, 1.0)]);
        assert_eq!((result.matches.len(), result.new.len()), (0, 1));
    }

    /// Six arcseconds are too many where both positions are good to one, and few where the source
    /// is good to five.
    #[test]
    fn the_de_ruiter_radius_weighs_errors() {
        let method = MatchMethod::DeRuiter {
            limit: 3.0,
            radius: MATCH_RADIUS,
            catalogue_error: PositionError::round(Arcseconds(1.0)),
        };
        let mut source = measured(10.0, 6.0 * ARCSECOND);
        let catalogue = [listed("A", 10.0, 0.0)];
        let find = |source| crossmatch(&[source], &catalogue, method, |entry| entry.flux).matches;
        assert!(find(source).is_empty());
        source.position_error = PositionError::round(Arcseconds(5.0));
        assert_eq!(find(source).len(), 1);
        let offset = Offset {
            ra: Arcseconds(3.0),
            dec: Arcseconds(4.0),
        };
        let (one, none) = (
            PositionError::round(Arcseconds(1.0)),
            PositionError::default(),
        );
        assert!((de_ruiter_radius(offset, one, none) - 5.0).abs() < 1e-12);
        assert!(de_ruiter_radius(offset, none, none).is_infinite());
    }

    #[test]
    fn noise_sets_the_error_of_a_position() {
        let error = PositionError::from_noise(Degrees(48.0 * ARCSECOND), 12.0);
        assert!((error.ra.0 - 2.0).abs() < 1e-9);
        let lost = PositionError::from_noise(Degrees(48.0 * ARCSECOND), -1.0);
        assert!((lost.ra.0 - 48.0).abs() < 1e-9);
    }

    #[test]
    fn spectral_indices_are_those_of_power_laws() {
        let point = |frequency: f64, flux: f64| FluxPoint {
            frequency: Hertz(frequency),
            flux: Jansky(flux),
            error: Jansky(0.03 * flux),
        };
        let index = spectral_index(
            point(1.4e9, 2.0),
            point(3.0e9, 2.0 * (1.4_f64 / 3.0).sqrt()),
        );
        let index = index.unwrap();
        assert!((index.value + 0.5).abs() < 1e-12);
        let error = 0.03 * 2_f64.sqrt() / (3.0_f64 / 1.4).ln();
        assert!((index.error - error).abs() < 1e-12);
        assert!(spectral_index(point(1.4e9, 2.0), point(1.4e9, 1.0)).is_none());
        assert!(spectral_index(point(1.4e9, -2.0), point(3.0e9, 1.0)).is_none());
    }

    #[test]
    fn a_field_holds_what_is_near() {
        let catalogue = [listed("A", 10.0, 60.0), listed("B", 12.1, 60.0)];
        let centre = SkyPosition::from_degrees(11.0, 60.0);
        let field = sources_within(&catalogue, centre, Degrees(0.52));
        assert_eq!(
            field.len(),
            1,
            "1 degree of right ascension is half a degree"
        );
    }
}
