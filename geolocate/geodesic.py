"""Distances on the ellipsoid, one at a time."""

from __future__ import annotations

from functools import cache
from typing import Any

from geolocate.records import Position

#: WGS-84: semi-major axis in km, and flattening.
WGS84_RADIUS_KM, WGS84_FLATTENING = 6378.137, 1 / 298.257223563


def geodesic_km(first: Position, second: Position) -> float:
    """WGS-84 geodesic distance in km (Karney 2013, doi:10.1007/s00190-012-0578-z)."""
    geodesic = _wgs84()
    line = geodesic.Inverse(
        first.latitude, first.longitude, second.latitude, second.longitude, geodesic.DISTANCE
    )
    kilometres: float = line["s12"]
    return kilometres


@cache
def _wgs84() -> Any:
    """One geodesic for all pairs: each new one works out the series of the ellipsoid again.

    geopy measures by the same class, to the last bit, and takes 80 ms more to import.
    """
    from geographiclib.geodesic import Geodesic

    return Geodesic(WGS84_RADIUS_KM, WGS84_FLATTENING)
