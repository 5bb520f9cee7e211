"""Distances between many pairs of positions: on the sphere of the literature, or on the ellipsoid."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geolocate.geodesic import geodesic_km
from geolocate.records import Position

Distance = Literal["great-circle", "geodesic"]

#: Radius of the sphere on which the literature of photo geolocation measures, in km.
SPHERE_RADIUS_KM = 6371.0
#: WGS-84: semi-major axis in km, and flattening.
SEMI_MAJOR_KM = 6378.137
FLATTENING = 1 / 298.257223563
#: Vincenty's iteration ends where the longitude on the sphere changes by less (6 micrometres) ...
_TOLERANCE = 1e-12
#: ... or is given up: nearly antipodal pairs need not converge.
_MOST_STEPS = 15
#: Pairs that are worked on together: their arrays stay in the processor's cache.
_BLOCK = 2**15

Floats = NDArray[np.float64]


def pair_distances_km(first: Floats, second: Floats, distance: Distance = "great-circle") -> Floats:
    """Distances (N,) in km between positions (N, 2) and (N, 2) in degrees, latitude first.

    Longitudes may go round the globe any number of times; NaN in a pair gives NaN.
    """
    measure = great_circles_km if distance == "great-circle" else geodesics_km
    result = np.empty(len(first))
    for start in range(0, len(first), _BLOCK):
        part = slice(start, start + _BLOCK)
        result[part] = measure(first[part], second[part])
    return result


def great_circles_km(first: Floats, second: Floats) -> Floats:
    """On a sphere of SPHERE_RADIUS_KM, by the haversine formula; exact for antipodes as for neighbours."""
    (phi1, lam1), (phi2, lam2) = np.radians(first).T, np.radians(second).T
    half = np.sin((phi2 - phi1) / 2) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin((lam2 - lam1) / 2) ** 2
    result: Floats = 2 * SPHERE_RADIUS_KM * np.arctan2(np.sqrt(half), np.sqrt(np.maximum(1 - half, 0.0)))
    return result


def geodesics_km(first: Floats, second: Floats) -> Floats:
    """On the ellipsoid WGS-84, to a fraction of a millimetre.

    Vincenty's inverse formula (Survey Review 23, 1975) on all pairs at once; the few nearly antipodal ones
    for which it does not converge go to geopy, one by one.
    """
    result, converged = _vincenty_km(first, second)
    for row in np.flatnonzero(~converged):
        result[row] = geodesic_km(
            *(
                Position(float(latitude), float((longitude + 180) % 360 - 180))
                for latitude, longitude in (first[row], second[row])
            )
        )
    return result


def _vincenty_km(first: Floats, second: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Distances (N,), and for which of them the iteration converged; NaN counts as converged."""
    (phi1, lam1), (phi2, lam2) = np.radians(first).T, np.radians(second).T
    difference = np.remainder(lam2 - lam1 + np.pi, 2 * np.pi) - np.pi
    f = FLATTENING
    reduced1, reduced2 = np.arctan((1 - f) * np.tan(phi1)), np.arctan((1 - f) * np.tan(phi2))
    sin1, cos1, sin2, cos2 = np.sin(reduced1), np.cos(reduced1), np.sin(reduced2), np.cos(reduced2)
    lam = difference.copy()
    converged = np.isnan(lam) | np.isnan(phi1 + phi2)
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(_MOST_STEPS):
            cross = np.hypot(cos2 * np.sin(lam), cos1 * sin2 - sin1 * cos2 * np.cos(lam))  # sin(sigma)
            dot = sin1 * sin2 + cos1 * cos2 * np.cos(lam)  # cos(sigma)
            sigma = np.arctan2(cross, dot)
            sin_alpha = np.where(cross > 0, cos1 * cos2 * np.sin(lam) / cross, 0.0)
            cos2_alpha = 1 - sin_alpha**2
            middle = np.where(cos2_alpha > 0, dot - 2 * sin1 * sin2 / cos2_alpha, 0.0)  # cos(2 sigma_m)
            c = f / 16 * cos2_alpha * (4 + f * (4 - 3 * cos2_alpha))
            bend = sigma + c * cross * (middle + c * dot * (2 * middle**2 - 1))
            updated = difference + (1 - c) * f * sin_alpha * bend
            converged |= (np.abs(updated - lam) < _TOLERANCE) & (np.abs(updated) <= np.pi)
            lam = updated
            if converged.all():
                break
        u2 = cos2_alpha * (1 / (1 - f) ** 2 - 1)
        a = 1 + u2 / 16384 * (4096 + u2 * (-768 + u2 * (320 - 175 * u2)))
        b = u2 / 1024 * (256 + u2 * (-128 + u2 * (74 - 47 * u2)))
        third = b / 6 * middle * (4 * cross**2 - 3) * (4 * middle**2 - 3)
        correction = b * cross * (middle + b / 4 * (dot * (2 * middle**2 - 1) - third))
    return SEMI_MAJOR_KM * (1 - f) * a * (sigma - correction), converged
