"""`--near`, `--country`, `--bbox`, `--album`, `--by country` and `--abstain`, as a user runs them."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dated_photos import dated_photo
from geopy.distance import geodesic

from geolocate.cli import cli

Rows = list[dict[str, str]]


def run(*words: str | os.PathLike[str], stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, [os.fspath(word) for word in words], input=stdin)


def rows(result: Result) -> Rows:
    assert result.exit_code == 0, result.stderr
    return list(csv.DictReader(io.StringIO(result.stdout)))


@pytest.fixture(scope="module")
def trip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos of one hour in Arezzo, the second without a position; and one of another year."""
    folder = tmp_path_factory.mktemp("trip")
    dated_photo(folder / "a.jpg", "2008:10:22 16:28:39", (43.46745, 11.88513), seed=1)
    dated_photo(folder / "b.jpg", "2008:10:22 16:38:20", seed=2)
    dated_photo(folder / "c.jpg", "2008:10:22 16:55:37", (43.46601, 11.87911), seed=3)
    dated_photo(folder / "d.jpg", "2011:01:01 00:00:00", seed=4)
    return folder


@pytest.mark.parametrize("ranking", ["merged", "points", "published"])
def test_near_puts_every_candidate_inside_the_circle(drawn_photos: Path, ranking: str) -> None:
    table = rows(run(drawn_photos, "--near", "43.47,11.88,50", "-k", "5", "--ranking", ranking))
    assert table
    for row in table:
        assert geodesic((43.47, 11.88), (row["latitude"], row["longitude"])).km <= 50
        assert row["notes"].split(";").count("prior:near") == 1


def test_near_places_the_real_photos_of_arezzo(real_photos: Path) -> None:
    photos = sorted((real_photos / "exif").glob("DSCN*.jpg"))
    table = rows(run(*photos, "--near", "43.47,11.88,50", "-k", "5"))
    assert len({row["photo"] for row in table}) == 5
    assert all(geodesic((43.47, 11.88), (row["latitude"], row["longitude"])).km <= 50 for row in table)


def test_country_puts_every_candidate_inside_it(drawn_photos: Path) -> None:
    table = rows(run(drawn_photos, "--country", "it,CH", "-k", "5"))
    assert {row["country_code"] for row in table} <= {"IT", "CH"}
    assert len(table) == 5 * len(list(drawn_photos.iterdir()))


def test_country_holds_in_a_gallery_of_ones_own(drawn_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("LAT,LON\n41.9,12.5\n48.86,2.35\n45.5,9.2\n", encoding="utf-8")
    table = rows(run(drawn_photos, "--gallery", tmp_path / "own.csv", "--country", "FR"))
    assert {(row["latitude"], row["longitude"]) for row in table} == {("48.860000", "2.350000")}


def test_a_box_over_the_antimeridian_holds(drawn_photos: Path) -> None:
    table = rows(run(drawn_photos, "--bbox=-50,170,20,-170", "-k", "3"))
    assert all(abs(float(row["longitude"])) >= 170 for row in table)
    assert all(-50 <= float(row["latitude"]) <= 20 for row in table)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--country", "ZZ"], "'ZZ' is no country code"),
        (["--country", "Italy"], "did you mean IT"),
        (["--near", "43.47,11.88"], "'43.47,11.88' is not LAT,LON,KM"),
        (["--near", "143.47,11.88,5"], "a latitude lies between -90 and 90, not 143.47"),
        (["--near", "a,b,c"], "'a,b,c' is not LAT,LON,KM"),
        (["--bbox", "1,2,3"], "'1,2,3' is not S,W,N,E"),
        (["--bbox", "9,2,3,4"], "the south lies north of the north"),
        (["--near", "0,-30,5"], "the gallery has no point in --near 0,-30,5: the nearest is"),
        (["--country", "IT", "--near", "48.86,2.35,300"], "excludes everything"),
        (["--abstain", "0"], "--abstain"),
        (["--abstain", "nan"], "no finite number"),
        (["--by", "country", "--geocoder", "none"], "leave out --geocoder"),
    ],
)
def test_what_cannot_be_is_a_usage_error_before_any_work(
    drawn_photos: Path, tmp_path: Path, words: list[str], told: str
) -> None:
    done = run(drawn_photos, "--csv", tmp_path / "out.csv", *words)
    assert done.exit_code == 2
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_errors_in_the_environment_name_the_variable(
    drawn_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOLOCATE_COUNTRY", "ZZ")
    assert "(from GEOLOCATE_COUNTRY)" in run(drawn_photos).stderr
    monkeypatch.setenv("GEOLOCATE_COUNTRY", "IT")
    monkeypatch.setenv("GEOLOCATE_BBOX", "1,2")
    assert "(from GEOLOCATE_BBOX)" in run(drawn_photos).stderr


def test_by_country_gives_countries_whose_probabilities_sum_up(drawn_photos: Path) -> None:
    photo = sorted(drawn_photos.iterdir())[0]
    table = rows(run(photo, "--by", "country", "-k", "400"))
    codes = [row["country_code"] for row in table]
    assert len(codes) == len(set(codes)) > 100
    probabilities = [float(row["probability"]) for row in table]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-4)
    assert [row["rank"] for row in table[:3]] == ["1", "2", "3"]
    assert table[0]["radius_km"]
    within = rows(run(photo, "--by", "country", "-k", "5", "--country", "IT,FR"))
    assert {row["country_code"] for row in within} == {"IT", "FR"}


def test_abstaining_leaves_a_row_without_a_coordinate_and_is_no_failure(drawn_photos: Path) -> None:
    photo = sorted(drawn_photos.iterdir())[0]
    (row,) = rows(run(photo, "--abstain", "1"))
    assert (row["latitude"], row["longitude"], row["rank"], row["error_km"]) == ("", "", "", "")
    assert row["exif_latitude"]
    assert "uncertain" in row["notes"].split(";")
    (line,) = run(photo, "--abstain", "1", "--jsonl", "-").stdout.splitlines()
    assert json.loads(line)["latitude"] is None
    assert json.loads(line)["notes"] == row["notes"]
    (kept,) = rows(run(photo, "--abstain", "30000"))
    assert kept["latitude"]


def test_an_album_places_a_photo_by_its_neighbours_and_says_so(trip: Path) -> None:
    result = run(trip, "--album")
    table = {Path(row["photo"]).stem: row for row in rows(result)}
    between = table["b"]
    assert geodesic((43.467, 11.883), (between["latitude"], between["longitude"])).km < 2
    assert between["notes"] == "album"
    assert float(between["probability"]) > 0.5
    assert "album: 2 of 4 photos have a position and a time" in result.stderr
    assert table["d"]["notes"] == ""
    (alone,) = rows(run(trip / "d.jpg"))
    assert {**table["d"], "photo": ""} == {**alone, "photo": ""}


def test_a_row_that_rests_on_neighbours_has_no_error_and_its_own_position_did_not_count(trip: Path) -> None:
    table = {Path(row["photo"]).stem: row for row in rows(run(trip, "--album"))}
    assert table["a"]["notes"] == "album"
    assert table["a"]["error_km"] == ""
    assert table["a"]["exif_latitude"] == "43.467450"
    # the other photo's position, and not its own
    assert (table["a"]["latitude"], table["a"]["longitude"]) == ("43.466010", "11.879110")


def test_an_album_reads_a_list_on_standard_input_once_and_without_exif_shows_none(trip: Path) -> None:
    names = "\n".join(os.fspath(path) for path in sorted(trip.iterdir())).encode()
    table = rows(run("-", "--album", stdin=names))
    assert table == rows(run(*sorted(trip.iterdir()), "--album"))
    blind = rows(run("-", "--album", "--no-exif", stdin=names))
    assert blind[1]["notes"] == "album"
    assert all(row["exif_latitude"] == "" for row in blind)


def test_the_manifest_says_what_was_known(trip: Path, tmp_path: Path) -> None:
    run(trip, "--album", "--near", "43.47,11.88,100", "--csv", tmp_path / "out.csv")
    options = json.loads((tmp_path / "out.csv.manifest.json").read_text(encoding="utf-8"))["options"]
    assert options["near"] == [43.47, 11.88, 100]
    assert options["album"] is True
    assert (options["country"], options["bbox"], options["abstain"], options["by"]) == (
        None,
        None,
        None,
        "place",
    )


def test_an_album_of_features_is_refused(tmp_path: Path) -> None:
    done = run("--features", tmp_path / "x.npy", "--album")
    assert done.exit_code == 2
    assert "--no-album" in done.stderr or "--album" in done.stderr
