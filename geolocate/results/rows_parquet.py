"""Rows out of Parquet, as :mod:`geolocate.writers.parquet` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from geolocate.errors import ExtraMissing
from geolocate.records import COLUMNS, PHOTO_BYTES
from geolocate.results.photo_bytes import photo_of_bytes
from geolocate.results.predictions import NUMBERS, RANK, NumberedRow, RowError
from geolocate.writers.rows import Row

#: Rows that are held at once.
BATCH_ROWS = 512


def parquet_rows(file: BinaryIO) -> Iterator[NumberedRow]:
    """Yields each row with its number, from 1.

    Raises:
        ValueError: the file is damaged, or its columns are not those that predict writes.
        RowError: the name of a row is deceptive.
        ExtraMissing: pyarrow is not installed.
    """
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ExtraMissing("Parquet files need", "parquet") from error
    number = 0
    try:
        table = parquet.ParquetFile(file)
        _check_columns(table.schema_arrow, arrow.types)
        for batch in table.iter_batches(BATCH_ROWS, columns=[*COLUMNS, PHOTO_BYTES]):
            for row in batch.to_pylist():
                number += 1
                yield number, _named(row, number)
    except (arrow.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f"a damaged Parquet file: {error}") from error


def _named(row: dict[str, Any], number: int) -> Row:
    raw = row.pop(PHOTO_BYTES)
    if raw is not None:
        try:
            row["photo"] = photo_of_bytes(raw, row["photo"])
        except ValueError as error:
            raise RowError(number, error) from error
    return row


def _check_columns(schema: Any, types: Any) -> None:
    """Raises ValueError where a column is missing, doubled, or of a type that is not ours."""
    for name in (*COLUMNS, PHOTO_BYTES):
        if len(schema.get_all_field_indices(name)) != 1:
            raise ValueError(f"no column {name} as geolocate predict writes it")
        kind = schema.field(name).type
        if name == RANK:
            fits = types.is_integer(kind)
        elif name in NUMBERS:
            fits = types.is_float64(kind)
        elif name == PHOTO_BYTES:
            fits = types.is_binary(kind) or types.is_large_binary(kind)
        else:
            fits = types.is_string(kind) or types.is_large_string(kind)
        if not fits:
            raise ValueError(f"column {name} is {kind}")
