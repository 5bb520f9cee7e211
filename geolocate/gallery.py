"""The gallery: the coordinates that photos are placed on, with their embeddings, weights and places."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

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
from geolocate.places import PlaceIndex
from geolocate.ranking import (
    FloatArray,
    Neighbours,
    Ranked,
    Ranking,
    merged,
    points,
    published,
    weighted_quantile,
)
from geolocate.sphere import EARTH_RADIUS_KM, great_circle_km, unit_vectors

#: Share of the posterior that the credible radius holds.
CREDIBLE_MASS = 0.5
#: No two points are farther apart: half of a great circle.
FARTHEST_KM = float(np.pi * EARTH_RADIUS_KM)
#: What the squared length of an embedding may lack to 1: float16 rounds it by less than a thousandth.
LENGTH_TOLERANCE = 0.01
#: Rows that are looked at together: a few megabytes of float32.
_CHECKED_ROWS = 4096


def are_unit_vectors(embeddings: FloatArray) -> bool:
    """Whether all rows (M, d) have the length 1; a single NaN would fail every photo."""
    for start in range(0, len(embeddings), _CHECKED_ROWS):
        block = np.asarray(embeddings[start : start + _CHECKED_ROWS], dtype=np.float32)
        squares = np.einsum("ij,ij->i", block, block)  # (rows,)
        if not np.all(np.abs(squares - 1.0) <= LENGTH_TOLERANCE):  # False for NaN too
            return False
    return True


@dataclass(frozen=True)
class Gallery:
    """Coordinates with their embeddings.

    Attributes:
        coordinates: float64 (M, 2), degrees, deduplicated.
        weights: float32 (M,), how many photos stand at a point; their logarithm is added to the logit.
        embeddings: float32 (M, d), L2-normalised.
        places: int64 (M,) GeoNames id of the nearest place, or None.
        cut_from: the gallery that these points are a part of, or None; it says how fine they are.
    """

    coordinates: NDArray[np.float64]
    weights: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    places: NDArray[np.int64] | None = None
    cut_from: Gallery | None = None

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

    @property
    def sha256(self) -> str:
        """Of the points and their weights, hex: galleries with the same one place photos alike."""
        digest = hashlib.sha256(np.ascontiguousarray(self.coordinates).tobytes())
        digest.update(np.ascontiguousarray(self.weights).tobytes())
        return digest.hexdigest()

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
            if not are_unit_vectors(embeddings):
                raise GalleryError(f"{GALLERY_EMBEDDINGS} has rows that are no unit vectors")
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
        """Unit vectors (M, 3), by columns in memory: distances to all of them take a fifth of the time."""
        return np.asfortranarray(unit_vectors(*self.coordinates.T))

    @cached_property
    def neighbours(self) -> Neighbours:
        """Which points stand within the merge radius of others."""
        return Neighbours.of(self.vectors)

    @cached_property
    def countries(self) -> NDArray[np.int64]:
        """Rows (M,) of the points' countries in :attr:`PlaceIndex.country_codes`, -1 for none."""
        return PlaceIndex.load().country_rows(*self.coordinates.T, places=self.places)

    @cached_property
    def log_weights(self) -> NDArray[np.float32]:
        """What the weights add to the logits, (M,)."""
        logs: NDArray[np.float32] = np.log(self.weights)
        return logs

    def subset(self, kept: NDArray[np.bool_]) -> Gallery:
        """The points that are `kept` (M,): the same posterior as if the logits of the others were -inf."""
        return Gallery(
            self.coordinates[kept],
            self.weights[kept],
            np.asarray(self.embeddings[kept]),
            None if self.places is None else self.places[kept],
            cut_from=self.cut_from or self,
        )

    def rows(self) -> int:
        """How many rows the gallery has with its duplicates kept: the sum of the (whole) weights."""
        return int(np.maximum(1, np.rint(self.weights)).sum())

    def rank(self, posterior: FloatArray, top_k: int, ranking: Ranking) -> Ranked:
        """The best `top_k` (gallery index, probability).

        Args:
            posterior: (M,), each point's share with its weight counted.
            ranking: see the functions of these names in :mod:`geolocate.ranking`.
        """
        if ranking == "merged":
            return merged(posterior, self.neighbours, top_k)
        if ranking == "points":
            return points(posterior, top_k)
        return published(posterior, self.weights, top_k)

    def credible_radius_km(self, index: int, posterior: FloatArray, mass: float = CREDIBLE_MASS) -> float:
        """Radius of the circle round gallery point `index` that holds `mass` of the posterior (M,).

        Never less than half the distance to the next gallery point: a gallery says nothing finer than that. A
        gallery of one point says nothing at all: the circle is the globe.
        """
        distances = great_circle_km(self.vectors, self.vectors[index])  # (M,)
        if len(self) == 1:
            return self.resolution_km(index, distances)
        return max(weighted_quantile(distances, posterior, mass), self.resolution_km(index, distances))

    def resolution_km(self, index: int, distances: NDArray[np.float64]) -> float:
        """Half the distance from gallery point `index` to the next one, of all that the gallery was cut from.

        The circle is the globe where there is no other point.

        Args:
            distances: (M,) from that point to those of this gallery.
        """
        if self.cut_from is not None:
            distances = great_circle_km(self.cut_from.vectors, self.vectors[index])
            index = int(distances.argmin())
        if len(distances) == 1:
            return FARTHEST_KM
        nearest_other = min(distances[:index].min(initial=np.inf), distances[index + 1 :].min(initial=np.inf))
        return float(nearest_other) / 2.0
