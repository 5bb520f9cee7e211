"""One photo after the image encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geolocate.exif import ExifFacts


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """One photo, or one row of features, after the image encoder.

    Attributes:
        photo: the path as reached from the argument, of a row `NAME#row`.
        embedding: float32 (d,), L2-normalised; None where there is an error.
        concept_scores: float32 (K,), L2-normalised, of bundles with a trained concept module; else None.
        facts: what EXIF says, where it was asked for.
        notes: tokens about the input.
        error: why the photo failed, or None.
    """

    photo: str
    embedding: NDArray[np.float32] | None = None
    concept_scores: NDArray[np.float32] | None = None
    facts: ExifFacts | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None
