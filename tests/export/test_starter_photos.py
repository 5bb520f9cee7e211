"""What of the starter's photos is held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geolocate.sphere import chord_to_km, unit_vectors
from geolocate_export.splits import places
from geolocate_export.starter_photos import (
    HELD_OUT_SHARE,
    PER_PLACE,
    SAME_PLACE_KM,
    SCATTERED,
    StarterPhotos,
    held_out_places,
    read_starter_photos,
)

rng = np.random.default_rng(0)
#: A trip through Italy of 60 photos, and 100 photos from anywhere, some of them two by two.
TRIP = np.stack((np.linspace(41, 45, 60), np.linspace(12, 9, 60)), axis=1)
ANYWHERE = np.repeat(np.stack((rng.uniform(-60, 70, 70), rng.uniform(-180, 180, 70)), axis=1), 2, axis=0)[
    :100
]
NAMES = tuple([f"italy/{i}.jpg" for i in range(60)] + [f"{SCATTERED}/{i}.jpg" for i in range(100)])
COORDINATES = np.concatenate((TRIP, ANYWHERE))


def test_no_trained_photo_lies_near_a_held_out_one() -> None:
    held_out = held_out_places(NAMES, COORDINATES)
    assert HELD_OUT_SHARE <= held_out.mean() < HELD_OUT_SHARE + 0.05
    vectors = unit_vectors(*COORDINATES.T)
    chords = np.linalg.norm(vectors[held_out][:, None] - vectors[~held_out][None], axis=2)
    assert chord_to_km(chords).min() > SAME_PLACE_KM


def test_a_trip_is_never_cut_nor_held_out_and_keeps_its_neighbours() -> None:
    coordinates = COORDINATES.copy()
    coordinates[-40:] = TRIP[::2].repeat(2, axis=0)[:40] + 0.05  # scattered photos along the trip
    held_out = held_out_places(NAMES, coordinates)
    assert not held_out[:60].any()
    assert not held_out[-40:].any()


def test_the_same_table_gives_the_same_places() -> None:
    assert np.array_equal(held_out_places(NAMES, COORDINATES), held_out_places(NAMES, COORDINATES))


def test_no_place_teaches_with_more_than_a_few_photos_and_none_is_left_out() -> None:
    held_out = held_out_places(NAMES, COORDINATES)
    learned = StarterPhotos(Path(), NAMES, COORDINATES, held_out).learned
    place = places(COORDINATES, SAME_PLACE_KM)
    assert not held_out[learned].any()
    assert np.bincount(place[learned]).max() == PER_PLACE
    assert set(place[learned]) == set(place[~held_out])


def test_the_real_photos_are_read(real_photos: Path) -> None:
    photos = read_starter_photos(real_photos / "train")
    assert all(path.is_file() for path in photos.paths)
    assert photos.held_out.mean() == pytest.approx(HELD_OUT_SHARE, abs=0.01)
