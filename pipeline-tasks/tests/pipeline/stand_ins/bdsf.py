"""In place of PyBDSF, which takes a minute to install: what our example asks of it, and answers of
the same form. `STAND_IN` names a file that says how it is to behave."""

import errno
import os
import time
from pathlib import Path
from types import SimpleNamespace


def process_image(tile, detection_image, frequency, thresh, thresh_pix, thresh_isl, outdir, quiet):
    for image in (tile, detection_image):
        assert Path(image).read_bytes().startswith(b"SIMPLE  ="), image
    assert tile != detection_image and Path(outdir).is_dir() and quiet
    assert 1.2e9 < frequency < 1.6e9, frequency
    assert thresh == "hard" and thresh_pix > thresh_isl
    trouble = Path(os.environ["STAND_IN"])
    how = trouble.read_text() if trouble.exists() else ""
    if how == "once":
        trouble.unlink()
        raise RuntimeError("the machine was busy")
    if how == "hang":
        trouble.with_suffix(".process").write_text(str(os.getpid()))
        time.sleep(600)
    if how == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    source = SimpleNamespace(
        posn_sky_centroid=[128.7291, 55.5727], total_flux=8.7, total_fluxE=0.02
    )
    new = SimpleNamespace(posn_sky_centroid=[129.0, 55.0], total_flux=0.5, total_fluxE=0.02)
    return SimpleNamespace(sources=[source, new])
