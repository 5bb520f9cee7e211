"""Opening a file of results, whichever format it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO

from geolocate.errors import TableError
from geolocate.records import Prediction
from geolocate.regular_file import open_regular
from geolocate.results.predictions import NumberedRow, RowError, predictions_of
from geolocate.results.rows_csv import csv_rows
from geolocate.results.rows_jsonl import jsonl_rows
from geolocate.text_safety import printable

#: What every Parquet file begins with.
PARQUET_MAGIC = b"PAR1"
#: Of the beginning, to tell the formats apart.
_HEAD_BYTES = 64


def read_results(path: str | os.PathLike[str]) -> Iterator[Prediction]:
    """Yields the predictions in a file that predict wrote, in its order; memory does not grow with it.

    CSV, JSON lines and Parquet are told apart by content. Consecutive rows of one photo with rising ranks are
    one prediction. Numbers are as rounded as the file has them, `Place.position` is None and
    `Place.geonames_id` 0.

    Raises:
        TableError: it cannot be read, is no such file, or is cut off; names the file and the line.
        ExtraMissing: it is Parquet, and pyarrow is not installed.
    """
    with _naming(os.fspath(path)), open_regular(path) as file:
        yield from predictions_of(_rows(file))


def results_in(content: bytes, name: str) -> Iterator[Prediction]:
    """The same of the content of a file that lies elsewhere; `name` is what messages call it.

    Raises:
        TableError, ExtraMissing: as :func:`read_results`.
    """
    with _naming(name):
        yield from predictions_of(_rows(BufferedReader(BytesIO(content))))


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """What is wrong with a file, as an error of ours that names it."""
    shown = f"{printable(name)} cannot be read as results of geolocate"
    try:
        yield
    except RowError as error:
        raise TableError(f"{shown}: line {error.number}: {error}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TableError(f"{shown}: {reason}") from error


def _rows(file: BufferedReader) -> Iterator[NumberedRow]:
    begin = file.peek(_HEAD_BYTES)[:_HEAD_BYTES]
    if begin.startswith(PARQUET_MAGIC):
        from geolocate.results.rows_parquet import parquet_rows  # pyarrow is an extra

        return parquet_rows(file)
    if b"\0" in begin:
        raise ValueError("neither CSV, JSON lines nor Parquet")
    # JSON lines of no photo at all are an empty file; a table has its header.
    return jsonl_rows(file) if begin.lstrip()[:1] in (b"{", b"") else csv_rows(file)
