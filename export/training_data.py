"""Photos to train on: from a table of positions, or from a folder of photos whose EXIF has them."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geolocate.decoding import DecodeOptions, decode_batches
from geolocate.photos import find_photos
from geolocate.position_table import Problems, read_positions

#: Photos of a folder are decoded to this side for their EXIF: a JPEG then costs an eighth of its scale.
EXIF_SIDE = 8
EXIF_BATCH = 64

NO_POSITION = "no position in EXIF"
NOT_DECODED = "photo cannot be decoded"


@dataclass(frozen=True)
class TrainingPhotos:
    """Photos with their positions.

    Attributes:
        names: P texts that tell the photos apart, for messages.
        paths: P paths of their files.
        coordinates: float64 (P, 2), degrees, latitude first.
        problems: what was left out, counted and named.
    """

    names: tuple[str, ...]
    paths: tuple[str, ...]
    coordinates: NDArray[np.float64]
    problems: Problems = field(default_factory=Problems)

    def __len__(self) -> int:
        return len(self.paths)


def read_training_table(
    table: Path,
    images: Path | None = None,
    image_column: str | None = None,
    latitude_column: str | None = None,
    longitude_column: str | None = None,
) -> TrainingPhotos:
    """The photos of a table (see :func:`read_positions`); what is wrong with a row is a problem, never fatal.

    Args:
        images: folder that the table's names start from; None takes the table's own.

    Raises:
        TableError: the table cannot be read, or lacks a column.
    """
    problems = Problems()
    columns = image_column, latitude_column, longitude_column
    photos = _Collected()
    for row in read_positions(table, images or table.parent, *columns, problems=problems):
        photos.add(row.name, row.path, row.position.latitude, row.position.longitude)
    return photos.done(problems)


def read_training_folder(
    folder: Path, *, workers: int | None = None, say: Callable[[str], None] = lambda message: None
) -> TrainingPhotos:
    """The photos under a folder that have a position in EXIF.

    Args:
        workers: threads that read; None takes one per core.
        say: is told of folders that cannot be read, and of RAW and video files.
    """
    problems = Problems()
    photos = _Collected()
    found = find_photos([os.fspath(folder)], on_warning=say)
    for batch in decode_batches(found, EXIF_SIDE, EXIF_BATCH, DecodeOptions(workers), exif=True):
        for item in batch:
            name = os.path.relpath(item.photo, folder)
            position = item.facts.position if item.facts else None
            if item.error is not None:
                problems.add(NOT_DECODED, f"{name} ({item.error})")
            elif position is None:
                problems.add(NO_POSITION, name)
            else:
                photos.add(name, item.photo, position.latitude, position.longitude)
    return photos.done(problems)


@dataclass(slots=True)
class _Collected:
    names: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    degrees: array[float] = field(default_factory=lambda: array("d"))

    def add(self, name: str, path: str, latitude: float, longitude: float) -> None:
        self.names.append(name)
        self.paths.append(path)
        self.degrees.extend((latitude, longitude))

    def done(self, problems: Problems) -> TrainingPhotos:
        coordinates = np.array(self.degrees, dtype=np.float64).reshape(-1, 2)  # (P, 2)
        return TrainingPhotos(tuple(self.names), tuple(self.paths), coordinates, problems)
