"""A progress bar over bytes, on standard error, and sizes for people."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from geolocate.cli.status import can_redraw
from geolocate.text_safety import printable


class ByteBar:
    """A progress bar over bytes on standard error; shown on a terminal only."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._bar: Any = None
        self._step: Callable[[int], None] = lambda count: None

    def start(self, name: str, size: int) -> None:
        """The work begins: `size` bytes of what is called `name`."""
        if not can_redraw(sys.stderr):
            return
        label = printable(f"{self._label} {name}, {size_text(size)}")
        self._bar = click.progressbar(length=size, label=label, file=sys.stderr)
        self._step = self._bar.__enter__().update

    def advance(self, count: int) -> None:
        """So many bytes more."""
        self._step(count)

    def close(self) -> None:
        """Ends the line."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)


@contextmanager
def byte_bar(label: str) -> Iterator[ByteBar]:
    bar = ByteBar(label)
    try:
        yield bar
    finally:
        bar.close()


def size_text(count: int) -> str:
    """Bytes for people: "512 bytes", "9.4 MB", "1.9 GB"; decimal, as disks are sold."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale * 0.9995:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"
