"""A prediction as JSON and back, nothing lost: every digit of a number, every byte of a name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from types import NoneType
from typing import Any, TypeVar

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
    """The prediction of what `json.loads` makes of :func:`prediction_to_json`.

    Raises:
        ValueError: it is none: keys missing or unknown, or values of another kind.
    """
    return _record(
        Prediction,
        data,
        candidates=_records(_candidate, data, "candidates"),
        concepts=_records(partial(_record, Concept), data, "concepts"),
        exif=_position(_part(data, "exif")),
        notes=_records(_text, data, "notes"),
    )


#: What the fields may hold that are no records; JSON knows integers of any length, which no float can take.
_KINDS: dict[type, dict[str, tuple[type, ...]]] = {
    Prediction: {"photo": (str,), "model": (str,), "error": (str, NoneType)},
    Candidate: {
        "rank": (int,),
        "probability": (float, int),
        "radius_km": (float, int, NoneType),
        "error_km": (float, int, NoneType),
    },
    Concept: {"name": (str,), "score": (float, int)},
    NamedPosition: {"distance_km": (float, int), "ocean": (bool,)},
    Place: {
        "name": (str,),
        "region": (str,),
        "country": (str,),
        "country_code": (str,),
        "geonames_id": (int,),
    },
    Position: {"latitude": (float, int), "longitude": (float, int)},
}
_LARGEST_WHOLE = 2**63
T = TypeVar("T")


def _record(kind: type[T], data: Any, **parts: Any) -> T:
    """A record of the values in an object, but for its parts, which are records themselves."""
    kinds = _KINDS[kind]
    if not isinstance(data, dict) or len(data) != len(kinds) + len(parts):
        raise ValueError(f"no {kind.__name__}")
    for name, allowed in kinds.items():
        value = parts[name] = _part(data, name)
        if type(value) not in allowed or (type(value) is int and abs(value) > _LARGEST_WHOLE):
            raise ValueError(f"{name} of a {kind.__name__} is none")
    return kind(**parts)


def _part(data: Any, name: str) -> Any:
    if not isinstance(data, dict) or name not in data:
        raise ValueError(f"{name} is missing")
    return data[name]


def _records(read: Callable[[Any], T], data: Any, name: str) -> tuple[T, ...]:
    items = _part(data, name)
    if not isinstance(items, list):
        raise ValueError(f"{name} is no list")
    return tuple(map(read, items))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a note is no text")
    return value


def _candidate(data: Any) -> Candidate:
    position = _position(_part(data, "position"))
    return _record(Candidate, data, position=_there(position), named=_named(_part(data, "named")))


def _there(position: Position | None) -> Position:
    if position is None:
        raise ValueError("a position is missing")
    return position


def _position(data: Any) -> Position | None:
    return None if data is None else _record(Position, data)


def _named(data: Any) -> NamedPosition | None:
    return None if data is None else _record(NamedPosition, data, place=_place(_part(data, "place")))


def _place(data: Any) -> Place | None:
    if data is None:
        return None
    return _record(Place, data, position=_position(_part(data, "position")))
