"""Concept scores of photos by how well they were placed (table 3 of arXiv 2509.01910)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Error intervals in km, the upper bound excluded.
INTERVALS_KM = ((0.0, 25.0), (25.0, 200.0), (200.0, 750.0), (750.0, float("inf")))
#: The paper keeps the 20 strongest concepts of a photo.
STRONGEST = 20


@dataclass(frozen=True, slots=True)
class ConceptInterval:
    """The photos whose errors lie in one interval.

    Attributes:
        low_km, high_km: the interval, its upper bound excluded.
        median: over the n photos, of :func:`photo_score`; NaN where there are none.
    """

    low_km: float
    high_km: float
    n: int
    median: float


def photo_score(scores: NDArray[np.float32]) -> float:
    """One number of a photo's concept scores (K,): the mean of the STRONGEST.

    The paper does not say how it makes one number of them; this is our reading.
    """
    return float(np.sort(scores)[-STRONGEST:].mean())


def by_error(photo_scores: NDArray[np.float64], errors_km: NDArray[np.float64]) -> list[ConceptInterval]:
    """Median scores of photos (N,), NaN where one has none, by their errors (N,)."""
    intervals = []
    for low, high in INTERVALS_KM:
        inside = (errors_km >= low) & (errors_km < high) & np.isfinite(photo_scores)
        median = float(np.median(photo_scores[inside])) if inside.any() else float("nan")
        intervals.append(ConceptInterval(low, high, int(inside.sum()), median))
    return intervals
