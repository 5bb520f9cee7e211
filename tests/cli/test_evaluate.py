"""`geolocate evaluate` as a user runs it: photos, a table, earlier predictions, and what can be wrong."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from geolocate.cli import cli

Words = str | os.PathLike[str]


def run(*words: Words) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *(os.fspath(word) for word in words)])


def report_of(folder: Path, *words: Words, status: int = 0) -> dict[str, Any]:
    target = folder / "report.json"
    done = run(*words, "--json", target)
    assert done.exit_code == status, done.output
    found: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def predictions(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What predict wrote of the drawn photos, which have EXIF positions."""
    target = tmp_path_factory.mktemp("out") / "out.csv"
    done = CliRunner().invoke(
        cli, [str(drawn_photos), "--model", "starter", "-k", "3", "-q", "--csv", str(target)]
    )
    assert done.exit_code == 0, done.output
    return target


def test_a_folder_its_table_and_its_predictions_get_the_same_report(
    drawn_photos: Path, predictions: Path, tmp_path: Path
) -> None:
    of_folder = report_of(tmp_path, drawn_photos, "--model", "starter", "-q")
    of_predictions = report_of(tmp_path, "--predictions", predictions, "--model", "starter")
    table = tmp_path / "truth.csv"
    with predictions.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["rank"] == "1"]
    table.write_text(
        "IMG_ID,LAT,LON\n"
        + "".join(f"{Path(r['photo']).name},{r['exif_latitude']},{r['exif_longitude']}\n" for r in rows)
    )
    of_table = report_of(tmp_path, table, "--images", drawn_photos, "--model", "starter", "-q")
    joined = report_of(tmp_path, table, "--predictions", predictions)
    first = of_folder["rows"][0]
    assert first["n"] == len(rows) == 5
    for other in (of_predictions, of_table, joined):
        row = other["rows"][0]
        assert [row[key] for key in ("n", "missed", "within_2500_km")] == [
            first[key] for key in ("n", "missed", "within_2500_km")
        ]
        assert row["median_km"] == pytest.approx(first["median_km"], abs=1e-3)
        assert row["geoscore"] == pytest.approx(first["geoscore"], abs=1e-3)
    assert [row["name"] for row in of_folder["rows"]] == [
        row["name"].replace("predictions", "starter") for row in of_predictions["rows"]
    ]
    assert of_folder["coverage"][0]["hits"] == of_predictions["coverage"][0]["hits"]


def test_the_report_is_text_on_standard_output_and_messages_are_elsewhere(predictions: Path) -> None:
    done = run("--predictions", predictions)
    assert done.exit_code == 0
    assert done.stdout.startswith("out.csv\n")
    assert "photos within, in per cent" in done.stdout
    assert "columns of out.csv: predicted: latitude, longitude; true: exif_latitude" in done.stderr
    assert run("-q", "--predictions", predictions).stderr == ""


def test_json_and_markdown_to_standard_output_come_alone(predictions: Path) -> None:
    assert json.loads(run("--predictions", predictions, "--json", "-").stdout)["rows"]
    assert run("--predictions", predictions, "--markdown", "-").stdout.startswith("# Accuracy of predictions")


def test_a_photo_that_fails_is_a_miss_and_said_so(drawn_photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawn_photos, folder)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    table = tmp_path / "truth.csv"
    names = sorted(path.name for path in folder.iterdir())
    table.write_text("image,lat,lon\n" + "".join(f"{name},1,2\n" for name in names) + "gone.jpg,1,2\n")
    report = report_of(
        tmp_path, table, "--images", folder, "--model", "starter", "--benchmark", "im2gps3k", status=3
    )
    assert (report["rows"][0]["n"], report["rows"][0]["missed"]) == (6, 1)
    assert any("broken.jpg" in remark for remark in report["remarks"])
    assert any("1 x file missing: gone.jpg" in remark for remark in report["remarks"])
    assert len(report["published"]) > 10


def test_photos_that_stand_in_the_gallery_are_told_and_can_be_dropped(tmp_path: Path) -> None:
    table, points = tmp_path / "p.csv", tmp_path / "gallery.csv"
    table.write_text("lat,lon,pred_lat,pred_lon\n10,20,10,20\n30.00002,40,0,0\n-50,60,0,0\n")
    points.write_text("LAT,LON\n10,20\n30,40\n70,80\n")
    words = ("--predictions", table, "--gallery", points)
    told = report_of(tmp_path, *words)
    assert told["rows"][0]["n"] == 3
    assert any("2 of 3 photos lie within 10 m of a gallery point" in remark for remark in told["remarks"])
    assert report_of(tmp_path, *words, "--drop-leaked")["rows"][0]["n"] == 1
    assert report_of(tmp_path, *words, "--drop-leaked", "--leak-distance", "1")["rows"][0]["n"] == 2
    table.write_text("lat,lon,pred_lat,pred_lon\n10,20,10,20\n")
    assert "no photo is left" in run(*words, "--drop-leaked").stderr


def test_the_distance_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    table = tmp_path / "p.csv"
    table.write_text("lat,lon,pred_lat,pred_lon\n0,0,0,90\n")
    sphere = report_of(tmp_path, "--predictions", table)["rows"][0]["median_km"]
    ellipsoid = report_of(tmp_path, "--predictions", table, "--distance", "geodesic")["rows"][0]["median_km"]
    assert sphere == pytest.approx(10007.5434, abs=1e-3)
    assert ellipsoid == pytest.approx(10018.7542, abs=1e-3)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "Missing argument"),
        (["{folder}/none.csv"], 2, "does not exist"),
        (["--features", "{table}"], 2, "--features needs TABLE.csv"),
        (["{folder}", "--images", "{folder}"], 2, "is a folder"),
        (["{folder}", "--predictions", "{table}"], 2, "is a folder"),
        (["--predictions", "{table}", "--features", "x.npy"], 2, "one or the other"),
        (["--predictions", "{table}", "--crops", "10"], 2, "--crops is about photos"),
        (["--predictions", "{table}", "--batch-size", "3"], 2, "--batch-size: about photos"),
        (["--predictions", "{table}", "--ranking", "points"], 2, "--ranking: --predictions places nothing"),
        (
            ["--predictions", "{table}", "--drop-leaked"],
            2,
            "--drop-leaked: leaks are looked for in a gallery",
        ),
        (["{table}", "--features", "{table}", "--image-column", "a"], 2, "--image-column: the table of"),
        (["--predictions", "{table}", "--fit-temperature", "out"], 2, "wants the model's posterior"),
        (["--predictions", "{table}", "--predicted-columns", "lat"], 2, "two names of columns"),
        (["--predictions", "{table}", "--json", "-", "--markdown", "-"], 2, "cannot both"),
        (["--predictions", "{table}", "--json", "{table}"], 2, "would overwrite"),
        (["--predictions", "{table}"], 1, "does not tell which columns"),
        (["--predictions", "{folder}/none.csv"], 1, "cannot be read as a table"),
        (["{table}", "--model", "starter"], 1, "no column of photos"),
        (["{folder}", "--model", "starter"], 1, "no photo with a position"),
        (["{folder}", "--model", "starter", "--fit-temperature", "{folder}"], 1, "exists"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_a_traceback(
    tmp_path: Path, words: list[str], status: int, message: str
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("lat,lon\n1,2\n")
    done = run(*(word.format(folder=tmp_path, table=table) for word in words))
    assert done.exit_code == status, done.output
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_few_photos_fit_no_temperature_and_leave_nothing_behind(drawn_photos: Path, tmp_path: Path) -> None:
    done = run(drawn_photos, "--model", "starter", "--fit-temperature", tmp_path / "copy")
    assert done.exit_code == 2
    assert "at least 50 photos with a position, here are 5" in done.stderr
    assert not list(tmp_path.iterdir())


def test_pictures_are_drawn_where_asked(predictions: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra: pip install 'geolocate[plots]'")
    done = run("--predictions", predictions, "--pictures", tmp_path / "pictures")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [
        "accuracy.png",
        "errors_map.png",
    ]
