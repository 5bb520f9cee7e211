"""Distances on the ellipsoid, one at a time."""

from __future__ import annotations

from geolocate.records import Position


def geodesic_km(first: Position, second: Position) -> float:
    """WGS-84 geodesic distance in km (Karney's algorithm, by geopy)."""
    from geopy.distance import geodesic  # 86 ms, and only photos with a position need it

    kilometres: float = geodesic(
        (first.latitude, first.longitude), (second.latitude, second.longitude)
    ).kilometers
    return kilometres
