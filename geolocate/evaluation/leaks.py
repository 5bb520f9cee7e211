"""Test photos whose own position stands in the gallery: retrieval then needs no skill to hit them.

In one published case that was the difference between 21.35 % and 6.67 % within 1 km.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geolocate.evaluation.distances import great_circles_km
from geolocate.ranking import Neighbours
from geolocate.sphere import unit_vectors

#: So near to a gallery point is on it: two photos of one spot, or the same photo.
LEAK_DISTANCE_M = 10.0
#: Side of the cubes of the search, in km; smaller ones would have no number of their own.
_LEAST_CUBE_KM = 0.02
_BLOCK = 2**15

Floats = NDArray[np.float64]


def leaked(truth: Floats, coordinates: Floats, distance_m: float = LEAK_DISTANCE_M) -> NDArray[np.bool_]:
    """Which true positions (N, 2) lie within `distance_m` of a gallery point of (M, 2), in degrees."""
    limit_km = distance_m / 1000.0
    neighbours = Neighbours.of(unit_vectors(*coordinates.T), max(2 * limit_km, _LEAST_CUBE_KM))
    vectors = np.ascontiguousarray(unit_vectors(*truth.T).T)  # (3, N)
    found = np.zeros(len(truth), dtype=bool)
    for start in range(0, len(truth), _BLOCK):
        rows, points = neighbours.near(vectors[:, start : start + _BLOCK])
        rows = rows + start
        # The cosines of the search lose their digits at so short a range.
        close = great_circles_km(truth[rows], coordinates[points]) <= limit_km
        found[rows[close]] = True
    return found
