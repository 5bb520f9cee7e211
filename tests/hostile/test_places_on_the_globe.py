"""Points where maps end: the seam, the poles, and the open sea."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile.program import Rows, rows, run


def placed_on(folder: Path, good: Path, *points: tuple[float, float]) -> Rows:
    """The rows of a photo that is placed on a gallery of these points."""
    gallery = folder / "gallery.csv"
    lines = "".join(f"{latitude},{longitude}\n" for latitude, longitude in points)
    gallery.write_text(f"LAT,LON\n{lines}", encoding="utf-8")
    done = run(good, "--gallery", gallery, "-k", "9", "--ranking", "points", XDG_CACHE_HOME=str(folder))
    assert done.exit_code == 0, done.stderr
    return rows(done.stdout)


@pytest.mark.row(46)
@pytest.mark.parametrize("longitude", [180.0, -180.0])
def test_both_names_of_the_seam_have_the_same_neighbour(good: Path, tree: Path, longitude: float) -> None:
    (row,) = placed_on(tree, good, (-16.8, longitude))
    assert row["country_code"] == "FJ"
    assert float(row["place_km"]) < 100


@pytest.mark.row(46)
def test_the_poles_have_a_neighbour_whatever_their_longitude(good: Path, tree: Path) -> None:
    north, south = (placed_on(tree, good, (latitude, 123.0))[0] for latitude in (90.0, -90.0))
    assert (north["country_code"], "ocean" in north["notes"]) == ("", True)
    assert 500 < float(north["place_km"]) < 1500
    assert (float(south["latitude"]), south["country_code"]) == (-90.0, "")


@pytest.mark.row(46)
def test_the_open_sea_says_so_and_names_no_country(good: Path, tree: Path) -> None:
    for row in placed_on(tree, good, (30.0, -40.0), (0.0, -150.0)):
        assert row["country_code"] == row["country"] == row["region"] == ""
        assert "ocean" in row["notes"].split(";")
        assert float(row["place_km"]) > 500
