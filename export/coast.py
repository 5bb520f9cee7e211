"""How far the sea is: distances to the nearest cell of the land mask that touches no land."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geolocate.places import MASK_COLUMNS, MASK_ROWS, PlaceIndex
from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors

#: Side of a cell of the mask; a coast is known to that, about 11 km.
CELL_DEGREES = 180 / MASK_ROWS
#: Points that are compared with all rows of the mask at a time: 256 x 1800 float64 are 4 MB.
_CHUNK = 256

Floats = NDArray[np.float64]


def sea_distances_km(coordinates: Floats, index: PlaceIndex) -> Floats:
    """Great-circle distances (M,) in km from positions (M, 2) to the sea, 0 at sea.

    A cell of the mask that touches land is land, so the truth is up to a cell less. Lakes are land, the
    Caspian Sea is sea. In each row of the mask the nearest cell is the nearest in longitude, so one candidate
    a row makes the search exact.

    Raises:
        ValueError: coordinates that are not (M, 2) or lie outside the globe.
    """
    unit_vectors(coordinates[:, 0], coordinates[:, 1])
    gaps = _columns_to_sea(~index.land_mask())  # (R, C)
    latitude, longitude = coordinates.T  # (M,), (M,)
    column = ((longitude + 180) / CELL_DEGREES).astype(np.int64) % MASK_COLUMNS  # (M,)
    north = 90 - CELL_DEGREES * np.arange(MASK_ROWS)  # (R,) upper edges of the rows
    distances = np.empty(len(coordinates))
    for start in range(0, len(coordinates), _CHUNK):
        part = slice(start, start + _CHUNK)
        phi = np.radians(latitude[part, None])  # (m, 1)
        # The nearest parallel of each row, and the nearest meridian of its nearest cell at sea.
        parallel = np.radians(np.clip(latitude[part, None], north - CELL_DEGREES, north))  # (m, R)
        turn = np.radians(np.maximum(gaps[:, column[part]].T - 0.5, 0) * CELL_DEGREES)  # (m, R)
        haversine = np.sin((phi - parallel) / 2) ** 2
        haversine += np.cos(phi) * np.cos(parallel) * np.sin(np.minimum(turn, np.pi) / 2) ** 2
        haversine[np.isinf(turn)] = 1.0
        distances[part] = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(haversine.min(axis=1), 1.0)))
    return distances


def _columns_to_sea(sea: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Columns (R, C) from each cell to the nearest of its row that is sea, round the globe; inf without."""
    columns = np.arange(3 * sea.shape[1], dtype=np.float32)
    thrice = np.tile(sea, 3)  # (R, 3 C): the row, with itself on both sides
    before = np.maximum.accumulate(np.where(thrice, columns, -np.inf), axis=1)
    after = np.minimum.accumulate(np.where(thrice, columns, np.inf)[:, ::-1], axis=1)[:, ::-1]
    middle = slice(sea.shape[1], 2 * sea.shape[1])
    nearest: NDArray[np.float32] = np.minimum(columns - before, after - columns)[:, middle].astype(np.float32)
    return nearest
