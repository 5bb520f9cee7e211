"""A photo's posterior over the gallery and over points outside it, such as where the user's own photos stand.

The gallery is fixed for a run; what else is known of one photo brings its own positions. Each has a share of
the posterior and a spread: it stands for a Gaussian on the ground and not for a pin, so that the credible
radius never says more than the source of the point does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geolocate.gallery import CREDIBLE_MASS, FARTHEST_KM, Gallery
from geolocate.ranking import FloatArray, Ranked, Ranking, merged, points, published, weighted_quantile
from geolocate.records import Position
from geolocate.sphere import great_circle_km, unit_vectors

#: A Gaussian on the ground as this many rings of equal probability, seen from so many directions.
_RINGS = 64
_DIRECTIONS = 8
#: Distances of the rings in units of the spread: the outer edge of each share of a Rayleigh distribution, so
#: that circles come out rather too large than too small; the last share has no edge.
_RING_RADII = np.sqrt(-2.0 * np.log1p(-np.minimum(np.arange(1.0, _RINGS + 1.0), _RINGS - 0.5) / _RINGS))
_COSINES = np.cos((np.arange(_DIRECTIONS) + 0.5) * np.pi / _DIRECTIONS)


@dataclass(frozen=True, slots=True)
class ExtraPoints:
    """Positions of one photo that are not in the gallery.

    Attributes:
        coordinates: float64 (E, 2), degrees.
        shares: float64 (E,), how much of the posterior each has.
        spreads_km: float64 (E,), standard deviation of each along either axis of the ground.
    """

    coordinates: NDArray[np.float64]
    shares: NDArray[np.float64]
    spreads_km: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.coordinates)

    def scaled(self, factor: float) -> ExtraPoints:
        """The same points with `factor` times their shares."""
        return replace(self, shares=self.shares * factor)

    def with_points(self, others: ExtraPoints) -> ExtraPoints:
        """These and others."""
        return ExtraPoints(
            np.concatenate((self.coordinates, others.coordinates)),
            np.concatenate((self.shares, others.shares)),
            np.concatenate((self.spreads_km, others.spreads_km)),
        )


NO_POINTS = ExtraPoints(np.empty((0, 2)), np.empty(0), np.empty(0))


@dataclass(frozen=True)
class Posterior:
    """Where one photo may have been taken; the shares of gallery and extra points sum to 1.

    Points are counted through: 0 to M-1 are the gallery's, from M on the extra ones.

    Attributes:
        gallery: M points.
        shares: (M,).
        extra: E points; they count as one photo each where the ranking asks for weights.
    """

    gallery: Gallery
    shares: FloatArray
    extra: ExtraPoints = NO_POINTS

    def mixed(self, others: ExtraPoints, weight: float) -> Posterior:
        """The mixture with points whose shares sum to 1, which get `weight` of it together, 0 to 1."""
        kept = self.extra.scaled(1.0 - weight)
        return replace(
            self, shares=self.shares * (1.0 - weight), extra=kept.with_points(others.scaled(weight))
        )

    def is_finite(self) -> bool:
        """Whether every share is a number."""
        return bool(np.isfinite(self.shares).all() and np.isfinite(self.extra.shares).all())

    def position(self, index: int) -> Position:
        """Of one point."""
        beyond = index - len(self.gallery)
        return Position(
            *map(float, self.gallery.coordinates[index] if beyond < 0 else self.extra.coordinates[beyond])
        )

    def rank(self, top_k: int, ranking: Ranking) -> Ranked:
        """The best `top_k` (point, probability), as :meth:`Gallery.rank`."""
        if not len(self.extra):
            return self.gallery.rank(self.shares, top_k, ranking)
        everything = np.concatenate((self.shares, self.extra.shares))  # (M + E,)
        if ranking == "merged":
            ranked = merged(everything, self.gallery.neighbours.extended(self._extra_vectors), top_k)
        elif ranking == "points":
            ranked = points(everything, top_k)
        else:
            weights = np.concatenate((self.gallery.weights, np.ones(len(self.extra), np.float32)))
            ranked = published(everything, weights, top_k)
        # Extra points may have all of the posterior, and the rest of the world is no candidate then.
        return [(index, share) for index, share in ranked if share > 0] or ranked[:1]

    def best(self, ranking: Ranking) -> int:
        """The point that leads the ranking."""
        ((index, _),) = self.rank(1, ranking)
        return index

    def credible_radius_km(self, index: int, mass: float = CREDIBLE_MASS) -> float:
        """Radius of the circle round point `index` that holds `mass` of the posterior.

        Round a point of the gallery never less than half the distance to the next one, as
        :meth:`Gallery.credible_radius_km`; the spread of the extra points counts.
        """
        if not len(self.extra):
            return self.gallery.credible_radius_km(index, self.shares, mass)
        beyond = index - len(self.gallery)
        vectors = self.gallery.vectors
        centre = vectors[index] if beyond < 0 else self._extra_vectors[beyond]
        distances = great_circle_km(vectors, centre)  # (M,)
        away = great_circle_km(self._extra_vectors, centre)  # (E,)
        rings = self.extra.spreads_km[:, None] * _RING_RADII  # (E, R)
        spread = np.sqrt(
            np.maximum(
                away[:, None, None] ** 2
                + rings[:, :, None] ** 2
                - 2.0 * away[:, None, None] * rings[:, :, None] * _COSINES,
                0.0,
            )
        )  # (E, R, D): the plane is good enough where the Gaussian is small against the Earth
        each = np.repeat(self.extra.shares / (_RINGS * _DIRECTIONS), _RINGS * _DIRECTIONS)
        radius = weighted_quantile(
            np.concatenate((distances, np.minimum(spread, FARTHEST_KM).ravel())),
            np.concatenate((self.shares, each)),
            mass,
        )
        if beyond >= 0:
            return radius
        return max(radius, self.gallery.resolution_km(index, distances))

    @cached_property
    def _extra_vectors(self) -> NDArray[np.float64]:
        """Unit vectors (E, 3) of the extra points."""
        return unit_vectors(*self.extra.coordinates.T)
