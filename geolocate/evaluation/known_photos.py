"""Encoded photos of known position: from a table, from their EXIF, or as rows of features."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from geolocate.encoding import EncodedImage
from geolocate.evaluation.scored_table import read_feature_places
from geolocate.geolocator import Geolocator
from geolocate.position_table import LabelledPhoto, Problems

#: Each with its true latitude and longitude.
KnownPhotos = Iterator[tuple[EncodedImage, tuple[float, float]]]


def of_table(
    geolocator: Geolocator, rows: Iterable[LabelledPhoto], *, ten_crops: bool = False
) -> KnownPhotos:
    """Yields the photos of :func:`geolocate.position_table.read_positions`, those that fail included."""
    positions: deque[tuple[float, float]] = deque()

    def paths() -> Iterator[str]:
        for row in rows:
            positions.append((row.position.latitude, row.position.longitude))
            yield row.path

    # Paths that are given one by one come back one by one.
    for image in geolocator.encode_images(paths(), ten_crops=ten_crops):
        yield image, positions.popleft()


def of_exif(
    geolocator: Geolocator, paths: Iterable[str], problems: Problems, *, ten_crops: bool = False
) -> KnownPhotos:
    """Yields the photos with a position in their EXIF; `problems` is told of the others."""
    for image in geolocator.encode_images(paths, exif=True, ten_crops=ten_crops):
        position = image.facts.position if image.facts else None
        if position is not None and (position.latitude, position.longitude) != (0.0, 0.0):
            yield image, (position.latitude, position.longitude)
        elif position is not None:
            problems.add("position 0, 0 in EXIF", image.photo)
        else:
            problems.add("no position in EXIF" if image.error is None else "cannot be read", image.photo)


def of_features(
    geolocator: Geolocator,
    features: NDArray[Any],
    places: Path,
    remarks: list[str],
    *,
    name: str = "features",
    true_columns: tuple[str, str] | None = None,
) -> KnownPhotos:
    """The rows of the backbone's raw features (N, c) that a table of places names.

    Raises:
        TableError: see :func:`geolocate.evaluation.scored_table.read_feature_places`.
        UsageError, BundlePartMissing: see :meth:`geolocate.geolocator.Geolocator.encode_features`.
    """
    rows, truth, told = read_feature_places(places, len(features), true_columns=true_columns)
    remarks += told
    encoded = geolocator.encode_features(features[rows], name=name)
    return zip(encoded, ((float(a), float(b)) for a, b in truth), strict=True)
