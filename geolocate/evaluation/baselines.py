"""What needs no photo at all: the same guess for every one, and a guess drawn from the gallery."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geolocate.evaluation.distances import Distance, pair_distances_km
from geolocate.evaluation.metrics import SEED
from geolocate.sphere import unit_vectors

Floats = NDArray[np.float64]

#: Weiszfeld's iteration ends where the guess moves by less (6 m), or after so many steps.
_TOLERANCE = 1e-6
_MOST_STEPS = 200
#: Random guesses in all, at least one a photo: the accuracies vary by less than 0.1 %.
RANDOM_GUESSES = 500_000


def geometric_median(coordinates: Floats, weights: NDArray[np.floating]) -> tuple[float, float]:
    """The point of the sphere with the least weighted sum of great-circle distances to coordinates (M, 2).

    In degrees, latitude first. Weiszfeld's iteration in the tangent plane of the current point (Fletcher,
    Venkatasubramanian, Joshi: The geometric median on Riemannian manifolds, 2009), from the mean direction.
    """
    vectors = unit_vectors(*coordinates.T)  # (M, 3)
    shares = np.asarray(weights, np.float64) / float(np.sum(weights, dtype=np.float64))
    mean = shares @ vectors  # (3,)
    length = float(np.linalg.norm(mean))
    # Where all directions cancel each other out, any point is as good a start as another.
    point = mean / length if length > _TOLERANCE else vectors[int(np.argmax(shares))]
    for _ in range(_MOST_STEPS):
        cosines = np.clip(vectors @ point, -1.0, 1.0)  # (M,)
        angles = np.arccos(cosines)
        sines = np.sin(angles)
        away = sines > _TOLERANCE  # the point itself and its antipode have no direction
        per_sine = shares[away] / sines[away]  # unit tangents are (v - cos * p) / sin
        pull = per_sine @ vectors[away] - (per_sine @ cosines[away]) * point  # (3,)
        strength = float(np.linalg.norm(pull))
        held = float(
            shares[~away & (cosines > 0)].sum()
        )  # what stands here holds it back (Vardi, Zhang 2000)
        if strength <= held or not away.any():
            break
        step = pull * (1 - held / strength) / float((shares[away] / angles[away]).sum())
        size = float(np.linalg.norm(step))
        if size < _TOLERANCE:
            break
        point = np.cos(size) * point + np.sin(size) * step / size
        point /= np.linalg.norm(point)
    latitude = np.degrees(np.arcsin(np.clip(point[2], -1.0, 1.0)))
    return float(latitude), float(np.degrees(np.arctan2(point[1], point[0])))


def constant_errors_km(truth: Floats, guess: tuple[float, float], distance: Distance) -> Floats:
    """Errors (N,) of one guess for all true positions (N, 2)."""
    return pair_distances_km(truth, np.tile(np.array(guess, np.float64), (len(truth), 1)), distance)


def random_errors_km(
    truth: Floats, coordinates: Floats, weights: NDArray[np.floating], distance: Distance
) -> Floats:
    """Errors (N * R,) of gallery points drawn by their weight, R for each of the true positions (N, 2)."""
    rng = np.random.default_rng(SEED)
    repeats = max(1, RANDOM_GUESSES // len(truth))
    shares = np.asarray(weights, np.float64)
    drawn = rng.choice(len(coordinates), size=len(truth) * repeats, p=shares / shares.sum())
    return pair_distances_km(np.repeat(truth, repeats, axis=0), coordinates[drawn], distance)
