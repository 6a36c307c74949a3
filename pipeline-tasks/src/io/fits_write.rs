//! Writing planes as FITS, with what a header is to say of them.

use std::{fs, path::Path};

use fitsio::{
    FitsFile,
    errors::Error,
    images::{ImageDescription, ImageType},
};

use super::{
    fits::{FitsError, FitsImage},
    part::PartName,
};
use crate::science::Plane;

/// FITS files come in blocks.
const BLOCK_BYTES: u64 = 2_880;

/// The value of a header card.
#[derive(Debug, Clone, PartialEq)]
pub enum CardValue {
    /// A text of at most 68 characters.
    Text(String),
    /// A number, which has to be finite.
    Number(f64),
    /// A whole number.
    Whole(i64),
}

/// One line of a header.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// At most eight capital letters, digits, `-` and `_`.
    pub keyword: &'static str,
    /// Its value.
    pub value: CardValue,
    /// What it means; cut off where the line ends.
    pub comment: &'static str,
}

impl Card {
    /// A card with a text.
    pub fn text(keyword: &'static str, value: &str, comment: &'static str) -> Self {
        let value = CardValue::Text(value.to_owned());
        Self {
            keyword,
            value,
            comment,
        }
    }

    /// A card with a number.
    pub fn number(keyword: &'static str, value: f64, comment: &'static str) -> Self {
        let value = CardValue::Number(value);
        Self {
            keyword,
            value,
            comment,
        }
    }

    /// A card with a whole number.
    pub fn whole(keyword: &'static str, value: i64, comment: &'static str) -> Self {
        let value = CardValue::Whole(value);
        Self {
            keyword,
            value,
            comment,
        }
    }
}

impl FitsImage {
    /// The header that says all this of a plane whose values are in `unit`.
    pub fn header(&self, unit: &str) -> Vec<Card> {
        let projection = &self.projection;
        let (x, y) = projection.centre_pixel;
        let centre = projection.centre;
        let mut cards = vec![
            Card::text("CTYPE1", "RA---SIN", "orthographic"),
            Card::number("CRPIX1", x + 1.0, "pixel of the tangent point"),
            Card::number("CRVAL1", centre.ra.to_degrees().0, "its right ascension"),
            Card::number(
                "CDELT1",
                projection.step.0.to_degrees().0,
                "step of a pixel",
            ),
            Card::text("CUNIT1", "deg", ""),
            Card::text("CTYPE2", "DEC--SIN", "orthographic"),
            Card::number("CRPIX2", y + 1.0, "pixel of the tangent point"),
            Card::number("CRVAL2", centre.dec.to_degrees().0, "its declination"),
            Card::number(
                "CDELT2",
                projection.step.1.to_degrees().0,
                "step of a pixel",
            ),
            Card::text("CUNIT2", "deg", ""),
            Card::text("RADESYS", "ICRS", "frame of the coordinates"),
            Card::number("EQUINOX", 2000.0, "for readers that know no ICRS"),
            Card::text("BUNIT", unit, "unit of the values"),
            Card::number("BMAJ", self.beam.0.0, "[deg] major axis of the beam"),
            Card::number("BMIN", self.beam.1.0, "[deg] minor axis of the beam"),
            Card::number("BPA", self.beam_angle.0, "[deg] its position angle"),
        ];
        let frequency = self.frequency.map(|frequency| frequency.0);
        cards.extend(frequency.map(|hertz| Card::number("RESTFRQ", hertz, "[Hz] frequency")));
        for (keyword, text, comment) in [
            ("DATE-OBS", &self.date, "UTC of the beginning"),
            ("OBJECT", &self.object, ""),
            ("TELESCOP", &self.telescope, ""),
        ] {
            cards.extend(text.as_ref().map(|text| Card::text(keyword, text, comment)));
        }
        cards
    }
}

/// Writes a plane as a FITS image of two dimensions in single precision, with these cards after
/// those that describe the array. The file appears in its place only when it is complete; one
/// that was there is replaced.
///
/// # Errors
/// If the file can't be written, a number is not finite, or the plane has not as many values as
/// its sides say.
pub fn write_plane(path: &Path, plane: &Plane, cards: &[Card]) -> Result<(), FitsError> {
    let unwritable = |source| FitsError::Unwritable {
        path: path.to_owned(),
        source,
    };
    if path.to_str().is_none() || plane.values.len() != plane.width * plane.height {
        return Err(FitsError::NoImage {
            path: path.to_owned(),
            problem: format!(
                "{} values of {} x {} pixels can't be written under this name",
                plane.values.len(),
                plane.width,
                plane.height
            ),
        });
    }
    let part = PartName::of(path);
    fill(part.path(), plane, cards).map_err(unwritable)?;
    check_length(part.path(), plane).map_err(unwritable)?;
    part.put_in_place(path)
        .map_err(|error| unwritable(error.into()))
}

fn fill(path: &Path, plane: &Plane, cards: &[Card]) -> Result<(), Error> {
    let description = ImageDescription {
        data_type: ImageType::Float,
        dimensions: &[plane.height, plane.width],
    };
    let new = FitsFile::create(path).with_custom_primary(&description);
    let mut file = new.open()?;
    let hdu = file.primary_hdu()?;
    for card in cards {
        let (keyword, comment) = (card.keyword, card.comment);
        match &card.value {
            CardValue::Text(text) => hdu.write_key(&mut file, keyword, (text.as_str(), comment)),
            CardValue::Number(number) if number.is_finite() => {
                hdu.write_key(&mut file, keyword, (*number, comment))
            }
            CardValue::Number(number) => Err(Error::Message(format!(
                "{keyword} is {number}, which no header can say"
            ))),
            CardValue::Whole(whole) => hdu.write_key(&mut file, keyword, (*whole, comment)),
        }?;
    }
    hdu.write_image(&mut file, &plane.values)
}

/// The library flushes when it closes the file and then tells nobody of a full disk.
fn check_length(path: &Path, plane: &Plane) -> Result<(), Error> {
    let bytes = (plane.values.len() * size_of::<f32>()) as u64;
    let expected = bytes.next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES;
    let found = fs::metadata(path)?.len();
    if found >= expected && found.is_multiple_of(BLOCK_BYTES) {
        Ok(())
    } else {
        Err(Error::Message(format!(
            "only {found} of {expected} bytes were written"
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::{
        io::read_plane,
        model::{Degrees, Hertz, Radians, SkyPosition},
        science::SinProjection,
    };

    fn image() -> FitsImage {
        let step = Degrees(5.0 / 3600.0).to_radians();
        FitsImage {
            plane: Plane {
                width: 5,
                height: 3,
                values: (0_u8..15).map(f32::from).collect(),
            },
            projection: SinProjection {
                centre: SkyPosition::from_degrees(129.324, 55.4),
                centre_pixel: (2.25, 1.0),
                step: (Radians(-step.0), step),
            },
            beam: (Degrees(48.0 / 3600.0), Degrees(15.0 / 3600.0)),
            beam_angle: Degrees(-17.5),
            frequency: Some(Hertz(1.405e9)),
            date: Some("2026-01-26T08:05:18".into()),
            object: Some("meridian".into()),
            telescope: Some("OVRO_MMA".into()),
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_accepted_by_the_field() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane.fits");
        let mut written = image();
        written.plane.values[7] = f32::NAN;
        let mut cards = written.header("Jy/beam");
        cards.push(Card::whole("NIMAGES", 3, "images in the mosaic"));
        write_plane(&path, &written.plane, &cards).unwrap();

        let read = FitsImage::read(&path).unwrap();
        let bits = |plane: &Plane| plane.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read.plane), bits(&written.plane));
        assert_eq!((read.plane.width, read.plane.height), (5, 3));
        let shift = read.projection.centre.separation(written.projection.centre);
        assert!(shift.to_arcseconds().0 < 1e-6);
        assert!((read.projection.step.0.0 / written.projection.step.0.0 - 1.0).abs() < 1e-12);
        assert!((read.projection.centre_pixel.0 - 2.25).abs() < 1e-12);
        assert!((read.beam.1.0 - written.beam.1.0).abs() < 1e-12);
        assert_eq!(read.beam_angle, written.beam_angle);
        assert_eq!(read.frequency, written.frequency);
        assert_eq!((&read.date, &read.object), (&written.date, &written.object));

        let verified = Command::new("fitsverify")
            .args(["-l", "-H"])
            .arg(&path)
            .output();
        let verified = verified.unwrap();
        let verdict = String::from_utf8_lossy(&verified.stdout);
        assert!(verified.status.success(), "{verdict}");
        assert!(verdict.contains("0 warning(s) and 0 error(s)"), "{verdict}");
    }

    #[test]
    fn a_file_is_replaced_and_nothing_half_made_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane.fits");
        let mut written = image();
        write_plane(&path, &written.plane, &written.header("Jy/beam")).unwrap();
        written.plane.values[0] = 42.0;
        write_plane(&path, &written.plane, &[]).unwrap();
        assert!((read_plane(&path).unwrap().values[0] - 42.0).abs() < 1e-9);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        let no_folder = folder.path().join("none/plane.fits");
        let error = write_plane(&no_folder, &written.plane, &[]).unwrap_err();
        assert!(!error.is_permanent() && error.to_string().contains("can't be written"));
        let unsayable = [Card::number("MEDRMS", f64::NAN, "")];
        assert!(write_plane(&path, &written.plane, &unsayable).is_err());
        written.plane.width = 4;
        let error = write_plane(&path, &written.plane, &[]).unwrap_err();
        assert!(
            error.is_permanent() && error.to_string().contains("4 x 3"),
            "{error}"
        );
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing half-made stays"
        );
    }

    #[test]
    fn another_projection_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane.fits");
        let image = image();
        for (keyword, value, problem) in [
            (
                "CTYPE1",
                CardValue::Text("RA---TAN".into()),
                "only images in the SIN projection",
            ),
            ("CD1_2", CardValue::Number(1e-3), "north is not up"),
        ] {
            let mut cards = image.header("Jy/beam");
            cards.retain(|card| card.keyword != keyword);
            let comment = "";
            cards.push(Card {
                keyword,
                value,
                comment,
            });
            write_plane(&path, &image.plane, &cards).unwrap();
            let error = FitsImage::read(&path).unwrap_err();
            assert!(
                error.is_permanent() && error.to_string().contains(problem),
                "{error}"
            );
        }
    }
}
