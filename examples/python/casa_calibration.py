"""The stages `calibration-solve` and `calibration-apply` by CASA: phases of each integration, then
the bandpass, against all catalogue sources of the field.

    pip install -r requirements-casa.txt
    python -m casaconfig --update-all        # once: what CASA must know of the Earth
    ABSURD_DATABASE_URL=... ABSURD_QUEUE_NAME=casa python casa_calibration.py

Send both stages here, `calibration-solve=casa, calibration-apply=casa`: our own stages don't read
CASA's tables. Unlike them CASA takes the beam to stand still over the observation.
"""

import json
import math
import os
import shutil
import tempfile
from pathlib import Path

from stage_worker import PermanentError, serve

# Seconds that a stage may take: the limit of our own ones.
LIMIT = 3600
# Catalogue sources beyond this from the field's centre, in degrees, are not in the model: the
# beam's first null at 1.28 GHz is at 3.5 degrees.
FIELD = 3.5
# Metres across a dish of the DSA-110, as far as it is used (docs/pipeline.md).
DISH = 4.65
# The frequency of catalogues, in hertz.
CATALOGUE_FREQUENCY = 1.4e9
# A solution below this ratio of signal to noise is flagged.
SNR_LEAST = 3.0


def solve(given):
    ms = given.path("ms_path")
    sources = json.loads(given.path("catalogue_path").read_text())
    reference = given.config.get("reference_antenna") or ""
    place = tables_folder(ms) / f"{ms.name.split('.')[0]}.casa"
    place.parent.mkdir(parents=True, exist_ok=True)
    with casa(place.parent) as (tasks, tools, folder):
        fill_model(tasks, tools, ms, sources, folder)
        gain, bandpass = folder / "new/phases", folder / "new/bandpass"
        gain.parent.mkdir()
        common = {"vis": str(ms), "refant": reference, "minsnr": SNR_LEAST}
        tasks.gaincal(**common, caltable=str(gain), solint="int", calmode="p")
        made(gain, ms)
        tasks.bandpass(
            **common, caltable=str(bandpass), solint="inf", combine="scan", gaintable=[str(gain)]
        )
        made(bandpass, ms)
        # Tables that an earlier attempt left are replaced as a whole.
        shutil.rmtree(place, ignore_errors=True)
        gain.parent.rename(place)
    tables = {"phases": str(place / "phases"), "bandpass": str(place / "bandpass")}
    return {"calibration_tables": tables, "caltables": list(tables.values())}


def apply(given):
    ms = given.path("ms_path")
    tables = given.outputs.get("caltables") or []
    for table in tables:
        if not (Path(table) / "table.dat").exists():
            raise PermanentError(f"{table} is no table of CASA: solve by CASA, too")
    if not tables:
        raise PermanentError("this task needs `outputs.caltables`: solve before")
    with casa(ms.parent) as (tasks, tools, _):
        tasks.applycal(vis=str(ms), gaintable=tables, calwt=False, flagbackup=False)
        flagged = share_flagged(tools, ms)
    if flagged == 1.0:
        raise PermanentError(f"nothing of {ms} is left unflagged by {', '.join(tables)}")
    return {"caltables": tables, "flagged": flagged}


class casa:
    """CASA in a folder of its own, where its logs and scratch files go, and go away with it."""

    def __init__(self, beside):
        self.folder = tempfile.TemporaryDirectory(prefix=".casa-", dir=beside)

    def __enter__(self):
        folder = Path(self.folder.name)
        os.chdir(folder)
        import casaconfig.config

        casaconfig.config.logfile = str(folder / "casa.log")
        import casatasks
        import casatools

        return casatasks, casatools, folder

    def __exit__(self, *_):
        os.chdir("/")
        self.folder.cleanup()


def tables_folder(ms):
    """Where the worker keeps its tables, too."""
    output = os.environ.get("PIPELINE_OUTPUT_DIR")
    return Path(output) / "caltables" if output else ms.parent


def made(table, ms):
    if not table.exists():
        raise PermanentError(f"CASA finds no solution for {ms}; see its log above")


def fill_model(tasks, tools, ms, sources, folder):
    """Writes what the array should see of the catalogue into the column MODEL_DATA."""
    centre, frequency = pointing(tools, ms)
    seen = seen_sources(sources, centre, frequency)
    if not seen:
        raise PermanentError("no catalogue source is in the field: use another catalogue")
    components = tools.componentlist()
    for source, flux in seen:
        ra, dec = source["position"]["ra"], source["position"]["dec"]
        components.addcomponent(
            flux=flux,
            fluxunit="Jy",
            dir=f"J2000 {ra}rad {dec}rad",
            shape="point",
            freq=f"{frequency}Hz",
            spectrumtype="spectral index",
            index=source["spectral_index"],
        )
    place = str(folder / "model.cl")
    components.rename(place)
    components.close()
    tasks.ft(vis=str(ms), complist=place, usescratch=True)


def pointing(tools, ms):
    """The field's centre in radians, and the middle of the band in hertz."""
    table = tools.table()
    table.open(str(ms / "FIELD"))
    ra, dec = (float(angle) for angle in table.getcell("PHASE_DIR", 0).flatten()[:2])
    table.open(str(ms / "SPECTRAL_WINDOW"))
    frequencies = table.getcell("CHAN_FREQ", 0)
    table.close()
    return {"ra": ra, "dec": dec}, float((frequencies[0] + frequencies[-1]) / 2)


def seen_sources(sources, centre, frequency):
    """Sources of the field with their flux densities as the dishes' Airy beam shows them."""
    seen = []
    for source in sources:
        apart = separation(source["position"], centre)
        if math.degrees(apart) <= FIELD:
            ratio = frequency / CATALOGUE_FREQUENCY
            flux = source["flux"] * ratio ** source["spectral_index"]
            seen.append((source, flux * beam_power(apart, frequency)))
    return seen


def separation(one, other):
    """Radians between two directions, by the haversine formula."""
    half = math.sin((one["dec"] - other["dec"]) / 2) ** 2
    half += (
        math.cos(one["dec"]) * math.cos(other["dec"])
        * math.sin((one["ra"] - other["ra"]) / 2) ** 2
    )
    return 2 * math.asin(min(1.0, math.sqrt(half)))


def beam_power(angle, frequency):
    """(2 J1(x) / x)^2, the Airy pattern of an evenly lit disc."""
    x = math.pi * DISH * frequency / 299_792_458.0 * math.sin(angle)
    return (2 * bessel_1(x) / x) ** 2 if x > 1e-6 else 1.0


def bessel_1(x):
    """J1 by its power series (DLMF 10.2.2), which is exact enough for x up to some ten."""
    term = total = x / 2
    for k in range(1, 60):
        term *= -(x / 2) ** 2 / (k * (k + 1))
        total += term
    return total


def share_flagged(tools, ms):
    table = tools.table()
    table.open(str(ms))
    flagged = total = 0
    for row in range(0, table.nrows(), 10_000):
        flags = table.getcol("FLAG", row, 10_000)
        flagged, total = flagged + int(flags.sum()), total + flags.size
    table.close()
    return flagged / total


if __name__ == "__main__":
    serve("casa", {"calibration-solve": (solve, LIMIT), "calibration-apply": (apply, LIMIT)})
