"""Rows out of JSON lines, as :mod:`geolocate.writers.jsonl` writes them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from geolocate.records import COLUMNS, PHOTO_BYTES
from geolocate.results.lines import WholeLines
from geolocate.results.photo_bytes import photo_of_bytes
from geolocate.results.predictions import NUMBERS, RANK, NumberedRow, RowError
from geolocate.untrusted_json import as_number, as_object, as_text, as_whole, parse_json, take, wrong
from geolocate.writers.rows import Row

_KEYS = frozenset(COLUMNS)
_as_rank = as_whole(1, 10**9)


def jsonl_rows(file: BinaryIO) -> Iterator[NumberedRow]:
    """Yields each row with the number of its line.

    Raises:
        RowError: a line is no row that predict wrote.
    """
    lines = WholeLines(file)
    line = 0
    try:
        while True:
            line, lines.row_bytes = line + 1, 0
            if (text := next(lines, None)) is None:
                return
            yield line, _row(as_object(parse_json(text)))
    except json.JSONDecodeError as error:  # which counts lines of its own
        raise RowError(line, ValueError(f"no JSON that ends with its line ({error.msg})")) from error
    except ValueError as error:
        raise RowError(line, error) from error


def _row(found: dict[str, Any]) -> Row:
    if found.keys() - {PHOTO_BYTES} != _KEYS:
        raise ValueError("not the keys of a row that geolocate predict wrote")
    row: Row = {column: _value(column, found) for column in COLUMNS}
    if PHOTO_BYTES in found:
        row["photo"] = photo_of_bytes(take(found, PHOTO_BYTES, _decoded), row["photo"])
    return row


def _value(column: str, found: dict[str, Any]) -> str | int | float | None:
    if found[column] is None:
        return None
    if column == RANK:
        return take(found, column, _as_rank)
    if column in NUMBERS:
        return take(found, column, as_number)
    return take(found, column, as_text)


def _decoded(value: object) -> bytes:
    try:
        return base64.b64decode(as_text(value).encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise wrong(value, "base64") from None
