"""Splits by place: nothing that is trained on lies near what is held out."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geolocate.sphere import great_circle_km, unit_vectors
from geolocate_export.splits import folds_by_place, places, split_by_place

Degrees = NDArray[np.float64]


def distances(a: Degrees, b: Degrees) -> NDArray[np.float64]:
    """Great-circle km (A, B)."""
    vectors = unit_vectors(*b.T)
    return np.stack([great_circle_km(vectors, vector) for vector in unit_vectors(*a.T)])


def crowd(seed: int, count: int = 400) -> Degrees:
    """Photos round cities, both poles and the antimeridian, some of them alone."""
    generator = np.random.default_rng(seed)
    centres = np.array([[48.0, 2.0], [89.9, 10.0], [-90.0, 0.0], [10.0, 180.0], [-17.0, -179.9], [0.0, 0.0]])
    near = centres[generator.integers(len(centres), size=count)] + generator.normal(0, 1.5, (count, 2))
    far = np.stack((generator.uniform(-90, 90, 60), generator.uniform(-180, 180, 60)), axis=1)
    both = np.concatenate((near, far))
    both[:, 0] = np.clip(both[:, 0], -90, 90)
    both[:, 1] = (both[:, 1] + 180) % 360 - 180
    return both


@pytest.mark.parametrize("apart_km", [5.0, 50.0, 300.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_training_photo_lies_within_the_distance_of_a_held_out_one(seed: int, apart_km: float) -> None:
    coordinates = crowd(seed)
    held_out = split_by_place(coordinates, 0.3, apart_km, seed)
    assert 0.15 < held_out.mean() <= 0.3
    assert distances(coordinates[held_out], coordinates[~held_out]).min() > apart_km


@pytest.mark.parametrize("apart_km", [5.0, 50.0, 300.0, 3000.0])
def test_places_are_the_single_linkage_clusters(apart_km: float) -> None:
    coordinates = crowd(2, 150)
    linked = distances(coordinates, coordinates) <= apart_km
    expected = np.arange(len(coordinates))
    for _ in coordinates:  # the least number of all that a chain reaches
        expected = np.array([expected[row].min() for row in linked])
    found = places(coordinates, apart_km)
    same = found[:, None] == found[None, :]
    np.testing.assert_array_equal(same, expected[:, None] == expected[None, :])


def test_a_place_across_the_antimeridian_or_at_a_pole_is_one() -> None:
    coordinates = np.array(
        [[10, 179.99], [10, -179.99], [10, 180], [90, 0], [89.999, 120], [90, -77], [0, 0]]
    )
    assert places(coordinates, 10.0).tolist() == [1, 1, 1, 2, 2, 2, 0]


def test_the_same_places_are_held_out_in_whatever_order_the_photos_come() -> None:
    coordinates = crowd(3)
    order = np.random.default_rng(4).permutation(len(coordinates))
    held_out = split_by_place(coordinates, 0.2, 20.0, 5)
    np.testing.assert_array_equal(held_out[order], split_by_place(coordinates[order], 0.2, 20.0, 5))
    assert not np.array_equal(held_out, split_by_place(coordinates, 0.2, 20.0, 6))


def test_folds_are_whole_places_and_about_equal() -> None:
    coordinates = crowd(6)
    fold = folds_by_place(coordinates, 4, 5.0, 0)
    assert sorted(set(fold.tolist())) == [0, 1, 2, 3]
    assert np.bincount(fold).max() <= 1.2 * len(coordinates) / 4
    for held_out in range(4):
        mine = fold == held_out
        assert distances(coordinates[mine], coordinates[~mine]).min() > 5.0


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), min_size=2, max_size=30),
    st.floats(0.1, 10_000),
)
def test_places_are_apart_wherever_the_photos_lie(points: list[tuple[float, float]], apart_km: float) -> None:
    coordinates = np.array(points)
    place = places(coordinates, apart_km)
    assert place.shape == (len(points),)
    between = place[:, None] != place[None, :]
    # great_circle_km is good to 0.2 m.
    assert (distances(coordinates, coordinates)[between] > apart_km - 2e-4).all()


def test_what_cannot_be_split_is_refused() -> None:
    one = np.array([[1.0, 2.0], [1.0, 2.001]])
    for share, apart_km in ((0.5, 10.0), (0.0, 10.0), (1.0, 1.0), (0.5, 0.0), (0.5, float("nan"))):
        with pytest.raises(ValueError, match=r"held out|no distance"):
            split_by_place(one, share, apart_km, 0)
    with pytest.raises(ValueError, match="2 folds cannot be made of 1 places"):
        folds_by_place(one, 2, 10.0, 0)
    with pytest.raises(ValueError, match="outside latitude"):
        split_by_place(np.array([[91.0, 0.0], [0.0, 0.0]]), 0.5, 1.0, 0)


def test_a_hundred_thousand_photos_are_split_in_seconds() -> None:
    generator = np.random.default_rng(7)
    cities = np.stack((generator.uniform(-60, 70, 500), generator.uniform(-180, 180, 500)), axis=1)
    coordinates = cities[generator.integers(500, size=100_000)] + generator.normal(0, 0.3, (100_000, 2))
    coordinates[:, 1] = (coordinates[:, 1] + 180) % 360 - 180
    start = time.process_time()
    assert 0.05 < split_by_place(coordinates, 0.1, 25.0, 0).mean() <= 0.1
    assert time.process_time() - start < 20.0
