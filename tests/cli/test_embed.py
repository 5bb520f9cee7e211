"""`geolocate embed` as a user runs it: the real command, the shipped starter, files that numpy reads."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from geolocate import Geolocator
from geolocate.cli import cli


def embed(*words: str | os.PathLike[str], stdin: bytes | None = None) -> Result:
    arguments = ["embed", "--model", "starter", "--device", "cpu", *map(os.fspath, words)]
    return CliRunner().invoke(cli, arguments, input=stdin)


@pytest.fixture(scope="module")
def starter() -> Geolocator:
    return Geolocator.load("starter", device="cpu", say=lambda text: None)


@pytest.fixture
def points(tmp_path: Path) -> Path:
    table = tmp_path / "points.csv"
    table.write_text("id,LAT,Lng\na,48.85,2.35\nb,-33.9,18.4\nc,48.85,2.35\n", encoding="utf-8")
    return table


def test_rows_are_those_of_encode_images_and_the_list_names_them(
    starter: Geolocator, drawn_photos: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    target = tmp_path / "out.npy"
    done = embed(broken, drawn_photos, "-o", target)
    assert done.exit_code == 3, done.stderr
    assert done.stdout == ""
    images = list(starter.encode_images([broken, drawn_photos]))
    expected = np.stack([image.embedding for image in images if image.embedding is not None])
    assert np.array_equal(np.load(target), expected)
    with (tmp_path / "out.npy.rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["photo"] for row in rows] == [image.photo for image in images]
    assert [row["row"] for row in rows] == ["", "0", "1", "2", "3", "4"]
    assert rows[0]["error"] == images[0].error
    manifest = json.loads((tmp_path / "out.npy.manifest.json").read_text(encoding="utf-8"))
    assert (manifest["photos"], manifest["failed"]) == (6, 1)
    assert manifest["bundle"]["sha256"] == starter.bundle.sha256


def test_points_keep_their_order_and_their_duplicates(
    starter: Geolocator, points: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.npy"
    done = embed(points, "-o", target)
    assert done.exit_code == 0, done.stderr
    found = np.load(target)
    expected = starter.encode_locations(np.array([[48.85, 2.35], [-33.9, 18.4], [48.85, 2.35]]))
    assert np.array_equal(found, expected)
    assert not (tmp_path / "out.npy.rows.csv").exists()  # row i is row i


def test_parquet_says_the_same_as_npy(drawn_photos: Path, points: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for inputs, labels in ((drawn_photos, {"photo", "error"}), (points, {"latitude", "longitude"})):
        for name in ("out.npy", "out.parquet"):
            assert embed(inputs, "-o", tmp_path / name).exit_code == 0
        table = parquet.read_table(tmp_path / "out.parquet")
        assert set(table.column_names) == labels | {"embedding"}
        assert np.array_equal(
            np.array(table["embedding"].to_pylist(), np.float32), np.load(tmp_path / "out.npy")
        )


def test_paths_come_from_standard_input(drawn_photos: Path, tmp_path: Path) -> None:
    first, second, *_ = sorted(drawn_photos.iterdir())
    done = embed("-0", "-", "-o", tmp_path / "out.npy", stdin=b"\0".join(map(os.fsencode, (second, first))))
    assert done.exit_code == 0, done.stderr
    rows = (tmp_path / "out.npy.rows.csv").read_text(encoding="utf-8").splitlines()
    assert rows[1:] == [f"0,{second},", f"1,{first},"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["points.csv", "photo.jpg", "-o", "out.npy"], "give no other PATH"),
        (["missing.csv", "-o", "out.npy"], "no such file or folder: missing.csv"),
        (["photo.jpg", "-o", "out.txt"], "ends in .npy or .parquet"),
        (["photo.jpg", "-o", "photo.jpg"], "ends in .npy or .parquet"),
        (["-o", "out.npy"], "Missing argument"),
        (["points.csv", "-o", "taken.npy"], "taken.npy.partial; --overwrite discards it"),
        (["points.csv", "-0", "-o", "out.npy"], "--null: about photos, which a table of points has none of"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(
    words: list[str], reason: str, points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"")
    (tmp_path / "taken.npy.partial").write_bytes(b"half")
    before = sorted(path.name for path in tmp_path.iterdir())
    done = embed(*words)
    assert done.exit_code == 2, done.output
    assert reason in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("row", ["91,0", "two,3", "nan,3"])
def test_a_bad_row_of_points_is_an_error_that_names_it_and_leaves_no_file(row: str, tmp_path: Path) -> None:
    table = tmp_path / "points.csv"
    table.write_text(f"LAT,LON\n1,2\n{row}\n", encoding="utf-8")
    done = embed(table, "-o", tmp_path / "out.npy")
    assert done.exit_code == 1
    assert "points.csv" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["points.csv"]
