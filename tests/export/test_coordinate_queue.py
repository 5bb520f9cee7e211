"""GPS noise is the same everywhere on the sphere, and the queue forgets the oldest first."""

from __future__ import annotations

import numpy as np
import pytest

from geolocate.evaluation.distances import pair_distances_km
from geolocate_export.coordinate_queue import CoordinateQueue, add_noise


@pytest.mark.parametrize(
    "place", [(0.0, 0.0), (48.9, 2.4), (90.0, 0.0), (-90.0, 12.0), (10.0, 180.0), (-65.0, -180.0)]
)
@pytest.mark.parametrize("metres", [150.0, 1000.0])
def test_noise_is_gaussian_in_metres_at_poles_and_date_line_too(
    place: tuple[float, float], metres: float
) -> None:
    places = np.tile(place, (20_000, 1))
    noisy = add_noise(places, metres, np.random.default_rng(1))
    assert (np.abs(noisy[:, 0]) <= 90).all()
    assert (np.abs(noisy[:, 1]) <= 180).all()
    km = pair_distances_km(places, noisy)
    # The distance of a Gaussian step in a plane is Rayleigh's: mean square 2 s^2, median s sqrt(2 ln 2).
    assert np.sqrt((km**2).mean() / 2) == pytest.approx(metres / 1000, rel=0.02)
    assert np.median(km) == pytest.approx(metres / 1000 * np.sqrt(2 * np.log(2)), rel=0.02)


def test_noise_prefers_no_direction() -> None:
    places = np.tile((60.0, 20.0), (20_000, 1))
    north, east = (add_noise(places, 1000.0, np.random.default_rng(2)) - places).T
    assert north.std() == pytest.approx(east.std() * np.cos(np.radians(60)), rel=0.03)
    assert abs(np.corrcoef(north, east)[0, 1]) < 0.03


def test_no_noise_changes_nothing_and_the_same_seed_gives_the_same_noise() -> None:
    places = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert np.array_equal(add_noise(places, 0.0, np.random.default_rng(0)), places)
    first, again = (add_noise(places, 150.0, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, again)


def test_the_queue_starts_from_the_gallery_and_forgets_the_oldest_first() -> None:
    gallery = np.arange(40.0).reshape(20, 2)
    queue = CoordinateQueue.from_gallery(gallery, 6, np.random.default_rng(3))
    start = queue.coordinates
    assert {tuple(row) for row in start} <= {tuple(row) for row in gallery}
    assert len(np.unique(start, axis=0)) == 6
    new = -np.arange(8.0).reshape(4, 2)
    queue.push(new)
    assert np.array_equal(queue.coordinates, np.concatenate((start[4:], new)))
    queue.push(new[:3] - 100)
    assert np.array_equal(queue.coordinates, np.concatenate((start[4:], new, new[:3] - 100))[-6:])


def test_a_batch_longer_than_the_queue_leaves_its_last_ones() -> None:
    queue = CoordinateQueue(np.zeros((3, 2)))
    batch = np.arange(10.0).reshape(5, 2)
    queue.push(batch)
    assert np.array_equal(queue.coordinates, batch[-3:])


def test_a_gallery_smaller_than_the_queue_fills_it_and_a_queue_can_be_off() -> None:
    gallery = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert len(CoordinateQueue.from_gallery(gallery, 9, np.random.default_rng(4)).coordinates) == 9
    off = CoordinateQueue.from_gallery(gallery, 0, np.random.default_rng(4))
    off.push(gallery)
    assert off.coordinates.shape == (0, 2)
