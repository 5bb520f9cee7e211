"""Lines of a file of strangers: whole ones, and none longer than any that predict writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

#: A row, of one line or several: a path has 64 KiB at most, which escapes make six times as long.
MAX_ROW_BYTES = 2**21


class WholeLines:
    """Iterates over the lines of a file, with their ends.

    Attributes:
        row_bytes: what was read since the reader of rows last set it to 0.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.row_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Raises ValueError where a row is too long, or the end of the file cuts it off."""
        line = self._file.readline(MAX_ROW_BYTES)
        if not line:
            raise StopIteration
        self.row_bytes += len(line)
        if self.row_bytes >= MAX_ROW_BYTES:
            raise ValueError("longer than any row, or a quote is never closed")
        if not line.endswith(b"\n"):
            raise ValueError("the file is cut off here")
        return line
