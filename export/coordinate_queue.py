"""Coordinates for the contrast: GPS noise on the sphere, and the queue of negatives.

GeoCLIP's own loop starts its queue as unit vectors, which as degrees all lie within one degree of the Gulf of
Guinea, and adds no noise; here the queue starts from the gallery.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors

Coordinates = NDArray[np.float64]


def add_noise(coordinates: Coordinates, metres: float, generator: np.random.Generator) -> Coordinates:
    """Moves each point by Gaussian noise, on the sphere, so that poles and the date line are like elsewhere.

    Args:
        coordinates: degrees (N, 2).
        metres: standard deviation along each of two axes at right angles.

    Returns:
        Degrees (N, 2), longitude in [-180, 180].
    """
    if metres == 0:
        return coordinates
    points = unit_vectors(*coordinates.T)  # (N, 3)
    # A 3-D Gaussian without its radial part is a 2-D Gaussian in the tangent plane, at the poles as well.
    step = generator.normal(scale=metres / 1000 / EARTH_RADIUS_KM, size=points.shape)  # (N, 3) radians
    step -= (step * points).sum(axis=1, keepdims=True) * points
    angle = np.sqrt((step * step).sum(axis=1, keepdims=True))  # (N, 1)
    moved = np.cos(angle) * points + np.sinc(angle / np.pi) * step  # (N, 3)
    latitude = np.degrees(np.arctan2(moved[:, 2], np.hypot(moved[:, 0], moved[:, 1])))  # (N,)
    longitude = np.degrees(np.arctan2(moved[:, 1], moved[:, 0]))  # (N,)
    return np.stack((latitude, longitude), axis=1)


class CoordinateQueue:
    """The last Q coordinates, first in, first out.

    Args:
        coordinates: degrees (Q, 2), the oldest first.
    """

    def __init__(self, coordinates: Coordinates) -> None:
        self._ring = coordinates.copy()  # (Q, 2)
        self._oldest = 0

    @classmethod
    def from_gallery(
        cls, gallery: Coordinates, length: int, generator: np.random.Generator
    ) -> CoordinateQueue:
        """A queue of random points of a gallery (M, 2), none twice as long as there are enough."""
        return cls(gallery[generator.choice(len(gallery), length, replace=length > len(gallery))])

    def push(self, coordinates: Coordinates) -> None:
        """Takes in (N, 2) and drops as many of the oldest."""
        size = len(self._ring)
        if size == 0:
            return
        newest = coordinates[-size:]
        self._ring[(self._oldest + np.arange(len(newest))) % size] = newest
        self._oldest = (self._oldest + len(newest)) % size

    @property
    def coordinates(self) -> Coordinates:
        """Degrees (Q, 2), the oldest first."""
        return np.roll(self._ring, -self._oldest, axis=0)
