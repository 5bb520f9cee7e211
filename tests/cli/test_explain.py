"""`geolocate explain` as a user runs it, over a small world whose truth is known."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from concept_worlds import concept_world, photo_features
from PIL import Image

from geolocate.bottleneck import cache_folder
from geolocate.bundle import CONCEPTS, Bundle, load_bundle
from geolocate.cli import cli
from geolocate.concepts import ConceptBank

RED, GREEN = (255, 60, 0), (40, 255, 0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return concept_world(tmp_path_factory.mktemp("explain") / "world", "trained")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for folder, colour in (("japan", RED), ("italy", GREEN)):
        (tmp_path / folder).mkdir()
        for row in range(3):
            Image.new("RGB", (20, 20), tuple(max(0, c - 9 * row) for c in colour)).save(
                tmp_path / folder / f"{row}.png"
            )
    return tmp_path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))


def run(world: Path | str, *words: str | os.PathLike[str]) -> Result:
    return CliRunner().invoke(
        cli, ["explain", "--device", "cpu", "--model", os.fspath(world), *map(os.fspath, words)]
    )


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def objects(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_photo_gets_its_place_its_concepts_and_what_moves_it(world: Path, photos: Path) -> None:
    result = run(world, photos / "japan" / "0.png")
    assert result.exit_code == 0, result.output
    for words in ("0.png", ", JP", "torii", "the place stands for", "without", "stays", "agreement"):
        assert words in result.stdout


def test_json_has_one_object_a_line_and_says_the_same(world: Path, photos: Path) -> None:
    found = objects(run(world, "--json", photos / "japan", photos / "italy"))
    assert len(found) == 6
    codes = [one["place"]["country_code"] for one in found]  # type: ignore[index]
    assert codes == ["JP"] * 3 + ["IT"] * 3
    first = found[0]
    assert first["concepts"][0]["name"] == "torii"  # type: ignore[index]
    moved = {one["concept"]: one for one in first["interventions"]}  # type: ignore[attr-defined]
    assert moved["torii"]["place"]["country_code"] == "IT"
    assert moved["torii"]["moved_km"] > 9000
    assert moved["torii"]["action"] == "remove"


def test_features_are_explained_without_a_photo(world: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.stack([photo_features(favela=3.0), photo_features(acacia=2.0)]))
    found = objects(run(world, "--json", "--features", tmp_path / "f.npy"))
    assert [one["place"]["country_code"] for one in found] == ["BR", "KE"]  # type: ignore[index]
    assert str(found[1]["photo"]).endswith("f.npy#1")


def test_the_bottleneck_names_the_country_and_its_reasons(world: Path, photos: Path) -> None:
    (one,) = objects(run(world, "--json", "--bottleneck", photos / "italy" / "0.png"))
    layer = one["bottleneck"]
    best = layer["countries"][0]  # type: ignore[index]
    assert best["country"] == "Italy"
    assert next(iter(best["contributions"])) == "campanile"
    assert layer["held_out_accuracy"] > 0.9  # type: ignore[index]
    assert len(list(cache_folder().iterdir())) == 1
    table = run(world, "--bottleneck", photos / "italy" / "0.png")
    assert "held out" in table.stdout
    assert "fitting" not in table.stderr


def test_one_damaged_photo_does_not_lose_the_others(world: Path, photos: Path) -> None:
    (photos / "japan" / "1.png").write_bytes((photos / "japan" / "1.png").read_bytes()[:40])
    result = run(world, "--json", photos / "japan")
    assert result.exit_code == 3
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert ["error" in line for line in lines] == [False, True, False]


def test_two_folders_are_told_apart_by_what_they_show(world: Path, photos: Path) -> None:
    (found,) = objects(run(world, "--json", "--contrast", photos / "japan", photos / "italy"))
    assert found["members"] == [3, 3]
    names = [one["concept"] for one in found["concepts"]]  # type: ignore[attr-defined]
    assert (names[0], names[-1]) == ("torii", "campanile")
    assert "hidden" not in names


def test_two_countries_are_told_apart_and_drawn(world: Path, tmp_path: Path) -> None:
    result = run(world, "--contrast", "jp", "BR", "--output", tmp_path / "c.png")
    assert result.exit_code == 0, result.output
    assert result.stdout.index("torii") < result.stdout.index("favela")
    assert "Japan" in result.stdout
    assert opened(tmp_path / "c.png").size[0] > 500


def test_a_concept_is_mapped_as_table_picture_and_points(world: Path, tmp_path: Path) -> None:
    result = run(
        world, "--concept", " Acacia", "--output", tmp_path / "m.png", "--geojson", tmp_path / "m.geojson"
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[2].startswith("Kenya")
    assert opened(tmp_path / "m.png").format == "PNG"
    assert len(json.loads((tmp_path / "m.geojson").read_text())["features"]) == 480
    again = run(world, "--concept", "acacia", "--output", tmp_path / "m.png")
    assert again.exit_code == 0, "a picture of ours gives way to the next"
    (found,) = objects(run(world, "--json", "--concept", "acacia"))
    assert found["countries"][0]["country_code"] == "KE"  # type: ignore[index]


def test_a_picture_goes_to_a_pipe_without_the_table(world: Path) -> None:
    result = run(world, "--concept", "acacia", "--output", "-")
    assert result.exit_code == 0, result.output
    assert Image.open(io.BytesIO(result.stdout_bytes)).format == "PNG"


def test_no_picture_replaces_a_photo(world: Path, photos: Path) -> None:
    photo = photos / "japan" / "0.png"
    before = photo.read_bytes()
    result = run(world, "--concept", "acacia", "--output", photo)
    assert result.exit_code == 2
    assert photo.read_bytes() == before


def test_a_concept_that_is_not_shown_is_mapped_with_a_warning(world: Path) -> None:
    result = run(world, "--concept", "hidden")
    assert result.exit_code == 0
    assert "not shown with photos" in result.stderr


def test_an_unknown_concept_is_answered_with_those_like_it(world: Path) -> None:
    result = run(world, "--concept", "akacia\x1b[31m")
    assert result.exit_code == 2
    assert "acacia" in result.stderr
    assert "\x1b" not in result.stderr


def test_without_concepts_the_missing_part_and_the_fix_are_named(
    photos: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ConceptBank, "from_bundle", classmethod(lambda cls, bundle: None))
    for words in ((photos / "japan",), ("--contrast", "IT", "JP"), ("--concept", "acacia")):
        result = run(world, *words)
        assert result.exit_code == 1
        assert CONCEPTS in result.stderr
        assert "geolocate train" in result.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "nothing to explain"),
        (("a.jpg", "--concept", "acacia"), "one at a time"),
        (("--concept", " "), "empty"),
        (("--contrast", "IT", "ZZ"), "no country ZZ"),
        (("--contrast", "IT", "no/such/folder"), "not compared"),
        (("--contrast", "no/such", "folder/here"), "no/such"),
        (("a.jpg", "--output", "x.png"), "--output draws"),
        (("--concept", "acacia", "--output", "x.jpg"), "PNG"),
        (("--contrast", "IT", "JP", "--geojson", "x"), "--geojson"),
        (("--concept", "acacia", "--boost"), "single photos"),
        (("--concept", "acacia", "--workers", "2"), "--workers"),
        (("--concept", "acacia", "--json", "--output", "-"), "standard output"),
    ],
)
def test_calls_that_make_no_sense_are_refused(world: Path, words: tuple[str, ...], complaint: str) -> None:
    result = run(world, *words)
    assert result.exit_code == 2, result.output
    assert complaint in result.stderr


def test_hostile_names_cannot_steer_the_terminal(world: Path, photos: Path) -> None:
    evil = photos / "japan" / "\x1b]0;x\x07\udcff.png"
    (photos / "japan" / "0.png").rename(evil)
    result = run(world, evil)
    assert result.exit_code == 0, result.output
    assert "\x1b]" not in result.stdout
    (found,) = objects(run(world, "--json", evil))
    assert str(found["photo"]).endswith("\ufffd.png")


def test_the_world_is_a_bundle_like_any(world: Path) -> None:
    bundle: Bundle = load_bundle(world)
    assert all(problem is None for _, problem in bundle.verify())


def test_in_a_pipe_no_line_is_folded(world: Path, photos: Path) -> None:
    deep = photos / ("a_folder_with_a_long_name_" * 4)
    deep.mkdir()
    (deep / "a.png").write_bytes((photos / "japan" / "0.png").read_bytes())
    assert os.fspath(deep / "a.png") in run(world, deep / "a.png", "-q").stdout.splitlines()
