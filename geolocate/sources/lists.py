"""Lists of photos in a file: text, one a line; CSV and Parquet with a column of paths or URLs. Streamed."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from geolocate.errors import ExtraMissing, PhotoError, TableError, UsageError
from geolocate.photos.path_list import LONGEST_PATH_BYTES, read_path_list
from geolocate.records import PHOTO_BYTES
from geolocate.sources.streams import open_file
from geolocate.sources.urls import without_secrets
from geolocate.text_safety import printable

#: Names of the column, in this order, in any case.
COLUMNS = ("photo", "path", "url")
#: What predict writes has a row for each rank: one of them is the photo.
RANK = "rank"
_PARQUET_MAGIC = b"PAR1"
_TABLE_ENDINGS = (".csv", ".tsv")
_ROWS_AT_ONCE = 4096


def read_list(path: str) -> Iterator[str]:
    """Yields the paths and URLs of a list, as they are written; nothing is looked for.

    A Parquet file is told by its content, CSV by its ending, and anything else is text.

    Raises:
        UsageError: it cannot be opened, or is no list.
        TableError: it has no such column, or makes no sense.
        ExtraMissing: Parquet without pyarrow.
    """
    try:
        file = open_file(path)
    except PhotoError as error:
        raise UsageError(f"the list {printable(without_secrets(path))}: {error}") from None
    with file:
        magic = file.read(len(_PARQUET_MAGIC))
        file.seek(0)
        if magic == _PARQUET_MAGIC:
            yield from _parquet(file, path)
        elif path.lower().endswith(_TABLE_ENDINGS):
            yield from _csv(file, path)
        else:
            yield from read_path_list(file, null=False)


def check_list(path: str) -> None:
    """Reads the beginning of a list. Raises as :func:`read_list`."""
    next(read_list(path), None)


def _csv(file: BinaryIO, path: str) -> Iterator[str]:
    delimiter = "\t" if path.lower().endswith(".tsv") else ","
    with io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        rows = csv.reader(_bounded_lines(text, path), delimiter=delimiter)
        try:
            header = next(rows, [])
            column, rank = _columns(header, path)
            for row in rows:
                if len(row) > column and (rank is None or len(row) <= rank or row[rank] in ("", "1")):
                    yield from filter(None, [row[column]])
        except csv.Error as error:
            raise TableError(f"{printable(path)}, line {rows.line_num}: {error}") from None


def _bounded_lines(text: io.TextIOWrapper, path: str) -> Iterator[str]:
    while line := text.readline(LONGEST_PATH_BYTES * 4):
        if len(line) == LONGEST_PATH_BYTES * 4:
            raise TableError(f"{printable(path)} has a line that is longer than any path")
        yield line


def _parquet(file: BinaryIO, path: str) -> Iterator[str]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExtraMissing("lists in Parquet need", "parquet") from None
    try:
        table = pyarrow.parquet.ParquetFile(file)
        names = table.schema_arrow.names
        column, rank = _columns(names, path)
        wanted = [names[column], *([names[rank]] if rank is not None else [])]
        raw = PHOTO_BYTES in names and names[column] == COLUMNS[0]
        for batch in table.iter_batches(_ROWS_AT_ONCE, columns=[*wanted, *([PHOTO_BYTES] if raw else [])]):
            yield from _named(batch.to_pydict(), *wanted)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        text = str(error).partition("\n")[0]
        raise TableError(f"{printable(path)} cannot be read as Parquet: {printable(text)[:200]}") from None


def _named(rows: dict[str, list[Any]], column: str, rank: str | None = None) -> Iterator[str]:
    """Paths of rows of Parquet; bytes that are no UTF-8 stand in a column of their own."""
    raw = rows.get(PHOTO_BYTES) or [None] * len(rows[column])
    ranks = rows[rank] if rank is not None else [None] * len(rows[column])
    for name, data, place in zip(rows[column], raw, ranks, strict=True):
        if place in (None, 1) and isinstance(name, str) and name:
            yield os.fsdecode(data) if isinstance(data, bytes) else name


def _columns(names: Iterable[str], path: str) -> tuple[int, int | None]:
    """Where the column of paths is, and that of ranks if any. Raises TableError without the first."""
    lower = [str(name).strip().lower() for name in names]
    for wanted in COLUMNS:
        if wanted in lower:
            ranked = wanted == COLUMNS[0] and RANK in lower
            return lower.index(wanted), lower.index(RANK) if ranked else None
    raise TableError(f"{printable(path)} has no column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}")
