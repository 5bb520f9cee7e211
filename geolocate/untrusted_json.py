"""JSON of strangers: parsed within limits, and only what JSON itself allows."""

from __future__ import annotations

import json
import math
from typing import Any

#: Deeper than anything that a bundle says.
MAX_DEPTH = 32


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
        raise ValueError(f"the key {_shown(twice)} is there twice")
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
        raise ValueError(f"{_place(keys)}half of a surrogate pair in {_shown(text)}")


def _place(keys: tuple[str, ...]) -> str:
    return f"{'.'.join(ascii(key)[1:-1] for key in keys)[:80]}: " if keys else ""


def _shown(text: str) -> str:
    shown = ascii(text)
    return shown if len(shown) <= 80 else shown[:77] + "..."
