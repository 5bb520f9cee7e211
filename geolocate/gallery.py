"""The gallery: the coordinates that photos are placed on, and how a posterior over them becomes candidates.

All functions take one photo's posterior, so a photo's candidates never depend on its batch mates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import (
    GALLERY_COORDINATES,
    GALLERY_EMBEDDINGS,
    GALLERY_PLACES,
    GALLERY_WEIGHTS,
    Bundle,
)
from geolocate.errors import BundleDamaged, GalleryError

#: Mean radius of the Earth (IUGG), for great-circle distances on the sphere.
EARTH_RADIUS_KM = 6371.0088
#: Candidates closer than this are one place in the ranking "merged".
MERGE_RADIUS_KM = 25.0
#: The strongest points among which "merged" looks for places; more only where they hold fewer than top-k.
MERGE_POOL = 512
#: Share of the posterior that the credible radius holds.
CREDIBLE_MASS = 0.5

Ranking = Literal["merged", "points", "published"]
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)

FloatArray = NDArray[np.floating[Any]]


def unit_vectors(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees (M, 2) to unit vectors (M, 3) in float64."""
    latitude, longitude = np.radians(coordinates).T  # (M,), (M,)
    return np.stack(
        (np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)), axis=1
    )


def great_circle_km(vectors: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Great-circle distance in km from each of `vectors` (M, 3) to `vector` (3,); good to 0.1 m."""
    half_chord = np.sqrt(np.clip((1.0 - vectors @ vector) / 2.0, 0.0, 1.0))  # (M,)
    distances: NDArray[np.float64] = 2.0 * EARTH_RADIUS_KM * np.arcsin(half_chord)
    return distances


@dataclass(frozen=True)
class Gallery:
    """Coordinates with their embeddings.

    Attributes:
        coordinates: float64 (M, 2), degrees, deduplicated.
        weights: float32 (M,), how many photos stand at a point; their logarithm is added to the logit.
        embeddings: float32 (M, d), L2-normalised.
        places: int64 (M,) GeoNames id of the nearest place, or None.
    """

    coordinates: NDArray[np.float64]
    weights: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    places: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Raises GalleryError where the arrays cannot belong together."""
        size = len(self.coordinates)
        if size == 0 or self.coordinates.shape != (size, 2):
            raise GalleryError("a gallery needs at least one row of latitude and longitude")
        latitude, longitude = self.coordinates.T
        if not (np.all(np.abs(latitude) <= 90) and np.all(np.abs(longitude) <= 180)):  # False for NaN too
            raise GalleryError("the gallery has coordinates that are not on the globe")
        if self.weights.shape != (size,) or not np.all(self.weights > 0) or np.isinf(self.weights).any():
            raise GalleryError("the gallery's weights are not one positive number a point")
        if self.embeddings.ndim != 2 or len(self.embeddings) != size:
            raise GalleryError("the gallery's embeddings are not one row a point")
        if self.places is not None and self.places.shape != (size,):
            raise GalleryError("the gallery's places are not one id a point")

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Gallery:
        """Opens a bundle's gallery; float32 embeddings stay memory-mapped.

        Raises:
            BundlePartMissing, BundleDamaged: as :meth:`Bundle.array`, or the parts do not fit each other.
        """
        embeddings = bundle.array(GALLERY_EMBEDDINGS, ndim=2)
        if embeddings.shape[1] != bundle.manifest.embedding_dim:
            raise BundleDamaged(
                f"bundle '{bundle.manifest.name}': {GALLERY_EMBEDDINGS} has width {embeddings.shape[1]}, "
                f"the manifest says {bundle.manifest.embedding_dim}"
            )
        places = bundle.array(GALLERY_PLACES, ndim=1) if bundle.has(GALLERY_PLACES) else None
        try:
            return cls(
                coordinates=np.asarray(bundle.array(GALLERY_COORDINATES, ndim=2), dtype=np.float64),
                weights=np.asarray(bundle.array(GALLERY_WEIGHTS, ndim=1), dtype=np.float32),
                embeddings=np.asarray(embeddings, dtype=np.float32),  # float16 is cast once, here
                places=None if places is None else np.asarray(places, dtype=np.int64),
            )
        except (GalleryError, TypeError, ValueError) as error:
            raise BundleDamaged(f"bundle '{bundle.manifest.name}': {error}") from error

    def __len__(self) -> int:
        return len(self.coordinates)

    @cached_property
    def vectors(self) -> NDArray[np.float64]:
        """Unit vectors (M, 3)."""
        return unit_vectors(self.coordinates)

    @cached_property
    def log_weights(self) -> NDArray[np.float32]:
        """What the weights add to the logits, (M,)."""
        logs: NDArray[np.float32] = np.log(self.weights)
        return logs

    def rows(self) -> int:
        """How many rows the gallery has with its duplicates kept: the sum of the (whole) weights."""
        return int(np.maximum(1, np.rint(self.weights)).sum())

    def rank(self, posterior: FloatArray, top_k: int, ranking: Ranking) -> list[tuple[int, float]]:
        """The best `top_k` (gallery index, probability), by decreasing probability.

        Args:
            posterior: (M,), each point's share with its weight counted.
            ranking: "merged", "points" or "published", see :func:`merged`, :func:`strongest` and
                :func:`with_duplicates`.
        """
        if ranking == "merged":
            return merged(posterior, self.vectors, top_k)
        if ranking == "points":
            return [(int(index), float(posterior[index])) for index in strongest(posterior, top_k)]
        return with_duplicates(posterior, self.weights, top_k)

    def credible_radius_km(self, index: int, posterior: FloatArray, mass: float = CREDIBLE_MASS) -> float:
        """Radius of the circle round gallery point `index` that holds `mass` of the posterior (M,).

        Never less than half the distance to the next gallery point: a gallery says nothing finer than that.
        """
        if len(self) == 1:
            return 0.0
        distances = great_circle_km(self.vectors, self.vectors[index])  # (M,)
        nearest_other = min(distances[:index].min(initial=np.inf), distances[index + 1 :].min(initial=np.inf))
        return max(weighted_quantile(distances, posterior, mass), float(nearest_other) / 2.0)


def strongest(posterior: FloatArray, count: int) -> NDArray[np.intp]:
    """Indices of the `count` largest entries of `posterior` (M,), largest first, ties by index."""
    count = min(count, len(posterior))
    if count < len(posterior):
        threshold = np.partition(posterior, len(posterior) - count)[len(posterior) - count]
        pool = np.flatnonzero(posterior >= threshold)  # ascending: ties are settled by index
    else:
        pool = np.arange(len(posterior))
    return pool[np.argsort(-posterior[pool], kind="stable")][:count]


def merged(
    posterior: FloatArray, vectors: NDArray[np.float64], top_k: int, radius_km: float = MERGE_RADIUS_KM
) -> list[tuple[int, float]]:
    """Candidates as places: a point within `radius_km` of a stronger candidate joins it.

    Walks down the :data:`MERGE_POOL` strongest points; each joins the first candidate within the radius, or
    becomes one. Probabilities are added, and the sums decide the order. No two candidates are closer than the
    radius. Where the pool holds fewer than `top_k` places, weaker points follow in blocks of the same size.

    Returns:
        (gallery index of the strongest point, summed probability) for at most `top_k` places.
    """
    found: list[tuple[int, float]] = []
    order = strongest(posterior, max(MERGE_POOL, 2 * top_k))
    start = 0
    while len(found) < top_k and start < len(posterior):
        if start >= len(order):
            order = strongest(posterior, len(order) * 4)
        block = order[start : start + MERGE_POOL]
        found += _merge_block(block, [index for index, _ in found], posterior, vectors, radius_km)
        start += len(block)
    return found[:top_k]


def _merge_block(
    block: NDArray[np.intp],
    taken: list[int],
    posterior: FloatArray,
    vectors: NDArray[np.float64],
    radius_km: float,
) -> list[tuple[int, float]]:
    """Merges one block of points, strongest first, leaving out what joins a place found earlier."""
    closeness = float(np.cos(radius_km / EARTH_RADIUS_KM))  # cosine of the angle at the radius
    if taken:
        block = block[(vectors[block] @ vectors[taken].T < closeness).all(axis=1)]
    points = vectors[block]  # (B, 3)
    close = points @ points.T >= closeness  # (B, B)
    np.fill_diagonal(close, True)
    mass = posterior[block].astype(np.float64)
    total = mass.copy()
    leads = np.ones(len(block), dtype=bool)
    free = np.ones(len(block), dtype=bool)
    for row in np.flatnonzero(close.sum(axis=1) > 1):  # the others have nobody to join or to be joined by
        leads[row] = free[row]
        if free[row]:
            joined = close[row] & free
            total[row] = mass[joined].sum()
            free &= ~joined
    places = [(int(block[row]), float(total[row])) for row in np.flatnonzero(leads)]
    return sorted(places, key=lambda place: -place[1])  # stable: ties stay in order of the strongest point


def with_duplicates(
    posterior: FloatArray, weights: NDArray[np.float32], top_k: int
) -> list[tuple[int, float]]:
    """The ranking of the published GeoCLIP: each of a point's `weights` (M,) rows is a candidate."""
    single = posterior / weights  # (M,) probability of one row
    ranked: list[tuple[int, float]] = []
    for index in strongest(single, top_k):
        ranked += [(int(index), float(single[index]))] * max(1, round(float(weights[index])))
        if len(ranked) >= top_k:
            break
    return ranked[:top_k]


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
