"""Distances on the ellipsoid are those of geopy, to the last bit, without its import."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from geopy.distance import geodesic

from geolocate.geodesic import geodesic_km
from geolocate.records import Position

CORNERS = [(90.0, 0.0), (-90.0, 180.0), (0.0, 180.0), (0.0, -180.0), (0.0, 0.0), (46.5, 7.9), (-46.5, -172.1)]


def test_every_distance_is_that_of_geopy() -> None:
    rng = np.random.default_rng(0)
    drawn = np.column_stack((rng.uniform(-90, 90, 200), rng.uniform(-180, 180, 200)))
    points = [*CORNERS, *map(tuple, drawn.tolist())]
    for first, second in [
        *pairwise(points),
        *((a, b) for a in CORNERS for b in CORNERS),
    ]:
        assert geodesic_km(Position(*first), Position(*second)) == geodesic(first, second).kilometers


def test_nearly_opposite_points_have_a_distance() -> None:
    # Where the older formula of Vincenty finds no answer.
    assert geodesic_km(Position(0.0, 0.0), Position(0.5, 179.5)) == pytest.approx(19_936.288_579)


def test_measuring_imports_no_geocoders() -> None:
    code = (
        "import sys\nfrom geolocate.geodesic import geodesic_km\nfrom geolocate.records import Position\n"
        "geodesic_km(Position(1.0, 2.0), Position(3.0, 4.0))\nprint('geopy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
