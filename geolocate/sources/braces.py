"""Braces in arguments: `shard-{000..009}.tar` and `{train,test}.zip`, as shells write them, at URLs too."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from geolocate.errors import UsageError
from geolocate.sources.urls import without_secrets
from geolocate.text_safety import printable

#: What one argument may stand for.
MAX_EXPANSIONS = 1_000_000
_BRACES = re.compile(r"\{(?:(\d{1,12})\.\.(\d{1,12})|([^{}]*,[^{}]*))\}")


def expand_braces(argument: str) -> Iterator[str]:
    """What an argument stands for, lazily, the last braces first to change; itself where it has none.

    Numbers count up or down and are filled with zeros to the width of the first: `{008..010}`.

    Raises:
        UsageError: it stands for more than MAX_EXPANSIONS.
    """
    fixed, choices, count, at = [], [], 1, 0
    for match in _BRACES.finditer(argument):
        fixed.append(argument[at : match.start()])
        choices.append(_Choice(match))
        count *= len(choices[-1])
        at = match.end()
        if count > MAX_EXPANSIONS:
            raise UsageError(
                f"{printable(without_secrets(argument))[:200]} stands for more than {MAX_EXPANSIONS:,} names"
            )
    tail = argument[at:]
    for chosen in itertools.product(*choices):
        yield "".join(itertools.chain.from_iterable(zip(fixed, chosen, strict=True))) + tail


class _Choice:
    """The alternatives of one pair of braces."""

    def __init__(self, match: re.Match[str]) -> None:
        first, last, words = match.groups()
        self._width = 0
        if words is not None:
            self._values: list[str] | range = words.split(",")
        else:
            step = 1 if int(first) <= int(last) else -1
            self._values = range(int(first), int(last) + step, step)
            self._width = len(first) if first.startswith("0") else 0

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[str]:
        return (str(value).zfill(self._width) for value in self._values)
