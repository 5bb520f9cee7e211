"""The Equal Earth projection, as GeoCLIP scales it: what the location encoder takes in place of degrees.

Šavrič, Patterson, Jenny: The Equal Earth map projection (2018), https://doi.org/10.1080/13658816.2018.1504949;
the scale is that of GeoCLIP (arXiv 2309.16020). Computed in float64: the location encoder's highest
frequencies turn the float32 rounding of degrees into visible differences of the embedding.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

#: Coefficients of the projection's polynomial.
A1, A2, A3, A4 = 1.340264, -0.081106, 0.000893, 0.003796
#: GeoCLIP multiplies both axes with this, so that they lie in about [-1, 1] and [-0.5, 0.5].
SCALE = 66.50336 / 180.0


def project(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Latitude and longitude in degrees (M, 2) to Equal Earth x and y (M, 2), float64.

    Raises:
        ValueError: not an array of two columns.
    """
    degrees = np.asarray(coordinates, dtype=np.float64)
    if degrees.ndim != 2 or degrees.shape[1] != 2:
        raise ValueError(f"coordinates have the shape {degrees.shape}, expected (M, 2)")
    latitude, longitude = np.radians(degrees).T  # (M,), (M,)
    theta = np.arcsin(math.sqrt(3.0) / 2.0 * np.sin(latitude))  # (M,)
    slope = 9 * A4 * theta**8 + 7 * A3 * theta**6 + 3 * A2 * theta**2 + A1  # (M,) dy/dtheta
    x = 2.0 * math.sqrt(3.0) * longitude * np.cos(theta) / (3.0 * slope)  # (M,)
    y = A4 * theta**9 + A3 * theta**7 + A2 * theta**3 + A1 * theta  # (M,)
    return np.stack((x, y), axis=1) * SCALE  # (M, 2)
