"""JSON of strangers: parsed within limits, only what JSON itself allows, each value of its kind."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

#: Deeper than anything that a bundle says.
MAX_DEPTH = 32

T = TypeVar("T")


def parse_json(data: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    The caller bounds its size. Whole numbers have at most the digits that Python reads (4,300).

    Raises:
        ValueError: it is none, is nested too deep, has a key twice, a number that is not finite (JSON has
            none), or half of a surrogate pair; says where.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(twice)} is there twice")
    return found


def _check(value: Any) -> None:
    """Raises ValueError for what `json` lets through, with the keys that lead there."""
    waiting: list[tuple[Any, tuple[str, ...], int]] = [(value, (), 0)]
    while waiting:
        value, keys, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError("nested too deep")
        if isinstance(value, dict):
            for key, inner in value.items():
                _check_text(key, keys)
                waiting.append((inner, (*keys, key), depth + 1))
        elif isinstance(value, list):
            waiting += [(inner, keys, depth + 1) for inner in value]
        elif isinstance(value, str):
            _check_text(value, keys)
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{_place(keys)}a number that is not finite")


def _check_text(text: str, keys: tuple[str, ...]) -> None:
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"{_place(keys)}half of a surrogate pair in {shown(text)}")


def _place(keys: tuple[str, ...]) -> str:
    return f"{'.'.join(ascii(key)[1:-1] for key in keys)[:80]}: " if keys else ""


def take(raw: Mapping[str, Any], key: str, read: Callable[[Any], T], default: Any = None) -> T:
    """A value of a JSON object by its key; ValueError names the key where it is missing or wrong."""
    if key not in raw:
        if default is None:
            raise ValueError(f"{key} is missing")
        return read(default)
    try:
        return read(raw[key])
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def shown(value: object) -> str:
    """A value as a message tells it."""
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def wrong(value: object, expected: str) -> ValueError:
    """What to raise for a value that is not what was expected."""
    return ValueError(f"{shown(value)} is not {expected}")


def as_text(value: object) -> str:
    """A text; raises ValueError for anything else, as all of these do."""
    if not isinstance(value, str):
        raise wrong(value, "a text")
    return value


def as_truth(value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise wrong(value, "true or false")
    return value


def as_number(value: object) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(value, "a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise wrong(value, "a finite number")
    return number


def as_positive(value: object) -> float:
    """A finite number above 0."""
    number = as_number(value)
    if number <= 0:
        raise wrong(value, "above 0")
    return number


def as_whole(least: int, most: int | None = None) -> Callable[[object], int]:
    """Reads whole numbers of that range."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(value, "a whole number")
        if value < least or (most is not None and value > most):
            raise wrong(value, f"at least {least}" if most is None else f"between {least} and {most}")
        return value

    return read


def as_object(value: object) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise wrong(value, "an object")
    return value


def as_list(value: object) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise wrong(value, "a list")
    return value
