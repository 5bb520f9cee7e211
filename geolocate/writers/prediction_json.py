"""A prediction as JSON and back, nothing lost: every digit of a number, every byte of a name."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from geolocate.records import Candidate, Concept, NamedPosition, Place, Position, Prediction

_FIELDS = {
    kind: tuple(field.name for field in fields(kind))
    for kind in (Prediction, Candidate, Concept, NamedPosition, Place, Position)
}


def prediction_to_json(prediction: Prediction) -> bytes:
    """One line of ASCII without its end; surrogates as ``\\udcXX``, floats in their shortest exact form."""
    return _ENCODER.encode(prediction).encode("ascii")


def _values(record: Any) -> dict[str, Any] | float:
    names = _FIELDS.get(type(record))
    # What is no record is a numpy number, which a double holds exactly.
    return float(record) if names is None else {name: getattr(record, name) for name in names}


_ENCODER = json.JSONEncoder(default=_values, separators=(",", ":"))


def prediction_from_json(data: Any) -> Prediction:
    """The prediction of what `json.loads` makes of :func:`prediction_to_json`."""
    candidates = tuple(
        Candidate(**item | {"position": _position(item["position"]), "named": _named(item["named"])})
        for item in data["candidates"]
    )
    return Prediction(
        **data
        | {
            "candidates": candidates,
            "concepts": tuple(Concept(**item) for item in data["concepts"]),
            "exif": _position(data["exif"]),
            "notes": tuple(data["notes"]),
        }
    )


def _position(data: Any) -> Position | None:
    return None if data is None else Position(**data)


def _named(data: Any) -> NamedPosition | None:
    if data is None:
        return None
    place = data["place"]
    if place is not None:
        place = Place(**place | {"position": _position(place["position"])})
    return NamedPosition(**data | {"place": place})
