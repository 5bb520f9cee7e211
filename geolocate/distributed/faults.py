"""Errors of other machines: of what they raise, Ray brings back the text alone, so they are told in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from geolocate import errors

_BEGINNING = "geolocate says "
_FAULT = re.compile(re.escape(_BEGINNING) + r"(\[.*\])")


class Told(Exception):
    """An error of ours as a line of text."""


@contextmanager
def telling() -> Iterator[None]:
    """Errors of ours become such lines."""
    try:
        yield
    except errors.GeolocateError as error:
        raise Told(_BEGINNING + json.dumps([type(error).__name__, str(error)])) from error


def fault_in(text: str) -> errors.GeolocateError | None:
    """The error of ours that a text tells of, if it does."""
    if (match := _FAULT.search(text)) is None:
        return None
    try:
        name, message = json.loads(match[1])
    except ValueError:  # something else in brackets
        return None
    kind = getattr(errors, str(name), None)
    if not (isinstance(kind, type) and issubclass(kind, errors.GeolocateError)):
        return None
    error = errors.GeolocateError.__new__(kind, message)  # whatever arguments its kind is made of
    error.args = (message,)
    return error
