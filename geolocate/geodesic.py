"""Distances on the ellipsoid, one at a time."""

from __future__ import annotations

from functools import cache
from typing import Any

from geolocate.records import Position


def geodesic_km(first: Position, second: Position) -> float:
    """WGS-84 geodesic distance in km (Karney's algorithm, by geopy)."""
    kilometres: float = _wgs84().measure(
        (first.latitude, first.longitude), (second.latitude, second.longitude)
    )
    return kilometres


@cache
def _wgs84() -> Any:
    """One measure for all pairs: each new one works out the series of the ellipsoid again."""
    from geopy.distance import geodesic  # 86 ms, and only photos with a position need it

    return geodesic()
