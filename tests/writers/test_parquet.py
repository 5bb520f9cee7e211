"""Parquet: columns of their kinds, points as GeoParquet has them, and equal bytes for equal rows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from geolocate.errors import OutputError
from geolocate.records import COLUMNS, Prediction
from geolocate.writers import open_writers
from geolocate.writers import parquet as parquet_format
from geolocate.writers.parquet import ParquetWriter
from geolocate.writers.rows import in_unicode, rows_of
from geolocate.writers.target import FileTarget

Written = Callable[..., Path]
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def test_each_column_has_its_kind_and_each_row_its_values(
    written: Written, located: Prediction, failed: Prediction
) -> None:
    table = parquet.read_table(written("parquet", located, failed))
    kinds = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert tuple(kinds) == (*COLUMNS, "photo_bytes", "geometry")
    assert kinds["rank"] == "int32"
    assert {kinds[name] for name in ("photo_bytes", "geometry")} == {"binary"}
    numbers = {name for name, kind in kinds.items() if kind == "double"}
    assert numbers == {
        "latitude",
        "longitude",
        "probability",
        "radius_km",
        "place_km",
        "exif_latitude",
        "exif_longitude",
        "error_km",
    }
    assert {kinds[name] for name in set(COLUMNS) - numbers - {"rank"}} == {"string"}
    rows = [{column: row[column] for column in COLUMNS} for row in table.to_pylist()]
    assert rows == [*rows_of(located), *rows_of(failed)]


def test_the_metadata_is_that_of_geoparquet(written: Written, located: Prediction) -> None:
    near = Prediction("b.jpg", tuple(located.candidates[:1]), error=None)
    path = written("parquet", located, near)
    assert json.loads(parquet.read_metadata(path).metadata[b"geo"]) == {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["Point"],
                "bbox": [-73.9, 43.467448, -73.9, 43.467448],
            }
        },
    }
    assert parquet.read_metadata(path).row_group(0).column(0).compression == "ZSTD"


def test_the_box_holds_all_points(written: Written, everywhere: list[Prediction]) -> None:
    metadata = parquet.read_metadata(written("parquet", *everywhere)).metadata[b"geo"]
    assert json.loads(metadata)["columns"]["geometry"]["bbox"] == [-180, -90, 180, 90]


def test_geopandas_reads_the_same_positions_and_nothing_where_there_is_none(
    written: Written, everywhere: list[Prediction], hostile: list[Prediction]
) -> None:
    geopandas = pytest.importorskip("geopandas")
    table = geopandas.read_parquet(written("parquet", *everywhere, *hostile))
    assert table.crs == "OGC:CRS84"
    rows = [row for prediction in (*everywhere, *hostile) for row in rows_of(prediction)]
    for point, row in zip(table.geometry, rows, strict=True):
        whole = row["longitude"] is not None and row["latitude"] is not None
        assert (point is None) is not whole
        if whole:
            assert (point.x, point.y) == (row["longitude"], row["latitude"])


def test_without_any_photo_there_is_a_table_that_geopandas_reads(written: Written) -> None:
    geopandas = pytest.importorskip("geopandas")
    table = geopandas.read_parquet(written("parquet"))
    assert (len(table), table.crs) == (0, "OGC:CRS84")


def test_hostile_names_are_unicode_and_bytes_that_are_none_survive(
    written: Written, hostile: list[Prediction]
) -> None:
    table = parquet.read_table(written("parquet", *hostile))
    table.validate(full=True)  # every string is UTF-8
    rows = [row for prediction in hostile for row in rows_of(prediction)]
    names = [os.fsencode(str(row["photo"])) for row in rows]
    found = table.select(["photo", "photo_bytes"]).to_pylist()
    assert [row["photo_bytes"] or row["photo"].encode() for row in found] == names
    assert {row["photo_bytes"] for row in found if row["photo_bytes"]} == {
        raw for row, raw in zip(rows, names, strict=True) if in_unicode(row)[1]
    }


def test_equal_rows_give_equal_bytes_whatever_the_pace(
    tmp_path: Path, located: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_format, "ROW_GROUP", 5)
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        writer = ParquetWriter(FileTarget(path))
        for _ in range(8):
            writer.write(located)
        writer.close()
    groups = parquet.read_metadata(one)
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [5, 5, 5, 1]
    assert one.read_bytes() == two.read_bytes()


def test_what_is_interrupted_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, located: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_format, "ROW_GROUP", 1)
    path = tmp_path / "out.parquet"
    path.write_bytes(b"old")
    with open_writers({"parquet": path}) as writers:
        writers.write(located)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("out.parquet", b"old")]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_a_full_disk_is_named() -> None:
    with pytest.raises(OutputError, match="/dev/full: No space left"):
        open_writers({"parquet": "/dev/full"})


def test_a_disk_that_fills_up_is_named_and_leaves_the_old_file(
    tmp_path: Path, located: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_format, "ROW_GROUP", 1)
    path = tmp_path / "out.parquet"
    path.write_bytes(b"old")

    def fail(self: FileTarget, block: bytes) -> None:
        raise OutputError("the disk is full")

    with open_writers({"parquet": path}) as writers:
        monkeypatch.setattr(FileTarget, "write", fail)
        with pytest.raises(OutputError, match="the disk is full"):
            writers.write(located)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("out.parquet", b"old")]
