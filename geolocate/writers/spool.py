"""Pieces of an output that is written out of order: kept in a temporary file, read back group by group."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from geolocate.errors import OutputError

Group = TypeVar("Group")


class Spool(Generic[Group]):
    """Memory holds 16 bytes for each piece; the file has no name and goes with the program.

    Raises:
        OutputError: there is no folder for temporary files.
    """

    def __init__(self) -> None:
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the spool
        except OSError as error:
            raise _failed(error) from error
        self._size = 0
        self._places: dict[Group, array[int]] = {}

    @property
    def groups(self) -> set[Group]:
        """Those that hold anything."""
        return set(self._places)

    def add(self, group: Group, piece: bytes) -> None:
        """Puts a piece at the end of its group. Raises OutputError where the disk is full."""
        try:
            self._file.seek(self._size)
            self._file.write(piece)
        except OSError as error:
            raise _failed(error) from error
        self._places.setdefault(group, array("Q")).extend((self._size, len(piece)))
        self._size += len(piece)

    def pieces(self, group: Group) -> Iterator[bytes]:
        """The pieces of a group in the order in which they came. Raises OutputError."""
        places = iter(self._places.get(group, ()))
        for offset, length in zip(places, places, strict=True):
            try:
                self._file.seek(offset)
                piece = self._file.read(length)
            except OSError as error:
                raise _failed(error) from error
            yield piece

    def close(self) -> None:
        """Gives the file up. Never raises, though what waits in its buffer may find the disk full."""
        with suppress(OSError):
            self._file.close()


def _failed(error: OSError) -> OutputError:
    return OutputError(f"cannot keep a temporary file in {_folder()}: {error.strerror or error}")


def _folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "the folder for temporary files (TMPDIR)"
