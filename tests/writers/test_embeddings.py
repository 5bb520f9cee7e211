"""Embeddings as files: complete or not there, in flat memory, readable by anybody's numpy and Parquet."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from geolocate.writers.embeddings import NpyWriter, ParquetWriter
from geolocate.writers.target import FileTarget


def test_a_hundred_thousand_rows_need_no_memory(tmp_path: Path) -> None:
    count, row = 100_000, np.arange(8, dtype=np.float32)
    writer = NpyWriter(FileTarget(tmp_path / "a.npy"), 8)
    tracemalloc.start()
    for number in range(count):
        writer.write({}, row + np.float32(number))
    writer.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000  # bytes; the array has 3.2 million
    found = np.load(tmp_path / "a.npy")
    assert found.dtype == np.float32
    assert np.array_equal(found, row + np.arange(count, dtype=np.float32)[:, None])


def test_no_rows_are_an_array_of_no_rows(tmp_path: Path) -> None:
    writer = NpyWriter(FileTarget(tmp_path / "a.npy"), 8, FileTarget(tmp_path / "rows.csv"))
    writer.close()
    assert np.load(tmp_path / "a.npy").shape == (0, 8)
    assert (tmp_path / "rows.csv").read_text() == "row,photo,error\n"


def test_a_failed_photo_has_no_row_and_is_named_with_its_error(tmp_path: Path) -> None:
    writer = NpyWriter(FileTarget(tmp_path / "a.npy"), 2, FileTarget(tmp_path / "rows.csv"))
    one = np.ones(2, np.float32)
    writer.write({"photo": "a.jpg", "error": None}, one)
    writer.write({"photo": 'b"\udcff,.jpg', "error": "damaged, badly"}, None)
    writer.write({"photo": "=c.jpg", "error": None}, 2 * one)
    writer.close()
    assert np.load(tmp_path / "a.npy").tolist() == [[1, 1], [2, 2]]
    with (tmp_path / "rows.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert list(csv.reader(file))[1:] == [
            ["0", "a.jpg", ""],
            ["", 'b"\udcff,.jpg', "damaged, badly"],
            ["1", "./=c.jpg", ""],
        ]


@pytest.mark.parametrize("format_name", ["npy", "parquet"])
def test_an_aborted_run_leaves_nothing_and_the_old_file_as_it_was(tmp_path: Path, format_name: str) -> None:
    target = tmp_path / f"a.{format_name}"
    target.write_bytes(b"old")
    if format_name == "npy":
        writer: NpyWriter | ParquetWriter = NpyWriter(FileTarget(target), 2)
    else:
        pytest.importorskip("pyarrow")
        writer = ParquetWriter(FileTarget(target), 2, {"photo": "string"}, {})
    writer.write({"photo": "a.jpg"}, np.ones(2, np.float32))
    writer.abort()
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert target.read_bytes() == b"old"


def test_parquet_holds_labels_embeddings_and_failures(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"photo": "string", "error": "string"}
    writer = ParquetWriter(FileTarget(tmp_path / "a.parquet"), 2, columns, {"model": "m"})
    for number in range(5000):  # more than a row group
        failed = number == 4321
        embedding = None if failed else np.array([number, -number], np.float32)
        writer.write({"photo": f"{number}\udcff", "error": "gone" if failed else None}, embedding)
    writer.close()
    rows = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(rows) == 5000
    assert rows[4999] == {"photo": "4999\ufffd", "error": None, "embedding": [4999.0, -4999.0]}
    assert rows[4321] == {"photo": "4321\ufffd", "error": "gone", "embedding": None}
