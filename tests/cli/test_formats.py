"""Formats by their options: any number in one run, on pipes too, extras only where they are asked for."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from geolocate.cli import cli

FORMATS = ("csv", "jsonl", "geojson", "kml", "parquet", "map")


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(os.fspath, words), "--model", "starter", "-k", "2", "-q"])


def options(folder: Path, names: tuple[str, ...] = FORMATS) -> list[str]:
    """An output of each format in a folder."""
    return [word for name in names for word in (f"--{name}", os.fspath(folder / f"out.{name}"))]


@pytest.fixture(scope="module")
def outputs(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run that wrote all formats."""
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("outputs")
    done = run(drawn_photos, *options(folder))
    assert done.exit_code == 0, done.stderr
    return folder


def test_one_run_writes_every_format_with_a_manifest_beside_each(outputs: Path) -> None:
    names = {f"out.{name}{suffix}" for name in FORMATS for suffix in ("", ".manifest.json")}
    assert {path.name for path in outputs.iterdir()} == names


def test_every_format_has_the_same_rows(outputs: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    lines = [json.loads(line) for line in (outputs / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    collection = json.loads((outputs / "out.geojson").read_text(encoding="utf-8"))
    assert [feature["properties"] for feature in collection["features"]] == lines
    table = parquet.read_table(outputs / "out.parquet").drop_columns(["photo_bytes", "geometry"])
    assert table.to_pylist() == lines
    rows = list(csv.DictReader(io.StringIO((outputs / "out.csv").read_text(encoding="utf-8"))))
    assert [(row["photo"], row["rank"]) for row in rows] == [
        (line["photo"], str(line["rank"])) for line in lines
    ]
    assert (outputs / "out.kml").read_text(encoding="utf-8").count("<Point>") == len(lines) == 10


@pytest.mark.parametrize("name", FORMATS)
def test_a_pipe_gets_the_bytes_that_a_file_gets(drawn_photos: Path, outputs: Path, name: str) -> None:
    done = run(drawn_photos, f"--{name}", "-")
    assert done.exit_code == 0, done.stderr
    assert done.stdout_bytes == (outputs / f"out.{name}").read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_replaces_a_photo(drawn_photos: Path, tmp_path: Path, name: str) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes((drawn_photos / "alps.jpg").read_bytes())
    refused = run(photo, f"--{name}", photo)
    assert refused.exit_code == 2
    assert f"--{name} would overwrite" in refused.stderr
    assert photo.read_bytes() == (drawn_photos / "alps.jpg").read_bytes()


def test_without_any_photo_each_format_is_whole_and_empty(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "none"
    folder.mkdir()
    assert run(folder, *options(tmp_path)).exit_code == 0
    assert json.loads((tmp_path / "out.geojson").read_text(encoding="utf-8"))["features"] == []
    assert parquet.read_table(tmp_path / "out.parquet").num_rows == 0
    assert "<Placemark>" not in (tmp_path / "out.kml").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux")
def test_a_name_that_is_no_text_is_in_every_format(drawn_photos: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    raw = os.fsencode(tmp_path) + b"/<Data>]]>caf\xe9\x01\xff.jpg"
    with open(raw, "wb") as photo:
        photo.write((drawn_photos / "alps.jpg").read_bytes())
    done = run(os.fsdecode(raw), *options(tmp_path))
    assert done.exit_code == 0, done.stderr
    assert raw in (tmp_path / "out.csv").read_bytes()
    assert parquet.read_table(tmp_path / "out.parquet")["photo_bytes"][0].as_py() == raw
    (line, _) = map(json.loads, (tmp_path / "out.jsonl").read_bytes().splitlines())
    (feature, _) = json.loads((tmp_path / "out.geojson").read_bytes())["features"]
    assert feature["properties"] == line
    assert f'<Data name="photo_bytes"><value>{line["photo_bytes"]}</value>' in (
        tmp_path / "out.kml"
    ).read_text(encoding="utf-8")


def without(module: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """The program where a module is not installed."""
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        f"sys.argv = ['geolocate', *{[os.fspath(word) for word in words]!r}]\n"
        "from geolocate.cli import main\nmain()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("module", "name"), [("pyarrow", "parquet"), ("js_lib_leaflet", "map")])
def test_a_missing_extra_is_named_before_any_work(
    drawn_photos: Path, tmp_path: Path, module: str, name: str
) -> None:
    refused = without(module, drawn_photos, *options(tmp_path, ("csv", name)))
    assert refused.returncode == 1
    assert refused.stderr == (
        f"geolocate: --{name} needs the '{name}' extra: pip install 'geolocate[{name}]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_without_extras_the_other_formats_work(drawn_photos: Path, tmp_path: Path) -> None:
    names = ("csv", "jsonl", "geojson", "kml")
    done = without("pyarrow", drawn_photos, "--model", "starter", "-q", *options(tmp_path, names))
    assert (done.returncode, done.stderr) == (0, "")
    assert {f"out.{name}" for name in names} <= {path.name for path in tmp_path.iterdir()}
