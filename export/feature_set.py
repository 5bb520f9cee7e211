"""What heads are trained on: the frozen backbone's features of photos, with the photos' positions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import TrainingError
from geolocate.position_table import Problems

#: Files of a folder of features that were computed elsewhere.
FEATURES_NPY, COORDINATES_NPY = "features.npy", "coordinates.npy"
SAME_FEATURES = "same features as an earlier row"
#: Rows that are read at once.
CHUNK = 4096


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


def load_features(folder: Path, problems: Problems) -> FeatureSet:
    """Features that were computed elsewhere: `features.npy` (P, V, c) or (P, c), `coordinates.npy` (P, 2).

    A photo that comes again, by the features of its first view, could stand on both sides of a split: it is
    left out and told to `problems`.

    Returns:
        Memory-mapped features, or, where rows were left out, a copy in memory.

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
        data = FeatureSet(features, coordinates, tuple(f"row {row}" for row in range(len(coordinates))))
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(f"{folder} holds no features that can be trained on: {error}") from error
    again = _doubles(data.features[:, 0])  # (P,)
    for row in np.flatnonzero(again):
        problems.add(SAME_FEATURES, data.names[row])
    return data.subset(np.flatnonzero(~again)) if again.any() else data


def _doubles(features: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which rows of (P, c) equal an earlier one bit for bit: bool (P,)."""
    bits = np.uint16 if features.dtype == np.float16 else np.uint32
    # A sum with random odd factors, modulo 2^64, tells rows apart; those that share one are compared.
    factors = (
        np.random.default_rng(0).integers(2**63, size=features.shape[1], dtype=np.uint64) * 2 + 1
    )  # (c,)
    keys = np.empty(len(features), np.uint64)  # (P,)
    for start in range(0, len(features), CHUNK):
        part = np.ascontiguousarray(features[start : start + CHUNK]).view(bits)  # (C, c)
        keys[start : start + CHUNK] = part.astype(np.uint64) @ factors
    _, first, key_of = np.unique(keys, return_index=True, return_inverse=True)
    earlier = first[key_of.reshape(-1)]  # (P,)
    later = np.flatnonzero(earlier != np.arange(len(keys)))  # (D,)
    again = np.zeros(len(keys), np.bool_)
    for start in range(0, len(later), CHUNK):
        rows = later[start : start + CHUNK]
        ours, theirs = (np.ascontiguousarray(features[at]).view(bits) for at in (rows, earlier[rows]))
        again[rows] = (ours == theirs).all(axis=1)
    return again
