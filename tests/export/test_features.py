"""The cache of features: by content, in order, whole after a kill, and never fatal for one bad photo."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from backbones import SIDE, WIDTH, write_backbone
from PIL import Image

from geolocate.errors import OutputError, UsageError
from geolocate.photos import decode_photo
from geolocate_export import features
from geolocate_export.backbone import load_backbone
from geolocate_export.features import DUPLICATE, NOT_HELD, cached_features
from geolocate_export.model import ImageConfig, ImageEncoder
from geolocate_export.parity import generated_photos
from geolocate_export.training_data import NOT_DECODED, TrainingPhotos

COUNT = 11


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven pictures, wider than high."""
    path = tmp_path_factory.mktemp("pictures")
    for number, pixels in enumerate(generated_photos(COUNT, 96)):
        Image.fromarray(pixels).resize((120, 80)).save(path / f"{number:02}.jpg", quality=90)
    return path


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> ImageEncoder:
    config, tower = load_backbone(str(write_backbone(tmp_path_factory.mktemp("backbone"))))
    encoder = ImageEncoder(config, 4)
    encoder.backbone = tower
    return encoder


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "BLOCK", 4)


def photos_in(folder: Path) -> TrainingPhotos:
    names = tuple(sorted(path.name for path in folder.iterdir()))
    coordinates = np.stack((np.arange(len(names)), np.arange(len(names)) + 0.5), axis=1).astype(np.float64)
    return TrainingPhotos(names, tuple(str(folder / name) for name in names), coordinates)


def stored(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(cache.rglob("*")) if path.is_file()}


def test_view_0_is_the_photo_as_inference_sees_it(
    folder: Path, encoder: ImageEncoder, tmp_path: Path
) -> None:
    photos = photos_in(folder)
    found = cached_features(photos, encoder, 3, tmp_path)
    assert found.features.shape == (COUNT, 3, WIDTH)
    assert found.features.dtype == np.float16
    assert isinstance(found.features, np.memmap)
    assert found.names == photos.names
    np.testing.assert_array_equal(found.coordinates, photos.coordinates)
    pixels = np.stack([decode_photo(path, size=SIDE).pixels for path in photos.paths])
    expected = encoder.features(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(found.features[:, 0], expected, rtol=1e-3, atol=1e-3)
    assert not np.array_equal(found.features[:, 1], found.features[:, 2])


def test_a_photo_has_the_same_views_in_any_order_under_any_name_with_any_number_of_threads(
    folder: Path, encoder: ImageEncoder, tmp_path: Path
) -> None:
    first = cached_features(photos_in(folder), encoder, 3, tmp_path / "a", workers=1)
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for path in folder.iterdir():
        shutil.copy(path, renamed / f"{99 - int(path.stem)}.jpg")
    second = cached_features(photos_in(renamed), encoder, 3, tmp_path / "b", workers=5)
    np.testing.assert_allclose(second.features[::-1], first.features, rtol=2e-3, atol=2e-3)


def test_what_is_cached_is_never_computed_again(
    folder: Path, encoder: ImageEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cached_features(photos_in(folder), encoder, 2, tmp_path / "cache")
    before = np.array(first.features)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(features, "decode_photo", never)
    monkeypatch.setattr(encoder, "features", never)
    photos = photos_in(folder)
    backwards = TrainingPhotos(photos.names[::-2], photos.paths[::-2], photos.coordinates[::-2])
    found = cached_features(backwards, encoder, 2, tmp_path / "cache")
    np.testing.assert_array_equal(found.features, before[::-2])
    assert found.names == photos.names[::-2]


@pytest.mark.parametrize("torn", [lambda data: data, lambda data: data + b"half a row"])
def test_after_a_kill_it_goes_on_to_the_same_bytes(
    folder: Path, encoder: ImageEncoder, tmp_path: Path, torn: Callable[[bytes], bytes]
) -> None:
    cached_features(photos_in(folder), encoder, 2, tmp_path / "straight")

    def killed(done: int, total: int) -> None:
        assert total == COUNT
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_features(photos_in(folder), encoder, 2, tmp_path / "killed", progress=killed)
    for name in (features.FEATURES_NAME, features.DIGESTS_NAME):
        (path,) = (tmp_path / "killed").rglob(name)
        assert 0 < path.stat().st_size < len(stored(tmp_path / "straight")[name])
        path.write_bytes(torn(path.read_bytes()))
    seen: list[int] = []
    cached_features(
        photos_in(folder), encoder, 2, tmp_path / "killed", progress=lambda done, _: seen.append(done)
    )
    assert stored(tmp_path / "killed") == stored(tmp_path / "straight")
    assert seen == list(range(1, COUNT + 1))


def test_bad_photos_and_doubles_are_counted_and_named(
    folder: Path, encoder: ImageEncoder, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(folder, mixed)
    (mixed / "03b.jpg").write_bytes((mixed / "03.jpg").read_bytes())
    (mixed / "05.jpg").write_bytes((mixed / "05.jpg").read_bytes()[:500])
    (mixed / "07.jpg").write_bytes(b"no photo")
    photos = photos_in(mixed)
    (mixed / "01.jpg").unlink()
    os.mkfifo(mixed / "01.jpg")
    found = cached_features(photos, encoder, 1, tmp_path / "cache")
    assert found.names == tuple(f"{n:02}.jpg" for n in range(COUNT) if n not in (1, 5, 7))
    assert found.coordinates[1, 0] == 2.0
    assert photos.problems.counts == {NOT_DECODED: 3, DUPLICATE: 1}
    assert photos.problems.first[DUPLICATE] == ["03b.jpg"]
    assert photos.problems.first[NOT_DECODED][1].startswith("05.jpg (damaged")


def test_photos_whose_features_overflow_are_counted_and_named_and_the_others_kept(
    folder: Path, encoder: ImageEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = np.array(cached_features(photos_in(folder), encoder, 1, tmp_path / "good").features)
    backbone, calls = encoder.features, []

    def overflowing(pixels: torch.Tensor) -> torch.Tensor:
        features = backbone(pixels).clone()
        calls.append(len(pixels))
        if len(calls) <= 2:  # photos 1 and 5
            features[1, 0] = 1e5 if len(calls) == 1 else torch.nan
        return features

    monkeypatch.setattr(encoder, "features", overflowing)
    photos = photos_in(folder)
    found = cached_features(photos, encoder, 1, tmp_path / "cache")
    rest = [row for row in range(COUNT) if row not in (1, 5)]
    assert found.names == tuple(photos.names[row] for row in rest)
    np.testing.assert_array_equal(found.coordinates, photos.coordinates[rest])
    np.testing.assert_array_equal(found.features, good[rest])
    assert photos.problems.counts == {NOT_HELD: 2}
    assert photos.problems.first[NOT_HELD] == ["01.jpg", "05.jpg"]


def test_where_no_photo_can_be_used_it_is_told_why(
    folder: Path, encoder: ImageEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "features", lambda pixels: torch.full((len(pixels), WIDTH), torch.inf))
    with pytest.raises(UsageError, match=r"none of the photos can be used; 11 x features that float16"):
        cached_features(photos_in(folder), encoder, 1, tmp_path)


def test_other_weights_views_or_preprocessing_have_a_cache_of_their_own(folder: Path, tmp_path: Path) -> None:
    vision = {"layers": 1, "width": 32, "head_width": 32, "patch_size": 16, "image_size": SIDE}
    torch.manual_seed(0)
    encoder = ImageEncoder(ImageConfig(vision, 8), 4)
    cache = tmp_path / "cache"
    first = np.array(cached_features(photos_in(folder), encoder, 1, cache).features)
    cached_features(photos_in(folder), encoder, 2, cache)
    other = ImageEncoder(ImageConfig(vision, 8), 4)
    second = cached_features(photos_in(folder), other, 1, cache).features
    assert not np.allclose(first, second)
    brighter = ImageEncoder(ImageConfig(vision, 8, mean=(0.1, 0.1, 0.1)), 4)
    brighter.load_state_dict(encoder.state_dict())
    cached_features(photos_in(folder), brighter, 1, cache)
    assert len(list(cache.iterdir())) == 4
    encoder.mlp[0].weight.data += 1.0  # heads do not matter
    cached_features(photos_in(folder), encoder, 1, cache)
    assert len(list(cache.iterdir())) == 4


def test_two_runs_never_write_one_cache(folder: Path, encoder: ImageEncoder, tmp_path: Path) -> None:
    with (
        features.Cache.open(tmp_path, encoder, 1),
        pytest.raises(OutputError, match="another run writes the cache"),
    ):
        cached_features(photos_in(folder), encoder, 1, tmp_path)


def test_nothing_to_work_on_is_refused(encoder: ImageEncoder, tmp_path: Path) -> None:
    none = TrainingPhotos((), (), np.zeros((0, 2)))
    with pytest.raises(UsageError, match="none of the photos"):
        cached_features(none, encoder, 1, tmp_path)
    with pytest.raises(UsageError, match="at least one"):
        cached_features(none, encoder, 0, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be used"):
        cached_features(none, encoder, 1, tmp_path / "file")
