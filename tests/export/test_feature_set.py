"""Features that were computed elsewhere: what comes again is left out, counted and named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geolocate.errors import TrainingError
from geolocate.position_table import Problems
from geolocate_export import feature_set
from geolocate_export.feature_set import SAME_FEATURES, load_features


def write(folder: Path, features: np.ndarray) -> Path:  # type: ignore[type-arg]
    np.save(folder / "features.npy", features)
    coordinates = np.stack((np.arange(len(features)) % 90, np.arange(len(features)) % 180), axis=1)
    np.save(folder / "coordinates.npy", coordinates)
    return folder


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_photo_under_two_coordinates_is_never_on_both_sides_of_a_split(
    tmp_path: Path, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_set, "CHUNK", 3)
    features = np.random.default_rng(1).normal(size=(20, 2, 5)).astype(dtype)
    features[[7, 19]] = features[2]
    features[11, 0] = features[4, 0]  # other augmented views of the same photo
    features[13] = features[5]
    features[13, 0, 3] += 1  # all but one number
    problems = Problems()
    found = load_features(write(tmp_path, features), problems)
    assert found.names == tuple(f"row {row}" for row in range(20) if row not in (7, 11, 19))
    assert found.coordinates[7].tolist() == [8.0, 8.0]
    np.testing.assert_array_equal(found.features[7], features[8])
    assert problems.counts == {SAME_FEATURES: 3}
    assert problems.first[SAME_FEATURES] == ["row 7", "row 11", "row 19"]


def test_features_without_doubles_stay_on_the_disk(tmp_path: Path) -> None:
    problems = Problems()
    found = load_features(write(tmp_path, np.eye(6, dtype=np.float32)), problems)
    assert found.features.shape == (6, 1, 6)
    assert isinstance(found.features, np.memmap)
    assert problems.total == 0


def test_rows_that_only_share_a_key_are_two_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoKeys:
        def integers(self, _: int, size: int, dtype: type) -> np.ndarray:  # type: ignore[type-arg]
            return np.full(size, 2**63, dtype)  # times two is zero: all factors are one

    monkeypatch.setattr(np.random, "default_rng", lambda _: NoKeys())
    problems = Problems()
    assert len(load_features(write(tmp_path, np.eye(6, dtype=np.float32)), problems)) == 6
    assert problems.total == 0


def test_whole_numbers_are_no_features(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="int64"):
        load_features(write(tmp_path, np.eye(3, dtype=np.int64)), Problems())
