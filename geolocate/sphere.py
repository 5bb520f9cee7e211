"""Points and distances on the sphere, in float64: great circles, where the ellipsoid would not matter."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Mean radius R1 of WGS-84 (IUGG), in kilometres.
EARTH_RADIUS_KM = 6371.0088

Floats = NDArray[np.float64]


def unit_vectors(latitudes: ArrayLike, longitudes: ArrayLike) -> Floats:
    """Degrees (N,), (N,) -> points of the unit sphere (N, 3).

    Raises:
        ValueError: NaN, or outside [-90, 90] and [-180, 180], or of different lengths.
    """
    latitude = np.atleast_1d(np.asarray(latitudes, np.float64))
    longitude = np.atleast_1d(np.asarray(longitudes, np.float64))
    if latitude.shape != longitude.shape or latitude.ndim != 1:
        raise ValueError(f"latitudes {latitude.shape} and longitudes {longitude.shape} are not of one length")
    # Written so that NaN fails too.
    if not (np.all(np.abs(latitude) <= 90) and np.all(np.abs(longitude) <= 180)):
        raise ValueError(
            "a position lies outside latitude -90 to 90, longitude -180 to 180, or is not a number"
        )
    phi, lam = np.radians(latitude), np.radians(longitude)
    ring = np.cos(phi)
    return np.stack([ring * np.cos(lam), ring * np.sin(lam), np.sin(phi)], axis=1)


def chord_to_km(chords: Floats) -> Floats:
    """Chords of the unit sphere -> great-circle distances in kilometres."""
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chords / 2, 1.0))


def great_circle_km(vectors: Floats, vector: Floats) -> Floats:
    """Great-circle distances in km from unit vectors (M, 3) to one unit vector (3,); good to 0.2 m."""
    cosines = np.einsum("ij,j->i", vectors, vector)  # no BLAS: its threads cost more than they bring here
    return chord_to_km(np.sqrt(np.maximum(2.0 - 2.0 * cosines, 0.0)))
