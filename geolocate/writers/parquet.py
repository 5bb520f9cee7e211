"""Parquet, with the metadata of GeoParquet 1.1: a table row for each photo and rank.

https://geoparquet.org/releases/v1.1.0/ - points as WKB in the column `geometry`, longitude before latitude,
OGC:CRS84, which is what a column without a `crs` has.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from geolocate.errors import ExtraMissing
from geolocate.records import COLUMNS, PHOTO_BYTES, Prediction
from geolocate.writers.arrow_file import TargetFile
from geolocate.writers.rows import Row, in_unicode, rows_of
from geolocate.writers.target import Target, discard

GEOMETRY = "geometry"
#: Rows in one row group, held until it is full; a fixed number, so that equal rows give equal bytes.
ROW_GROUP = 16_384
#: A point in Well-Known Binary (OGC 06-103r4, 8.2): little-endian, type 1, x, y.
_WKB_POINT = struct.Struct("<BIdd")
_WKB_LITTLE_ENDIAN, _WKB_TYPE_POINT = 1, 1


class ParquetWriter:
    """Row groups as they fill; the file is readable when its footer is written, by :meth:`close`.

    Raises:
        ExtraMissing: pyarrow is not installed.
    """

    def __init__(self, target: Target) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise ExtraMissing("Parquet files need", "parquet") from None
        self._target = target
        self._schema = pyarrow.schema(
            [(column, getattr(pyarrow, _kind(column))()) for column in COLUMNS]
            + [(PHOTO_BYTES, pyarrow.binary()), (GEOMETRY, pyarrow.binary())]
        )
        self._batch = pyarrow.RecordBatch.from_pylist
        self._writer = parquet.ParquetWriter(
            pyarrow.PythonFile(TargetFile(target), mode="w"), self._schema, compression="zstd"
        )
        self._waiting: list[dict[str, Any]] = []
        self._bounds: tuple[float, float, float, float] | None = None

    def write(self, prediction: Prediction) -> None:
        """Takes the rows of one photo.

        Raises:
            OutputError: the disk is full or gone.
        """
        for row in rows_of(prediction):
            self._waiting.append(self._cells(row))
            if len(self._waiting) == ROW_GROUP:
                self._flush()

    def _cells(self, row: Row) -> dict[str, Any]:
        valid, raw = in_unicode(row)
        cells: dict[str, Any] = {**valid, PHOTO_BYTES: raw, GEOMETRY: None}
        longitude, latitude = row["longitude"], row["latitude"]
        if isinstance(longitude, float) and isinstance(latitude, float):
            cells[GEOMETRY] = _WKB_POINT.pack(_WKB_LITTLE_ENDIAN, _WKB_TYPE_POINT, longitude, latitude)
            west, south, east, north = self._bounds or (longitude, latitude, longitude, latitude)
            self._bounds = (
                min(west, longitude),
                min(south, latitude),
                max(east, longitude),
                max(north, latitude),
            )
        return cells

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._writer.write_batch(self._batch(waiting, schema=self._schema))

    def close(self) -> None:
        """Writes the rest and the footer, and commits."""
        if self._waiting:
            self._flush()
        self._writer.add_key_value_metadata({"geo": json.dumps(_geo_metadata(self._bounds))})
        self._writer.close()
        self._target.commit()

    def abort(self) -> Path | None:
        """Gives up; nothing stays, since row groups without a footer cannot be read."""
        self._writer.is_open = False  # closing it would write the footer
        discard(self._target)
        return None


def _kind(column: str) -> str:
    """The Arrow type of a column."""
    if column == "rank":
        return "int32"
    numbers = column == "probability" or column.endswith(("itude", "_km"))
    return "float64" if numbers else "string"


def _geo_metadata(bounds: tuple[float, float, float, float] | None) -> dict[str, Any]:
    """The value of the key `geo`.

    Args:
        bounds: west, south, east, north of all points; None without any.
    """
    geometry: dict[str, Any] = {"encoding": "WKB", "geometry_types": ["Point"] if bounds else []}
    if bounds:
        geometry["bbox"] = bounds
    return {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: geometry}}
