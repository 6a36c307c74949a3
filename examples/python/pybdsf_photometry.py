"""The stage `photometry` by PyBDSF: sources are found on the image as the array sees it, where the
noise is the same everywhere, and measured on the one that is corrected for the dishes' beam.

    pip install -r requirements-pybdsf.txt
    ABSURD_DATABASE_URL=... ABSURD_QUEUE_NAME=pybdsf python pybdsf_photometry.py

Unlike our own stage, which measures each source of the catalogue whether it shows or not, this one
measures what it finds.
"""

import json
import math
import tempfile
from datetime import datetime, timezone

from stage_worker import PermanentError, serve, write_whole

# Seconds that the stage may take: the limit of our own one.
LIMIT = 600
# A source is found this many times above the noise, and reaches down to there: the limits of
# PyBDSF's manual but for the first, which is that of our own stages.
PEAK_SIGNIFICANCE = 8.0
ISLAND_SIGNIFICANCE = 3.0
# The share of the flux density that the scale is uncertain by, as our own photometry has it.
CALIBRATION_SHARE = 0.03
# A source this near to one of the catalogue, in arcseconds, is that one.
SAME_SOURCE = 10.0


def photometry(given):
    tile = given.outputs.get("tile")
    if tile is None:
        raise PermanentError("this task needs `outputs.tile`: make it by the task `imaging`")
    image = given.path("image_path")
    measured = find(image, tile["image"])
    catalogue = []
    if "catalogue_path" in given.outputs:
        catalogue = json.loads(given.path("catalogue_path").read_text())
    place = image.with_name(f"{image.name.split('.')[0]}.photometry.json")
    write_whole(place, json.dumps([named(source, catalogue) for source in measured], indent=2))
    return {"photometry_path": str(place)}


def find(image, tile):
    """The sources of an image, as `photometry.json` has them but for their names."""
    # Large, so only the process that computes loads them.
    import bdsf
    from astropy.io import fits

    # Our beam-corrected images have the two axes of the sky only.
    header = fits.getheader(image)
    with tempfile.TemporaryDirectory() as folder:
        found = bdsf.process_image(
            str(tile),
            detection_image=str(image),
            frequency=frequency_of(header),
            thresh="hard",
            thresh_pix=PEAK_SIGNIFICANCE,
            thresh_isl=ISLAND_SIGNIFICANCE,
            outdir=folder,
            quiet=True,
        )
    time = mjd(header["DATE-OBS"])
    # Without any source PyBDSF sets no list.
    return [measurement(source, time) for source in getattr(found, "sources", [])]


def frequency_of(header):
    """Of the image's third or fourth axis, in hertz."""
    for axis in range(1, header["NAXIS"] + 1):
        if header.get(f"CTYPE{axis}", "").startswith("FREQ"):
            return header[f"CRVAL{axis}"]
    raise ValueError("the image says no frequency")


def measurement(source, time):
    ra, dec = (math.radians(float(angle)) for angle in source.posn_sky_centroid)
    flux, noise = float(source.total_flux), float(source.total_fluxE)
    return {
        "position": {"ra": ra % math.tau, "dec": dec},
        "time": time,
        "photometry": {
            "flux": flux,
            "noise": noise,
            "calibration_error": CALIBRATION_SHARE * abs(flux),
            "offset": None,
        },
    }


def named(source, catalogue):
    """The source under its name in the catalogue, or one made of its place."""
    nearest = min(
        catalogue,
        key=lambda listed: separation(listed["position"], source["position"]),
        default=None,
    )
    if nearest and separation(nearest["position"], source["position"]) <= SAME_SOURCE:
        return {"name": nearest["name"], **source}
    return {"name": name_of(source["position"]), **source}


def separation(one, other):
    """Arcseconds between two directions, by the haversine formula."""
    half = math.sin((one["dec"] - other["dec"]) / 2) ** 2
    half += (
        math.cos(one["dec"]) * math.cos(other["dec"])
        * math.sin((one["ra"] - other["ra"]) / 2) ** 2
    )
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(half)))) * 3600


def name_of(position):
    """`Jhhmmss+ddmmss`, the IAU's pattern: digits are cut off, not rounded."""

    def parts(seconds):
        seconds = int(seconds)
        return f"{seconds // 3600:02}{seconds // 60 % 60:02}{seconds % 60:02}"

    ra, dec = math.degrees(position["ra"]) / 15, math.degrees(position["dec"])
    return f"J{parts(ra * 3600)}{'-' if dec < 0 else '+'}{parts(abs(dec) * 3600)}"


def mjd(date):
    """A time as FITS writes it, in days since 1858-11-17."""
    began = datetime.fromisoformat(date).replace(tzinfo=timezone.utc)
    return (began - datetime(1858, 11, 17, tzinfo=timezone.utc)).total_seconds() / 86_400


if __name__ == "__main__":
    serve("pybdsf", {"photometry": (photometry, LIMIT)})
