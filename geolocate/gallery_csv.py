"""Galleries from CSV files: coordinates read, checked and deduplicated before anything is embedded.

The commonest mistakes (columns swapped, radians in place of degrees, text) are refused with a hint: a wrong
gallery would give wrong places without an error.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import GalleryError

#: Names of the two columns, in any case, as in GeoCLIP's gallery; the spelled-out names are taken as well.
LATITUDE_NAMES = ("lat", "latitude")
LONGITUDE_NAMES = ("lon", "lng", "longitude")
#: From so many distinct points on, lying all within +-pi of (0, 0) is taken for radians.
RADIANS_MIN_POINTS = 3
#: Of a cell in a message, in characters.
SHOWN_LENGTH = 60

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True, slots=True)
class GalleryPoints:
    """Distinct coordinates with how often each occurred.

    Attributes:
        coordinates: float64 (M, 2), latitude and longitude in degrees, in order of first occurrence.
        weights: float32 (M,), multiplicities.
    """

    coordinates: NDArray[np.float64]
    weights: NDArray[np.float32]


def read_gallery(path: Path) -> GalleryPoints:
    """Reads a CSV with a header that names `LAT` and `LON` (any case, any place, other columns ignored).

    Raises:
        GalleryError: it cannot be read, lacks the columns or any row, or holds text, NaN, coordinates off the
            globe (with a hint where latitude and longitude seem swapped) or what looks like radians.
    """
    values = list(read_points(path))
    if not values:
        raise GalleryError(f"{path} has no coordinates below its header")
    return deduplicate(np.array(values, dtype=np.float64), str(path))


def read_points(path: Path) -> Iterator[tuple[float, float]]:
    """Yields latitude and longitude of each row of such a CSV as it stands: finite, not checked further.

    Raises:
        GalleryError: as :func:`read_gallery`, when the row is reached.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, None)
            if header is None:
                raise GalleryError(f"{path} is empty; a gallery has the columns LAT and LON")
            _refuse_semicolons(header, path)
            names = [name.strip().lower() for name in header]
            latitude_at = _column(names, LATITUDE_NAMES, path)
            longitude_at = _column(names, LONGITUDE_NAMES, path)
            for row in rows:
                if any(cell.strip() for cell in row):
                    yield (
                        _degrees(row, latitude_at, path, rows.line_num),
                        _degrees(row, longitude_at, path, rows.line_num),
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GalleryError(f"{path} cannot be read as a gallery: {error}") from error


def _refuse_semicolons(header: list[str], path: Path) -> None:
    """Spreadsheets of countries with a decimal comma write CSV in this way."""
    names = [name.strip().lower() for name in ";".join(header).split(";")]
    if any(";" in name for name in header) and {*LATITUDE_NAMES} & {*names} and {*LONGITUDE_NAMES} & {*names}:
        raise GalleryError(
            f"{path} is separated by semicolons; a gallery has commas and a decimal point (48.85)"
        )


def _column(names: list[str], accepted: tuple[str, ...], path: Path) -> int:
    found = [index for index, name in enumerate(names) if name in accepted]
    if len(found) != 1:
        what = "no column" if not found else "more than one column"
        raise GalleryError(f"{path} has {what} {accepted[0].upper()}; a gallery has the columns LAT and LON")
    return found[0]


def _degrees(row: list[str], index: int, path: Path, line: int) -> float:
    text = row[index].strip() if index < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        hint = "; write it with a decimal point" if _DECIMAL_COMMA.fullmatch(text) else ""
        raise GalleryError(
            f"{path}, line {line}: {text[:SHOWN_LENGTH]!r} is not a number of degrees{hint}"
        ) from None
    if not math.isfinite(value):
        raise GalleryError(
            f"{path}, line {line}: {text[:SHOWN_LENGTH]!r} is not a finite number; leave the row out"
        )
    return value


def deduplicate(coordinates: NDArray[np.float64], origin: str) -> GalleryPoints:
    """Checks coordinates (R, 2) in degrees and joins those of one point, in order of first occurrence.

    Both longitudes of the antimeridian are one (180), and all of a pole (0).

    Args:
        origin: what the message calls them.

    Raises:
        GalleryError: empty, off the globe, or radians by the look of them.
    """
    if coordinates.ndim != 2 or coordinates.shape[1] != 2 or not len(coordinates):
        raise GalleryError(f"{origin} is no list of latitude and longitude")
    if not np.isfinite(coordinates).all():
        raise GalleryError(f"{origin} holds coordinates that are not finite; leave those rows out")
    refuse_off_globe(coordinates, origin)
    points, first, counts = np.unique(
        _with_one_name(coordinates), axis=0, return_index=True, return_counts=True
    )
    if len(points) >= RADIANS_MIN_POINTS and _looks_like_radians(points):
        raise GalleryError(
            f"all coordinates of {origin} lie within pi of (0, 0): they seem to be radians; "
            "a gallery is in degrees"
        )
    order = np.argsort(first, kind="stable")
    return GalleryPoints(points[order], counts[order].astype(np.float32))


def _with_one_name(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same points, none of which has two names; -0.0 is 0.0."""
    latitude, longitude = coordinates.T + 0.0
    longitude = np.where(longitude == -180.0, 180.0, longitude)
    longitude = np.where(np.abs(latitude) == 90.0, 0.0, longitude)
    return np.stack((latitude, longitude), axis=1)


def refuse_off_globe(coordinates: NDArray[np.float64], origin: str) -> None:
    """Raises GalleryError where coordinates (R, 2) are off the globe; says so if they seem swapped."""
    latitude, longitude = np.abs(coordinates).T  # (R,), (R,)
    wrong = np.flatnonzero((latitude > 90.0) | (longitude > 180.0))
    if not len(wrong):
        return
    row = int(wrong[0])
    message = (
        f"{origin} holds {len(wrong)} coordinates off the globe, the first being latitude "
        f"{coordinates[row, 0]:g}, longitude {coordinates[row, 1]:g}"
    )
    if (latitude <= 180.0).all() and (longitude <= 90.0).all():
        message += "; latitude and longitude seem to be swapped"
    raise GalleryError(message)


def _looks_like_radians(points: NDArray[np.float64]) -> bool:
    """Whether all points lie within pi/2, pi of (0, 0), where there is nothing but sea."""
    latitude, longitude = np.abs(points).T  # (M,), (M,)
    return bool((latitude <= math.pi / 2).all() and (longitude <= math.pi).all())
