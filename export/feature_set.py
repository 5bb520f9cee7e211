"""What heads are trained on: the frozen backbone's features of photos, with the photos' positions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import TrainingError

#: Files of a folder of features that were computed elsewhere.
FEATURES_NPY, COORDINATES_NPY = "features.npy", "coordinates.npy"


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


def is_feature_folder(path: Path) -> bool:
    """Whether features lie there, in place of photos."""
    return (path / FEATURES_NPY).is_file()


def load_features(folder: Path) -> FeatureSet:
    """Features that were computed elsewhere: `features.npy` (P, V, c) or (P, c), `coordinates.npy` (P, 2).

    The features are memory-mapped.

    Raises:
        TrainingError: a file is missing or holds something else.
    """
    try:
        features = np.load(folder / FEATURES_NPY, mmap_mode="r", allow_pickle=False)
        coordinates = np.load(folder / COORDINATES_NPY, allow_pickle=False).astype(np.float64)
        if features.ndim == 2:
            features = features[:, None]  # (P, 1, c)
        if features.dtype not in (np.float16, np.float32):
            raise ValueError(f"features of {features.dtype}, float16 or float32 is expected")
        if not (np.abs(coordinates) <= (90.0, 180.0)).all():  # also where one is NaN
            raise ValueError("a position off the globe")
        return FeatureSet(features, coordinates, tuple(f"row {row}" for row in range(len(coordinates))))
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(f"{folder} holds no features that can be trained on: {error}") from error
