"""A gallery of the user's own: embedded once, kept, and never mistaken for another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geolocate import Geolocator, embedded_gallery
from geolocate.bundle import Bundle, load_bundle
from geolocate.embedded_gallery import EMBEDDINGS, open_gallery
from geolocate.errors import BundleDamaged, GalleryError
from geolocate.session import LocationEncoder


@pytest.fixture(scope="module")
def starter() -> Bundle:
    return load_bundle("starter")


@pytest.fixture
def points(tmp_path: Path) -> Path:
    path = tmp_path / "gallery.csv"
    rng = np.random.default_rng(1)
    rows = np.stack((rng.uniform(-80, 80, 5000), rng.uniform(-180, 180, 5000)), axis=1)
    text = "".join(f"{lat:.6f},{lon:.6f}\n" for lat, lon in [*rows, rows[7]])
    path.write_text("LAT,LON\n" + text, encoding="utf-8")
    return path


def counter() -> tuple[list[int], Callable[[int, int], None]]:
    calls: list[int] = []
    return calls, lambda done, total: calls.append(done)


def test_the_bundles_own_coordinates_get_the_bundles_own_embeddings(starter: Bundle, tmp_path: Path) -> None:
    coordinates = np.load(starter.path / "gallery_coordinates.npy")
    path = tmp_path / "same.csv"
    path.write_text("lat,lon\n" + "".join(f"{lat!r},{lon!r}\n" for lat, lon in coordinates.tolist()))
    gallery = open_gallery(path, starter, "cpu", cache=tmp_path / "cache")
    shipped = np.load(starter.path / "gallery_embeddings.npy").astype(np.float32)
    assert np.array_equal(gallery.coordinates, coordinates)
    np.testing.assert_allclose(gallery.embeddings, shipped, atol=5e-4)  # shipped as float16


def test_the_second_run_embeds_nothing(starter: Bundle, points: Path, tmp_path: Path) -> None:
    first_calls, advance = counter()
    first = open_gallery(points, starter, "cpu", advance=advance, cache=tmp_path / "cache")
    assert first_calls == [4096, 5000]
    second_calls, advance = counter()
    second = open_gallery(points, starter, "cpu", advance=advance, cache=tmp_path / "cache")
    assert second_calls == []
    assert np.array_equal(first.embeddings, second.embeddings)
    assert second.weights[7] == 2
    assert second.weights.sum() == 5001


def test_a_changed_file_is_embedded_anew(starter: Bundle, points: Path, tmp_path: Path) -> None:
    open_gallery(points, starter, "cpu", cache=tmp_path / "cache")
    points.write_text("LAT,LON\n10,20\n")
    assert len(open_gallery(points, starter, "cpu", cache=tmp_path / "cache")) == 1


@pytest.mark.parametrize("damage", [b"", b"not an array", None])
def test_a_damaged_entry_is_built_again(
    starter: Bundle, points: Path, tmp_path: Path, damage: bytes | None
) -> None:
    whole = np.array(open_gallery(points, starter, "cpu", cache=tmp_path / "cache").embeddings)
    (entry,) = (tmp_path / "cache").iterdir()
    if damage is None:
        (entry / EMBEDDINGS).unlink()
    else:
        (entry / EMBEDDINGS).write_bytes(damage)
    calls, advance = counter()
    again = open_gallery(points, starter, "cpu", advance=advance, cache=tmp_path / "cache")
    assert calls == [4096, 5000]
    assert np.array_equal(again.embeddings, whole)


def test_of_two_runs_at_once_the_first_entry_stays(
    starter: Bundle, points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed, cache = embedded_gallery._embed, tmp_path / "cache"

    def overtaken(*arguments: Any) -> None:
        embed(*arguments)
        monkeypatch.setattr(embedded_gallery, "_embed", embed)
        open_gallery(points, starter, "cpu", cache=cache)
        first.extend(path.stat().st_ino for path in cache.iterdir() if not path.name.startswith("."))

    first: list[int] = []
    monkeypatch.setattr(embedded_gallery, "_embed", overtaken)
    assert len(open_gallery(points, starter, "cpu", cache=cache)) == 5000
    assert [path.stat().st_ino for path in cache.iterdir()] == first
    assert len(first) == 1


def test_an_entry_that_cannot_be_read_back_is_done_without(
    starter: Bundle, points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_gallery, "_load", lambda entry, width: None)
    said: list[str] = []
    gallery = open_gallery(points, starter, "cpu", warn=said.append, cache=tmp_path / "cache")
    assert len(gallery) == 5000
    assert len(said) == 1
    assert "cannot be read back" in said[0]


def test_without_a_usable_cache_the_run_goes_on_and_says_so(
    starter: Bundle, points: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "cache"
    blocked.write_text("a file where the folder should be")
    said: list[str] = []
    gallery = open_gallery(points, starter, "cpu", warn=said.append, cache=blocked)
    assert len(gallery) == 5000
    assert len(said) == 1
    assert str(blocked) in said[0]


@pytest.mark.parametrize(
    "text", ["", "LAT,LON\n", "LAT,LON\n1,x\n", "LAT,LON\n100,20\n", "LAT,LON\nnan,20\n", "X,Y\n1,2\n"]
)
def test_what_is_no_gallery_is_refused_and_leaves_no_entry(
    starter: Bundle, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "gallery.csv"
    path.write_text(text)
    with pytest.raises(GalleryError):
        open_gallery(path, starter, "cpu", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    with pytest.raises(GalleryError):
        open_gallery(tmp_path / "missing.csv", starter, "cpu", cache=tmp_path / "cache")


def test_photos_are_placed_on_the_points_of_the_users_gallery(
    starter: Bundle, drawn_photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "two.csv"
    path.write_text("Lat,Lon\n-33.8568,151.2153\n48.8584,2.2945\n")
    gallery = open_gallery(path, starter, "cpu", cache=tmp_path / "cache")
    geolocator = Geolocator(starter, device="cpu", gallery=gallery)
    for prediction in geolocator.locate([drawn_photos], top_k=5):
        found = {(c.position.latitude, c.position.longitude) for c in prediction.candidates}
        assert found == {(-33.8568, 151.2153), (48.8584, 2.2945)}
        assert sum(c.probability for c in prediction.candidates) == pytest.approx(1, abs=1e-5)


def test_an_encoder_that_gives_nan_is_refused_and_nothing_of_it_kept(
    starter: Bundle, points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = LocationEncoder.__call__

    def broken(self: LocationEncoder, coordinates: np.ndarray) -> np.ndarray:
        embeddings = embed(self, coordinates)
        embeddings[len(embeddings) // 2, 3] = np.nan
        return embeddings

    monkeypatch.setattr(LocationEncoder, "__call__", broken)
    with pytest.raises(BundleDamaged, match="no unit vectors"):
        open_gallery(points, starter, "cpu", cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
