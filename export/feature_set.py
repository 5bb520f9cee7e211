"""What heads are trained on: the frozen backbone's features of photos, with the photos' positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FeatureSet:
    """Features of P photos in V views each.

    Attributes:
        features: float16 or float32 (P, V, c), raw: norms as the backbone gave them; may be memory-mapped.
            View 0 is the photo as inference sees it, the others are augmented.
        coordinates: float64 (P, 2), degrees, latitude first.
        names: P texts that tell the photos apart, for messages.
    """

    features: NDArray[np.floating[Any]]
    coordinates: NDArray[np.float64]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where the parts do not belong together."""
        count = len(self.coordinates)
        if self.features.ndim != 3 or len(self.features) != count or self.features.shape[1] < 1:
            raise ValueError(f"features {self.features.shape} are not (P, V, c) for {count} photos")
        if self.coordinates.shape != (count, 2) or len(self.names) != count:
            raise ValueError(f"{count} photos need coordinates ({count}, 2) and as many names")

    def __len__(self) -> int:
        return len(self.coordinates)

    def subset(self, rows: NDArray[np.intp]) -> FeatureSet:
        """The photos of those rows, in that order; copies their features into memory."""
        return FeatureSet(self.features[rows], self.coordinates[rows], tuple(self.names[row] for row in rows))
