"""In place of CASA's tasks, which need 700 MB and data on the Earth: what our example asks of them,
and files of the same names."""

from pathlib import Path


def ft(vis, complist, usescratch):
    assert Path(vis).is_dir() and Path(complist).is_dir() and usescratch


def gaincal(vis, refant, minsnr, caltable, solint, calmode):
    _solve(vis, caltable)
    assert (solint, calmode) == ("int", "p")


def bandpass(vis, refant, minsnr, caltable, solint, combine, gaintable):
    _solve(vis, caltable)
    assert all((Path(table) / "table.dat").is_file() for table in gaintable)


def applycal(vis, gaintable, calwt, flagbackup):
    assert Path(vis).is_dir() and not calwt and not flagbackup
    assert [Path(table).name for table in gaintable] == ["phases", "bandpass"]


def _solve(vis, caltable):
    assert Path(vis).is_dir()
    Path(caltable).mkdir()
    (Path(caltable) / "table.dat").touch()
