"""Splits by place: what is held out lies apart from all that is trained on, never photo by photo.

Places are the single-linkage clusters of the photos on the sphere: photos that a chain of steps of at most
`apart_km` joins are one place, and a place is on one side. So no training photo lies within `apart_km` of a
held-out one, at the poles and across the antimeridian too, and no photo is lost to a margin. The price: in
dense data chains grow long and join whole regions, and since a place is never cut, held-out photos then come
from the places that stand alone. Choose `apart_km` as small as the claim allows, and look at the number
of places.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors

#: Below, the numbers of the cells would not fit into 64 bits, and photos of one square would be two places.
MIN_APART_KM = 0.1
#: Points against points of two cells, at once.
CHUNK = 1024
#: Cells have an edge of the chord over sqrt(3), so that all points of one cell are linked; points that link
#: lie at most two cells apart on each axis.
REACH = 2


def places(coordinates: NDArray[np.float64], apart_km: float) -> NDArray[np.intp]:
    """The place (P,) that each photo belongs to, numbered from 0 by the places' least coordinates.

    Args:
        coordinates: degrees (P, 2). The numbers do not depend on the photos' order.
        apart_km: great-circle distance up to which two photos are linked; at least
            MIN_APART_KM.

    Raises:
        ValueError: coordinates off the globe, or a distance that is none.
    """
    if not MIN_APART_KM <= apart_km < math.pi * EARTH_RADIUS_KM:
        raise ValueError(f"{apart_km:g} km is no distance between places")
    points, point_of = np.unique(coordinates, axis=0, return_inverse=True)  # (U, 2) sorted, (P,)
    vectors = unit_vectors(*points.T)  # (U, 3)
    chord = 2.0 * math.sin(apart_km / EARTH_RADIUS_KM / 2.0)
    root_of_point = _linked(vectors, chord)  # (U,)
    # By their first point, and the points are sorted.
    _, first, place_of_point = np.unique(root_of_point, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    result: NDArray[np.intp] = rank[place_of_point][point_of.reshape(-1)]
    return result


def split_by_place(
    coordinates: NDArray[np.float64], share: float, apart_km: float, seed: int
) -> NDArray[np.bool_]:
    """Which photos (P,) are held out: whole places, drawn at random, at most `share` of the photos.

    A place that would exceed the share is passed over, so a little less comes out, and much less where one
    place holds almost everything.

    Args:
        coordinates: degrees (P, 2).
        share: of the photos, between 0 and 1.
        apart_km: no training photo lies within this great-circle distance of a held-out one.
        seed: the same one gives the same places, in whatever order the photos come.

    Raises:
        ValueError: a share that is none, coordinates off the globe, or places that leave one side empty.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share:g} cannot be held out: it is between 0 and 1")
    place = places(coordinates, apart_km)  # (P,)
    sizes = np.bincount(place)  # (L,)
    left = int(share * len(place))
    held_out = np.zeros(len(sizes), np.bool_)  # (L,)
    for candidate in np.random.default_rng(seed).permutation(len(sizes)):
        if sizes[candidate] <= left:
            held_out[candidate] = True
            left -= int(sizes[candidate])
    if not held_out.any() or held_out.all():
        raise ValueError(
            f"{len(place)} photos at {len(sizes)} places {apart_km:g} km apart: no place can be held out "
            f"within a share of {share:g}"
        )
    return held_out[place]


def folds_by_place(
    coordinates: NDArray[np.float64], folds: int, apart_km: float, seed: int
) -> NDArray[np.intp]:
    """The fold (P,) of each photo, for cross-validation: whole places, the folds as equal as those allow.

    Fold f is held out where the result equals f; see :func:`split_by_place` for the rest.

    Raises:
        ValueError: fewer than two folds, or fewer places than folds.
    """
    place = places(coordinates, apart_km)  # (P,)
    sizes = np.bincount(place)  # (L,)
    if not 2 <= folds <= len(sizes):
        raise ValueError(f"{folds} folds cannot be made of {len(sizes)} places {apart_km:g} km apart")
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    filled = np.zeros(folds, np.int64)
    fold_of = np.empty(len(sizes), np.intp)  # (L,)
    for candidate in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:  # the largest first
        fold = int(filled.argmin())
        fold_of[candidate] = fold
        filled[fold] += sizes[candidate]
    return fold_of[place]


def _linked(vectors: NDArray[np.float64], chord: float) -> NDArray[np.int64]:
    """A number (U,) that is equal for points (U, 3) of one cluster, by union of cells."""
    cells, cell_of, counts = np.unique(
        np.floor(vectors / (chord / math.sqrt(3.0))).astype(np.int64),
        axis=0,
        return_inverse=True,
        return_counts=True,
    )  # (C, 3), (U,), (C,)
    cell_of = cell_of.reshape(-1)
    members = np.split(np.argsort(cell_of, kind="stable"), np.cumsum(counts)[:-1])
    parent = list(range(len(cells)))

    def root(cell: int) -> int:
        while parent[cell] != cell:
            parent[cell] = parent[parent[cell]]
            cell = parent[cell]
        return cell

    for first, second in _neighbours(cells):
        a, b = root(first), root(second)
        if a != b and _touch(vectors[members[first]], vectors[members[second]], chord):
            parent[max(a, b)] = min(a, b)
    roots = np.array([root(cell) for cell in range(len(cells))])  # (C,)
    result: NDArray[np.int64] = roots[cell_of]
    return result


def _neighbours(cells: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs of rows of `cells` (C, 3), sorted and distinct, that lie at most REACH apart on each axis."""
    low = cells.min(axis=0) - REACH
    extent = cells.max(axis=0) + REACH + 1 - low
    strides = np.array([extent[1] * extent[2], extent[2], 1])
    keys = (cells - low) @ strides  # (C,), ascending since the cells are sorted
    pairs = []
    for offset in itertools.product(range(-REACH, REACH + 1), repeat=3):
        shift = int(np.array(offset) @ strides)
        if shift <= 0:  # each pair once
            continue
        at = np.searchsorted(keys, keys + shift)  # (C,)
        hits = np.flatnonzero(keys[np.minimum(at, len(keys) - 1)] == keys + shift)
        pairs += list(zip(hits.tolist(), at[hits].tolist(), strict=True))
    return pairs


def _touch(a: NDArray[np.float64], b: NDArray[np.float64], chord: float) -> bool:
    """Whether a point of (A, 3) lies within the chord of one of (B, 3)."""
    for start in range(0, len(a), CHUNK):
        for other in range(0, len(b), CHUNK):
            steps = a[start : start + CHUNK, None] - b[None, other : other + CHUNK]  # (A, B, 3)
            if (np.einsum("abx,abx->ab", steps, steps) <= chord * chord).any():
                return True
    return False
