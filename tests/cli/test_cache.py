"""`geolocate cache` shows what is kept and removes that alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from geolocate.bottleneck import cache_folder as bottleneck_folder
from geolocate.cache_kinds import KINDS
from geolocate.cli import cli
from geolocate.cli.cache import KIND_NAMES
from geolocate.cli.pull import weights_folder
from geolocate.embedded_gallery import PARTS
from geolocate.embedded_gallery import cache_folder as gallery_folder
from geolocate.embedding_cache import default_cache_path as embeddings_path
from geolocate.geocode_cache import default_cache_path as places_path
from geolocate.pinned_download import PARTIAL_SUFFIX
from geolocate.private_files import cache_root
from geolocate.published import GEOCLIP


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with a file of each kind, as its owners name them."""
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    files = [
        places_path(),
        places_path().with_name(places_path().name + "-wal"),
        embeddings_path(),
        embeddings_path().with_name(embeddings_path().name + ".damaged"),
        *(gallery_folder() / ("0a" * 16) / name for name in PARTS),
        gallery_folder() / ".building-x_1" / PARTS[0],
        bottleneck_folder() / f"{'0b' * 16}.npz",
        *(weights_folder() / file.name for file in GEOCLIP.files),
        weights_folder() / (GEOCLIP.files[-1].name + PARTIAL_SUFFIX),
    ]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 1000)
    return cache_root()


def run(*words: str, answer: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["cache", *words], input=answer)
    return result.exit_code, result.stdout, result.stderr


def left(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


def test_info_knows_every_file_that_the_program_makes(root: Path) -> None:
    status, output, _ = run("info")
    assert status == 0
    assert output.startswith(f"{root}\n")
    assert "was not made" not in output
    kinds = json.loads(run("info", "--json")[1])["kinds"]
    assert {name: kind["files"] for name, kind in kinds.items()} == {
        "places": 2,
        "embeddings": 2,
        "galleries": 4,
        "bottlenecks": 1,
        "downloads": 3,
    }
    assert kinds["galleries"]["bytes"] == 4000
    assert tuple(kind.name for kind in KINDS) == KIND_NAMES


def test_clear_asks_and_then_leaves_nothing(root: Path) -> None:
    before = left(root)
    status, _, message = run("clear", answer="n\n")
    assert status == 1
    assert "Remove places, embeddings, galleries, bottlenecks, downloads (12.0 kB)?" in message
    assert left(root) == before
    assert run("clear", answer="y\n")[2].endswith("removed 12.0 kB in 12 files\n")
    assert left(root) == set()
    assert run("clear") == (0, "", "geolocate: nothing is kept\n")


def test_clear_of_some_kinds_leaves_the_others(root: Path) -> None:
    assert run("clear", "places", "galleries", "--yes")[0] == 0
    kinds = json.loads(run("info", "--json")[1])["kinds"]
    assert [name for name, kind in kinds.items() if not kind["files"]] == ["places", "galleries"]
    assert run("clear", "everything")[0] == 2


def test_what_the_program_did_not_make_stays_and_no_link_is_followed(tmp_path: Path, root: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in PARTS:
        (outside / name).touch()
    (root / "galleries" / ("0c" * 16)).symlink_to(outside)
    (root / "galleries" / ("0d" * 16)).mkdir()
    (root / "galleries" / ("0d" * 16) / PARTS[0]).symlink_to(outside / PARTS[0])
    (root / "galleries" / ("0a" * 16) / "notes.txt").touch()
    (root / "my\x1b[31m.sqlite3").touch()
    (outside / "link").symlink_to(root)
    status, output, _ = run("info")
    assert output.count("was not made by geolocate and stays") == 4
    assert "\x1b" not in output
    assert run("clear", "--yes")[0] == 0
    assert left(root) == {
        "galleries",
        f"galleries/{'0a' * 16}",
        f"galleries/{'0a' * 16}/notes.txt",
        f"galleries/{'0c' * 16}",
        f"galleries/{'0d' * 16}",
        f"galleries/{'0d' * 16}/{PARTS[0]}",
        "my\x1b[31m.sqlite3",
    }
    assert {path.name for path in outside.iterdir()} == {*PARTS, "link"}
    assert status == 0


def test_without_a_cache_there_is_nothing_to_show_or_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "none"))
    assert run("info")[0] == 0
    assert run("clear", "--yes") == (0, "", "geolocate: nothing is kept\n")
    assert not (tmp_path / "none").exists()
