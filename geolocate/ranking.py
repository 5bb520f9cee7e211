"""From one photo's posterior to its candidates, in the three ways of `--ranking`.

Everything here takes a single posterior (M,), so a photo's candidates never depend on its batch mates. No
product here goes to BLAS: for such small ones its threads would only take the cores from those that decode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from geolocate.sphere import EARTH_RADIUS_KM

#: Candidates closer than this are one place in the ranking "merged".
MERGE_RADIUS_KM = 25.0
#: The strongest points among which "merged" looks for places; more only where they hold fewer than top-k.
MERGE_POOL = 512
#: Of a posterior one entry in so many is a sample, of whose largest so many times more are taken than needed.
_SAMPLED, _SPARE = 64, 4
#: Spare room in the search for neighbours, against rounding.
_SLACK = 1.0001

Ranking = Literal["merged", "points", "published"]
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)

FloatArray = NDArray[np.floating[Any]]
#: (gallery index, probability)
Ranked = list[tuple[int, float]]


def strongest(posterior: FloatArray, count: int) -> NDArray[np.intp]:
    """Indices of the `count` largest entries of `posterior` (M,), largest first, ties by index."""
    count = min(count, len(posterior))
    if count == len(posterior):
        pool = np.arange(len(posterior))
    else:
        pool = _superset(posterior, count)  # ascending: ties are settled by index
        if len(pool) > count:
            # From the small end: numpy's partition takes 20 times as long on the zeros of a sharp posterior.
            threshold = -np.partition(-posterior[pool], count - 1)[count - 1]
            pool = pool[posterior[pool] >= threshold]
    return pool[np.argsort(-posterior[pool], kind="stable")][:count]


def _superset(posterior: FloatArray, count: int) -> NDArray[np.intp]:
    """Indices that hold the `count` largest entries, ascending, and most often only a few times as many.

    All that reach a value that is among the largest of a sample: a partition of everything takes ten times as
    long as one look at it.
    """
    sample = posterior[::_SAMPLED]
    rank = _SPARE * (count // _SAMPLED + 1)
    if rank < len(sample):
        threshold = -np.partition(-sample, rank - 1)[rank - 1]
        pool = np.flatnonzero(posterior >= threshold)
        if len(pool) >= count:
            return pool
    return np.arange(len(posterior))


def points(posterior: FloatArray, top_k: int) -> Ranked:
    """Each gallery point by itself."""
    return [(int(index), float(posterior[index])) for index in strongest(posterior, top_k)]


def published(posterior: FloatArray, weights: NDArray[np.float32], top_k: int) -> Ranked:
    """The ranking of the published GeoCLIP: each of a point's `weights` (M,) rows is a candidate."""
    rows = np.maximum(1.0, np.rint(weights))  # (M,)
    single = posterior / weights  # (M,)
    single = single / (single * rows).sum()  # probability of one row; the weights need not be whole
    ranked: Ranked = []
    for index in strongest(single, top_k):
        ranked += [(int(index), float(single[index]))] * int(rows[index])
        if len(ranked) >= top_k:
            break
    return ranked[:top_k]


@dataclass(frozen=True)
class Neighbours:
    """Finds the gallery points round given ones: cubes of the merge radius over the unit sphere.

    Attributes:
        axes: unit vectors of the gallery (3, M), so that each coordinate is contiguous.
        order: gallery indices (M,), sorted by cube.
        keys: the cube of each of them, (M,); cubes above each other have consecutive keys.
        radius_km: side of the cubes.
    """

    axes: NDArray[np.float64]
    order: NDArray[np.intp]
    keys: NDArray[np.int64]
    radius_km: float

    @classmethod
    def of(cls, vectors: NDArray[np.float64], radius_km: float = MERGE_RADIUS_KM) -> Neighbours:
        """Sorts unit vectors (M, 3) into cubes."""
        keys = cls._keys(cls._cubes(vectors, radius_km), radius_km)
        order = np.argsort(keys, kind="stable")
        return cls(np.ascontiguousarray(vectors.T), order, keys[order], radius_km)

    def extended(self, vectors: NDArray[np.float64]) -> Neighbours:
        """The same with further points (E, 3), which get the indices from M on; cheap for a few."""
        keys = self._keys(self._cubes(vectors, self.radius_km), self.radius_km)  # (E,)
        by_key = np.argsort(keys, kind="stable")
        at = np.searchsorted(self.keys, keys[by_key], side="right")
        return Neighbours(
            np.concatenate((self.axes, vectors.T), axis=1),
            np.insert(self.order, at, by_key + self.axes.shape[1]),
            np.insert(self.keys, at, keys[by_key]),
            self.radius_km,
        )

    @staticmethod
    def _cubes(vectors: NDArray[np.float64], radius_km: float) -> NDArray[np.int64]:
        side = radius_km / EARTH_RADIUS_KM * _SLACK
        return np.floor((vectors + 1.0) / side).astype(np.int64) + 1  # at least 1, so that -1 has no wrap

    @staticmethod
    def _keys(cubes: NDArray[np.int64], radius_km: float) -> NDArray[np.int64]:
        span = int(2.0 * EARTH_RADIUS_KM / radius_km) + 4
        keys: NDArray[np.int64] = (cubes[..., 0] * span + cubes[..., 1]) * span + cubes[..., 2]
        return keys

    def round(self, indices: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs (row of `indices`, gallery index) within the radius, by row; a point is its own neighbour."""
        return self.near(self.axes[:, indices])

    def near(self, own: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs (column of `own`, gallery index) within the radius of any unit vectors (3, L), by column."""
        cubes = self._cubes(own.T, self.radius_km)  # (L, 3)
        columns = np.array([(x, y, 0) for x in (-1, 0, 1) for y in (-1, 0, 1)])  # (9, 3)
        middle = self._keys(cubes[:, None, :] + columns, self.radius_km).reshape(-1)  # (L * 9,)
        starts = np.searchsorted(self.keys, middle - 1, side="left")
        counts = np.searchsorted(self.keys, middle + 1, side="right") - starts
        rows = np.repeat(np.repeat(np.arange(own.shape[1]), len(columns)), counts)  # (P,)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        found = self.order[np.repeat(starts, counts) + within]  # (P,)
        cosine = np.zeros(len(found))  # (P,)
        for axis, mine in zip(self.axes, own, strict=True):
            cosine += mine.take(rows) * axis.take(found)
        close = cosine >= np.cos(self.radius_km / EARTH_RADIUS_KM)
        return rows[close], found[close]


def merged(posterior: FloatArray, neighbours: Neighbours, top_k: int) -> Ranked:
    """Candidates as places: a point within the merge radius of a stronger candidate joins it.

    Walks down the :data:`MERGE_POOL` strongest points: each becomes a candidate unless one stands within the
    radius. Then every point of the gallery within the radius of candidates adds its probability to the
    strongest of them, and the sums decide the order. No two candidates are closer than the radius. Where the
    pool holds fewer than `top_k` places, weaker points follow in blocks of the same size.
    """
    order = strongest(posterior, MERGE_POOL)
    owner = np.full(len(posterior), -1)  # the row in `leads` of the candidate that a point joins
    leads: list[int] = []
    block_of: list[int] = []
    start = 0
    while len(leads) < top_k and start < len(posterior):
        if start >= len(order):
            order = strongest(posterior, 4 * len(order))
        block = order[start : start + MERGE_POOL]
        found = _leads(block[owner[block] < 0], neighbours)
        rows, members = neighbours.round(found)
        free = owner[members] < 0
        owner[members[free][::-1]] = rows[free][::-1] + len(leads)  # the last holds: the strongest candidate
        leads += found.tolist()
        block_of += [start] * len(found)
        start += len(block)
    joined = np.flatnonzero(owner >= 0)
    mass = np.bincount(owner[joined], weights=posterior[joined], minlength=len(leads))
    # Within a block the sums decide; a later block never overtakes an earlier one, whatever top_k is.
    ranked = np.lexsort((-mass, np.array(block_of)))[:top_k]
    return [(leads[row], float(mass[row])) for row in ranked]


def _leads(block: NDArray[np.intp], neighbours: Neighbours) -> NDArray[np.intp]:
    """Those of `block`, strongest first, that no stronger one of them has within the radius."""
    axes = neighbours.axes.take(block, axis=1)  # (3, B), rows contiguous: einsum is ten times as fast
    cosine = np.einsum("ki,kj->ij", axes, axes)  # (B, B)
    close = cosine >= np.cos(neighbours.radius_km / EARTH_RADIUS_KM)
    np.fill_diagonal(close, True)
    free = np.ones(len(block), dtype=bool)
    leads = np.ones(len(block), dtype=bool)
    for row in np.flatnonzero(close.sum(axis=1) > 1):  # the others have nobody to join or to be joined by
        leads[row] = free[row]
        if free[row]:
            free &= ~close[row]
    return block[leads]


def weighted_quantile(
    values: NDArray[np.float64], weights: FloatArray, share: float, bins: int = 4096
) -> float:
    """Smallest value v with at least `share` of the total weight on values <= v; values (M,) >= 0.

    Sorts only the histogram bin that the quantile falls into: linear in M.
    """
    scale = (bins - 1) / max(float(values.max()), np.finfo(np.float64).tiny)
    bin_of = (values * scale).astype(np.intp)  # (M,)
    cumulative = np.cumsum(np.bincount(bin_of, weights=weights, minlength=bins))
    goal = share * cumulative[-1]
    chosen = int(np.searchsorted(cumulative, goal))
    inside = np.flatnonzero(bin_of == chosen)
    inside = inside[np.argsort(values[inside], kind="stable")]
    before = cumulative[chosen - 1] if chosen else 0.0
    within = before + np.cumsum(weights[inside].astype(np.float64))
    position = min(int(np.searchsorted(within, goal)), len(inside) - 1)
    return float(values[inside[position]])
