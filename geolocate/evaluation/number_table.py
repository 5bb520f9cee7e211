"""Columns of numbers out of CSV files of any size and origin, a block of rows at a time."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import TableError
from geolocate.position_table import DELIMITERS
from geolocate.text_safety import printable

#: Characters of the first line that are looked at; a file with a longer one is no table.
MAX_HEADER = 2**16
#: Rows that are held as text at once.
BLOCK_ROWS = 2**16
#: Characters of a header that a message shows.
_SHOWN = 200
#: Byte order marks of UTF-16, which spreadsheets write as "Unicode text".
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class NumberTable:
    """A CSV file with a header, known but not yet read.

    Attributes:
        columns: the names in its header, as they stand there.
        delimiter: what parts its cells; where it is no comma, numbers may have a decimal comma.
    """

    path: Path
    columns: tuple[str, ...]
    delimiter: str
    encoding: str

    @classmethod
    def open(cls, path: Path) -> NumberTable:
        """Reads the header.

        Raises:
            TableError: there is no such file, or none with a header of names.
        """
        with _readable(path):
            with path.open("rb") as raw:
                encoding = "utf-16" if raw.read(2) in _UTF16_MARKS else "utf-8-sig"
            with path.open(encoding=encoding, errors=_errors(encoding), newline="") as file:
                header = file.readline(MAX_HEADER)
            rows = [(next(csv.reader([header], delimiter=mark), []), mark) for mark in DELIMITERS]
        cells, delimiter = max(rows, key=lambda row: len(row[0]))  # of equals the first
        names = tuple(cell.strip() for cell in cells)
        if not any(names) or all(_is_number(name) for name in names if name):
            raise TableError(f"{printable(str(path))} has no header that names its columns")
        return cls(path, names, delimiter, encoding)

    def place(self, name: str) -> int:
        """Where a column stands, its name in any case.

        Raises:
            TableError: there is none, or more than one.
        """
        found = [at for at, column in enumerate(self.columns) if column.casefold() == name.strip().casefold()]
        if len(found) != 1:
            what = "more than one" if found else "no"
            raise self.refusal(f"has {what} column called '{printable(name)}'")
        return found[0]

    def refusal(self, reason: str) -> TableError:
        """An error about the columns, which lists them."""
        listed = printable(", ".join(self.columns))
        listed = listed if len(listed) <= _SHOWN else f"{listed[: _SHOWN - 3]}..."
        return TableError(f"{printable(str(self.path))} {reason}; its columns are {listed}")

    def blocks(
        self, numbers: Sequence[int], texts: Sequence[int] = ()
    ) -> Iterator[tuple[NDArray[np.float64], list[list[str]]]]:
        """Yields the columns at `numbers` (rows, K), NaN for what is no number, and those at `texts`.

        Empty lines are passed over; cells that a row lacks are empty.

        Raises:
            TableError: the file cannot be read to its end.
        """
        with (
            _readable(self.path),
            self.path.open(encoding=self.encoding, errors=_errors(self.encoding), newline="") as file,
        ):
            reader = self._rows(file)
            next(reader, None)
            while block := list(islice(reader, BLOCK_ROWS)):
                rows = [row for row in block if row]
                cells = [_column(rows, at) for at in numbers]
                values = np.array([_numbers(column, self.delimiter != ",") for column in cells])  # (K, rows)
                words = [[cell.strip() for cell in _column(rows, at)] for at in texts]
                yield values.reshape(len(numbers), len(rows)).T, words

    def _rows(self, file: TextIO) -> Iterator[list[str]]:
        return csv.reader(file, delimiter=self.delimiter)


def _errors(encoding: str) -> str:
    return "surrogateescape" if encoding == "utf-8-sig" else "replace"


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TableError(f"{printable(str(path))} cannot be read as a table: {reason}") from error


def _column(rows: list[list[str]], at: int) -> list[str]:
    try:
        return [row[at] for row in rows]
    except IndexError:
        return [row[at] if at < len(row) else "" for row in rows]


def _numbers(cells: list[str], decimal_comma: bool) -> list[float]:
    try:
        return list(map(float, cells))  # the usual case, four times as fast
    except ValueError:
        return [_number(cell, decimal_comma) for cell in cells]


def _number(cell: str, decimal_comma: bool) -> float:
    try:
        return float(cell.replace(",", ".") if decimal_comma else cell)
    except ValueError:
        return math.nan


def _is_number(cell: str) -> bool:
    return not math.isnan(_number(cell, decimal_comma=True)) or cell.casefold() == "nan"
