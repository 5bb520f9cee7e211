"""The two groups of ``explain --contrast``: countries of the gallery, or folders of photos."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from geolocate.cli.progress import Progress
from geolocate.concepts import ConceptBank
from geolocate.errors import UsageError
from geolocate.gallery import Gallery
from geolocate.geolocator import Geolocator
from geolocate.places import PlaceIndex
from geolocate.text_safety import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: How a country is named on the command line.
COUNTRY_CODE = re.compile(r"[A-Za-z]{2}")


def country(argument: str) -> str | None:
    """The country code that an argument is; None for a path.

    Raises:
        UsageError: it looks like a code, and there is no such country and no such path.
    """
    if not COUNTRY_CODE.fullmatch(argument):
        return None
    code = argument.upper()
    if code not in PlaceIndex.load().country_codes:
        raise UsageError(f"there is no country {code}; a folder of that name is ./{argument}")
    return code


def country_name(code: str) -> str:
    """Of a code that :func:`country` gave."""
    index = PlaceIndex.load()
    return index.country_names[index.country_codes.index(code)]


def points_of(code: str, gallery: Gallery) -> NDArray[np.intp]:
    """Rows of the gallery's points in a country.

    Raises:
        UsageError: there is none.
    """
    rows = np.flatnonzero(gallery.countries == PlaceIndex.load().country_codes.index(code))
    if not len(rows):
        raise UsageError(f"the model's gallery has no point in {country_name(code)}")
    return rows


def cells(coordinates: NDArray[np.float64]) -> NDArray[np.int64]:
    """The one-degree cell (N,) of each of the coordinates (N, 2)."""
    latitude, longitude = np.floor(coordinates).astype(np.int64).T
    cells: NDArray[np.int64] = latitude * 1000 + longitude
    return cells


def photo_scores(
    geolocator: Geolocator, bank: ConceptBank, path: str, shown: Progress
) -> NDArray[np.float32]:
    """Concept scores (N, K) of the photos of a folder; those that fail are named and left out.

    Raises:
        UsageError: none can be read.
    """
    scores = []
    for image in geolocator.encode_images([path]):
        if image.error is not None:
            shown.note(f"geolocate: {image.photo}: {image.error}")
        else:
            scores.append(bank.image_scores(image))
        shown.advance(failed=image.error is not None)
    if not scores:
        raise UsageError(f"{printable(path)} has no photo that can be read")
    return np.stack(scores)
