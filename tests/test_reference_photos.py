"""Opening a reference: folders, tables, bad files, and the cache that later runs share."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geolocate import Geolocator
from geolocate.embedding_cache import EmbeddingCache, default_cache_path
from geolocate.errors import TableError, UsageError
from geolocate.reference import Reference


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def starter(said: list[str]) -> Geolocator:
    return Geolocator.load("starter", device="cpu", say=said.append)


def opened(geolocator: Geolocator, path: Path, encoded: list[int] | None = None) -> Reference:
    return geolocator.open_reference(
        path, advance=lambda done, total: None if encoded is None else encoded.append(total)
    )


def test_bad_files_in_a_reference_are_counted_and_named(
    starter: Geolocator, said: list[str], drawn_photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "album"
    shutil.copytree(drawn_photos, folder)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    Image.new("RGB", (8, 8)).save(folder / "nowhere.png")
    shutil.copy(next(iter(sorted(drawn_photos.iterdir()))), folder / "zz-again.jpg")
    reference = opened(starter, folder)
    assert len(reference) == len(list(drawn_photos.iterdir()))
    expected = [image.embedding for image in starter.encode_images([drawn_photos])]
    assert np.allclose(reference.embeddings, expected, atol=1e-6)
    left_out = " ".join(said)
    for kind, name in (
        ("1 x cannot be read", "broken.jpg"),
        ("1 x no position in its EXIF", "nowhere.png"),
        ("1 x copy of another photo", "zz-again.jpg"),
    ):
        assert kind in left_out
        assert name in left_out


def test_a_table_places_photos_that_have_no_exif(
    starter: Geolocator, said: list[str], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (64, 64), (name == "a" and "red") or "blue").save(tmp_path / f"{name}.png")
    table = tmp_path / "where.csv"
    table.write_text("image,latitude,longitude\na.png,10,20\nb.png,-30,40\nc.png,1,2\n", encoding="utf-8")
    reference = opened(starter, table)
    assert reference.coordinates.tolist() == [[10, 20], [-30, 40]]
    assert any("1 x file missing: c.png" in line for line in said)


def test_a_later_run_encodes_nothing_again_and_a_new_name_is_no_new_photo(
    starter: Geolocator, drawn_photos: Path, tmp_path: Path
) -> None:
    first: list[int] = []
    before = opened(starter, drawn_photos, first)
    assert len(first) == len(before)
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for number, photo in enumerate(sorted(drawn_photos.iterdir())):
        shutil.copy(photo, renamed / f"{number}.jpg")
    again: list[int] = []
    after = opened(starter, renamed, again)
    assert again == []
    assert np.array_equal(before.embeddings, after.embeddings)
    path = default_cache_path()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_another_model_finds_nothing_and_a_damaged_row_is_no_embedding(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.sqlite3"
    row = np.arange(4, dtype=np.float32)
    with EmbeddingCache(path, "one", 4, pytest.fail) as cache:
        cache.put([("a", row), ("b", row * np.float32("nan"))])
        assert cache.get(["a", "b", "c"]).keys() == {"a"}
        assert cache.get(["a"])["a"].tolist() == row.tolist()
        assert len(cache.get([f"{number}" for number in range(2000)] + ["a"])) == 1
    with EmbeddingCache(path, "two", 4, pytest.fail) as cache:
        assert cache.get(["a"]) == {}
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE embeddings SET embedding = x'00'")
    connection.close()
    with EmbeddingCache(path, "one", 4, pytest.fail) as cache:
        assert cache.get(["a"]) == {}


def test_without_a_cache_folder_the_reference_is_there_all_the_same(
    starter: Geolocator, said: list[str], drawn_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "file"))
    assert len(opened(starter, drawn_photos)) == len(list(drawn_photos.iterdir()))
    assert sum("embeddings of photos are not kept" in line for line in said) == 1


def test_a_reference_without_positions_is_refused_with_what_it_should_be(
    starter: Geolocator, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no such reference"):
        opened(starter, tmp_path / "missing")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="has no photo with a position: it is a folder of photos with GPS"):
        opened(starter, tmp_path)
    with pytest.raises(UsageError, match="is a photo: a reference is a folder"):
        opened(starter, tmp_path / "a.png")
    (tmp_path / "table.csv").write_text("name,where\na,b\n", encoding="utf-8")
    with pytest.raises(TableError):
        opened(starter, tmp_path / "table.csv")


def test_three_photos_of_a_walk_place_the_other_two_within_a_kilometre(
    starter: Geolocator, real_photos: Path, tmp_path: Path
) -> None:
    walk = sorted((real_photos / "exif").glob("DSCN*.jpg"))
    assert len(walk) == 5
    for number, known in enumerate(combinations(walk, 3)):
        album = tmp_path / str(number)
        album.mkdir()
        for photo in known:
            shutil.copy(photo, album)
        reference = opened(starter, album)
        others = [photo for photo in walk if photo not in known]
        for prediction in starter.locate(others, reference=reference):
            (best,) = prediction.candidates
            assert best.error_km is not None
            assert best.error_km < 1.0
            assert best.radius_km is not None
            assert best.radius_km > best.error_km
            assert "reference" in prediction.notes


def test_photos_of_the_reference_itself_are_placed_by_the_others(
    starter: Geolocator, drawn_photos: Path, tmp_path: Path
) -> None:
    photo, *_ = sorted(drawn_photos.iterdir())
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(photo, alone / "renamed.jpg")
    reference = opened(starter, alone)
    (with_it,) = starter.locate([photo], reference=reference)
    (without,) = starter.locate([photo])
    assert with_it == without
