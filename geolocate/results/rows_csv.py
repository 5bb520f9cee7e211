"""Rows out of CSV, as :mod:`geolocate.writers.csv` writes it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from geolocate.records import COLUMNS
from geolocate.results.lines import WholeLines
from geolocate.results.predictions import NUMBERS, RANK, NumberedRow, RowError
from geolocate.writers.rows import FORMULA_STARTS

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: Python's float() takes more: "nan", "1_0", digits of other scripts.
_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?")
_WHOLE = re.compile(r"[0-9]{1,9}")


def csv_rows(file: BinaryIO) -> Iterator[NumberedRow]:
    """Yields each row with the number of the line where it begins.

    Raises:
        RowError: a row is none that predict wrote, or there is no header.
    """
    lines = WholeLines(file)
    # strict: a quote out of place is an error, not a guess.
    reader = csv.reader(_texts(lines), strict=True)
    line = 1
    try:
        if next(reader, []) != list(COLUMNS):
            raise ValueError("not the header of a table that geolocate predict wrote")
        while True:
            line, lines.row_bytes = reader.line_num + 1, 0
            if (cells := next(reader, None)) is None:
                return
            if len(cells) != len(COLUMNS):
                raise ValueError(f"{len(cells)} cells, not {len(COLUMNS)}")
            yield line, {column: _value(column, cell) for column, cell in zip(COLUMNS, cells, strict=True)}
    except (ValueError, csv.Error) as error:
        raise RowError(line, error) from error


def _texts(lines: Iterator[bytes]) -> Iterator[str]:
    first = next(lines, b"").removeprefix(_BYTE_ORDER_MARK)
    for line in chain([first], lines):
        yield line.decode("utf-8", "surrogateescape")


def _value(column: str, cell: str) -> str | int | float | None:
    """The inverse of :func:`geolocate.writers.csv.cell`."""
    if not cell:
        return None
    if column == RANK:
        if not _WHOLE.fullmatch(cell):
            raise ValueError(f"{column} is no whole number")
        return int(cell)
    if column in NUMBERS:
        if not _NUMBER.fullmatch(cell):
            raise ValueError(f"{column} is no number")
        return float(cell)
    # A path is never neutralised: it gets "./" in front, and an apostrophe is its own.
    if column != "photo" and cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS):
        return cell[1:]
    return cell
