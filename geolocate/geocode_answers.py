"""What geocoding services answer, read as places.

The answers come from strangers: nothing in them is trusted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from geolocate.records import Place, Position

#: Longer than any place name; an answer is cut there.
NAME_MAX_CHARACTERS = 200

#: Keys by falling preference: OpenStreetMap's as Nominatim, PickPoint and OpenCage give them, then those of
#: Photon and Pelias, HERE and TomTom, GeoNames.
_PLACE_KEYS = (
    "city",
    "town",
    "village",
    "municipality",
    "hamlet",
    "locality",
    "suburb",
    "district",
    "county",
    "toponymName",
)
_REGION_KEYS = (
    "state",
    "province",
    "region",
    "state_district",
    "countrySubdivision",
    "adminName1",
    "county",
)
_COUNTRY_KEYS = ("country", "countryName")
_COUNTRY_CODE_KEYS = ("country_code", "countrycode", "countryCode")
#: Where in a raw answer the address stands: Nominatim, HERE and TomTom; Photon and Pelias; OpenCage.
_ADDRESS_KEYS = ("address", "properties", "components")
#: Photon names the found object itself `name`; for these kinds that is the name of the place.
_PLACE_TYPES = frozenset({"city", "town", "village", "locality", "district", "hamlet"})


def place_from_answer(raw: object, address: object, latitude: float, longitude: float) -> Place | None:
    """A geopy location as a place, or None where it holds no usable text.

    Args:
        raw: the service's own answer (`Location.raw`); OpenStreetMap-like keys are understood.
        address: its one-line address (`Location.address`); the name, where `raw` is not understood.
        latitude, longitude: of the answer, degrees.
    """
    position = _position(latitude, longitude)
    if position is None:
        return None
    if isinstance(raw, Mapping):
        # GeoNames has its fields in the answer itself.
        for fields in (*map(raw.get, _ADDRESS_KEYS), raw):
            place = _place_from_fields(fields, position) if isinstance(fields, Mapping) else None
            if place is not None:
                return place
    name = _text(address)
    return Place(name, "", "", "", position) if name else None


def _place_from_fields(fields: Mapping[str, Any], position: Position) -> Place | None:
    name = _first(fields, _PLACE_KEYS)
    if _text(fields.get("type")) in _PLACE_TYPES:
        name = _text(fields.get("name")) or name
    region, country = _first(fields, _REGION_KEYS), _first(fields, _COUNTRY_KEYS)
    code = _first(fields, _COUNTRY_CODE_KEYS).upper()
    if not (len(code) == 2 and code.isascii() and code.isalpha()):
        code = ""
    if not (name or region or country):
        return None
    return Place(name or region or country, region, country, code, position)


def _first(fields: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((text for text in map(_text, map(fields.get, keys)) if text), "")


def _text(value: object) -> str:
    """Printable text of an answer, on one line; empty where it is none."""
    if not isinstance(value, str):
        return ""
    cut = value[:NAME_MAX_CHARACTERS]
    return " ".join("".join(c if c.isprintable() else " " for c in cut).split())


def _position(latitude: object, longitude: object) -> Position | None:
    if not isinstance(latitude, int | float) or not isinstance(longitude, int | float):
        return None
    if math.isfinite(latitude) and math.isfinite(longitude) and abs(latitude) <= 90 and abs(longitude) <= 180:
        return Position(float(latitude), float(longitude))
    return None
