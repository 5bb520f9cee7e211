"""How far the sea is: distances to the nearest cell of the land mask that touches no land."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from geolocate.places import MASK_COLUMNS, MASK_ROWS, PlaceIndex
from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors

#: Side of a cell of the mask; a coast is known to that, about 11 km.
CELL_DEGREES = 180 / MASK_ROWS
#: In a row of the mask that is all land.
NO_SEA = MASK_COLUMNS
#: Points that are compared with all rows of the mask at a time: 256 x 1800 float64 are 4 MB.
_CHUNK = 256

Floats = NDArray[np.float64]


def sea_distances_km(coordinates: Floats) -> Floats:
    """Great-circle distances (M,) in km from positions (M, 2) to the sea, 0 at sea; good to a cell.

    A cell of the mask that touches land is land, so the truth is rather less. Lakes are land, the Caspian Sea
    is sea. In each row of the mask the nearest cell is the nearest in longitude, so one candidate a row makes
    the search complete.

    Raises:
        ValueError: coordinates that lie outside the globe.
    """
    unit_vectors(coordinates[:, 0], coordinates[:, 1])
    gaps = _columns_to_sea()  # (R, C)
    latitude, longitude = coordinates.T  # (M,), (M,)
    column = ((longitude + 180) / CELL_DEGREES).astype(np.int64) % MASK_COLUMNS  # (M,)
    north = 90 - CELL_DEGREES * np.arange(MASK_ROWS)  # (R,) upper edges of the rows
    distances = np.empty(len(coordinates))
    for start in range(0, len(coordinates), _CHUNK):
        part = slice(start, start + _CHUNK)
        phi = np.radians(latitude[part, None])  # (m, 1)
        # The nearest parallel of each row, and the nearest meridian of its nearest cell at sea.
        parallel = np.radians(np.clip(latitude[part, None], north - CELL_DEGREES, north))  # (m, R)
        gap = gaps[:, column[part]].T  # (m, R)
        turn = np.radians(np.maximum(gap - 0.5, 0) * CELL_DEGREES)  # (m, R)
        haversine = np.sin((phi - parallel) / 2) ** 2 + np.cos(phi) * np.cos(parallel) * np.sin(turn / 2) ** 2
        haversine[gap == NO_SEA] = 1.0
        distances[part] = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(haversine.min(axis=1), 1.0)))
    return distances


@cache
def _columns_to_sea() -> NDArray[np.int16]:
    """Columns (R, C) from each cell to the nearest of its row that is sea, round the globe; else NO_SEA."""
    sea = ~PlaceIndex.load().land_mask()  # (R, C)
    nearest = np.minimum(_columns_back_to(sea), _columns_back_to(sea[:, ::-1])[:, ::-1])
    nearest[~sea.any(axis=1)] = NO_SEA
    return nearest


def _columns_back_to(sea: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Columns (R, C) from each cell west to the nearest that is sea, round the globe."""
    columns = np.arange(2 * MASK_COLUMNS, dtype=np.int16)
    last = np.maximum.accumulate(np.where(np.tile(sea, 2), columns, np.int16(0)), axis=1)  # (R, 2 C)
    back: NDArray[np.int16] = (columns - last)[:, MASK_COLUMNS:]
    return back
