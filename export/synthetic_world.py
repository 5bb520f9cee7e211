"""A world with known truth, to test training on: features that a hidden location encoder and noise make.

The hidden encoder shares neither seed nor shape nor projection with the models that are tested: it sees
points of the sphere in three dimensions, and its waves are some hundred kilometres long. Held-out samples
stand near the training samples but never at their places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors
from geolocate_export.feature_set import FeatureSet

#: Corners of the world: south, west, north, east, in degrees. Small enough to be covered densely, large
#: enough that a random guess is rarely within 200 km.
BOUNDS = (-30.0, -40.0, 35.0, 40.0)


@dataclass(frozen=True)
class SyntheticWorld:
    """Samples and where they can be placed.

    Attributes:
        train, held_out: samples at different places.
        gallery: degrees (M, 2), places of neither.
    """

    train: FeatureSet
    held_out: FeatureSet
    gallery: NDArray[np.float64]


class HiddenEncoder:
    """Coordinates to features: random waves on the sphere, mixed by two random layers.

    Args:
        feature_dim: c.
        seed: of its weights.
        wavelength_km: the shortest wave; the longest is four times as long.
        waves: how many.
    """

    def __init__(self, feature_dim: int, seed: int, wavelength_km: float = 2500.0, waves: int = 96) -> None:
        generator = np.random.default_rng((seed, 1))
        lengths = wavelength_km * 4 ** generator.uniform(0, 1, size=(waves, 1))  # (W, 1) km
        directions = generator.normal(size=(waves, 3))  # (W, 3)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self._waves = directions * (2 * np.pi * EARTH_RADIUS_KM / lengths)  # (W, 3)
        self._phases = generator.uniform(0, 2 * np.pi, size=waves)  # (W,)
        self._first = generator.normal(size=(waves, 2 * feature_dim)) * np.sqrt(2 / waves)  # (W, 2c)
        self._second = generator.normal(size=(2 * feature_dim, feature_dim)) / np.sqrt(2 * feature_dim)

    def __call__(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Degrees (P, 2) to features (P, c), about 1 in each component."""
        points = unit_vectors(*coordinates.T)  # (P, 3)
        waves = np.cos(points @ self._waves.T + self._phases)  # (P, W)
        features: NDArray[np.float64] = np.tanh(waves @ self._first) @ self._second  # (P, c)
        return features


def make_world(
    *,
    seed: int,
    train_places: int = 4000,
    held_out_places: int = 300,
    gallery_points: int = 4000,
    feature_dim: int = 48,
    noise: float = 0.1,
    views: int = 1,
    bounds: tuple[float, float, float, float] = BOUNDS,
) -> SyntheticWorld:
    """Draws a world.

    Args:
        noise: standard deviation of what is added to each component of a feature, anew in each view.

    Returns:
        The same world for the same arguments.
    """
    generator = np.random.default_rng((seed, 2))
    encoder = HiddenEncoder(feature_dim, seed)

    def sample(count: int) -> FeatureSet:
        places = uniform_places(count, bounds, generator)  # (P, 2)
        exact = encoder(places)[:, None, :]  # (P, 1, c)
        noisy = exact + generator.normal(scale=noise, size=(count, views, feature_dim))  # (P, V, c)
        return FeatureSet(noisy.astype(np.float32), places, tuple(f"sample {row}" for row in range(count)))

    return SyntheticWorld(
        sample(train_places), sample(held_out_places), uniform_places(gallery_points, bounds, generator)
    )


def uniform_places(
    count: int, bounds: tuple[float, float, float, float], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Degrees (P, 2), uniform by area between south, west, north and east."""
    south, west, north, east = bounds
    heights = generator.uniform(np.sin(np.radians(south)), np.sin(np.radians(north)), size=count)
    return np.stack((np.degrees(np.arcsin(heights)), generator.uniform(west, east, size=count)), axis=1)
