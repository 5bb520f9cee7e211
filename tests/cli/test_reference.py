"""`--reference` as a user gives it to predict and evaluate."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from geolocate.cli import cli


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))


def run(command: str, *words: str | os.PathLike[str]) -> Result:
    arguments = [command, "--model", "starter", "--device", "cpu", *map(os.fspath, words)]
    return CliRunner().invoke(cli, arguments)


@pytest.fixture
def album(drawn_photos: Path, tmp_path: Path) -> Path:
    """All example photos but the first."""
    folder = tmp_path / "album"
    folder.mkdir()
    for photo in sorted(drawn_photos.iterdir())[1:]:
        shutil.copy(photo, folder)
    return folder


def test_rows_say_what_their_place_rests_on_and_the_manifest_names_the_reference(
    drawn_photos: Path, album: Path, tmp_path: Path
) -> None:
    first, second, *_ = sorted(drawn_photos.iterdir())
    target = tmp_path / "out.csv"
    done = run("predict", first, second, "--reference", album, "--reference-weight", "0.9", "--csv", target)
    assert done.exit_code == 0, done.stderr
    assert f"reference {album}: 4 photos with a position\n" in done.stderr
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["notes"] for row in rows] == ["reference", "reference"]
    assert float(rows[1]["error_km"]) > 1  # its own place, which the album holds too, did not count
    options = json.loads((tmp_path / "out.csv.manifest.json").read_text(encoding="utf-8"))["options"]
    assert (options["reference"], options["reference_k"]) == (os.fspath(album), 10)
    again = run("predict", first, "--reference", album)
    assert "4 photos with a position, encoded earlier" in again.stderr


def test_what_is_known_otherwise_rules_over_the_reference(drawn_photos: Path, album: Path) -> None:
    photo = min(drawn_photos.iterdir())
    options = ("--reference", album, "--reference-weight", "0.9", "--country", "IS", "--csv", "-")
    done = run("predict", photo, *options)
    assert done.exit_code == 0, done.stderr
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["country_code"] == "IS"
    assert "has no photo in --country IS: the model alone decides" in done.stderr
    photos = sorted(album.iterdir())
    table = album / "places.csv"
    places = [(64.1, -21.9), (43.5, 11.9), (43.5, 11.9), (43.5, 11.9)]
    rows = [f"{path.name},{lat},{lon}\n" for path, (lat, lon) in zip(photos, places, strict=True)]
    table.write_text("image,latitude,longitude\n" + "".join(rows))
    whole = ("--reference-weight", "1", "--reference-k", "1", "--csv", "-")
    # the nearest references in Iceland count, not the few that are the nearest of all
    done = run("predict", photo, "--reference", table, "--country", "IS", *whole)
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert (row["country_code"], row["notes"]) == ("IS", "prior:country;reference")
    refused = run("predict", photo, "--reference", table, "--country", "FR", *whole)
    assert refused.exit_code == 2
    assert "has no photo in --country FR, and its weight of 1 leaves the model no say" in refused.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--reference", "nowhere"], "no such reference: nowhere"),
        (["--reference", "empty"], "the reference empty has no photo with a position"),
        (["--reference-k", "3"], "--reference-k is about --reference, which is not given"),
        (["--reference", "empty", "--reference-weight", "1.5"], "--reference-weight"),
        (["--reference", "table.csv", "--csv", "table.csv"], "--csv would overwrite table.csv"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    words: list[str], reason: str, drawn_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "table.csv").write_text("image,latitude,longitude\n", encoding="utf-8")
    done = run("predict", min(drawn_photos.iterdir()), *words)
    assert done.exit_code == 2, done.output
    assert reason in done.stderr


def test_evaluate_holds_neighbours_and_both_together_against_the_model(
    drawn_photos: Path, album: Path
) -> None:
    done = run("evaluate", drawn_photos, "--reference", album, "--json", "-")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    names = [row["name"] for row in report["rows"]]
    assert names[:3] == ["starter", "nearest references", "model and references"]
    assert any(
        "0 of 5 photos were taken within 1 km of one of the 4 references" in r for r in report["remarks"]
    )
    refused = run("evaluate", "--predictions", album / "x.csv", "--reference", album)
    assert refused.exit_code == 2
    assert "--predictions has none to compare" in refused.stderr
