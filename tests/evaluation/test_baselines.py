"""What needs no photo: the constant guess and the random gallery point."""

from __future__ import annotations

import numpy as np
import pytest

from geolocate.evaluation.baselines import constant_errors_km, geometric_median, random_errors_km
from geolocate.evaluation.distances import pair_distances_km


def summed_km(point: tuple[float, float], coordinates: np.ndarray, weights: np.ndarray) -> float:
    return float(weights @ constant_errors_km(coordinates, point, "great-circle"))


@pytest.mark.parametrize(
    ("coordinates", "weights", "expected"),
    [
        ([(0, 0), (0, 10), (0, 20)], [1, 1, 1], (0, 10)),
        ([(0, 170), (0, 180), (0, -170)], [1, 1, 1], (0, 180)),
        ([(80, 0), (80, 120), (80, -120)], [1, 1, 1], (90, None)),
        ([(5, 5), (50, 50), (-50, 100)], [10, 1, 1], (5, 5)),  # more than half of the weight
        ([(7, 8)], [1], (7, 8)),
    ],
)
def test_the_geometric_median_of_cases_that_one_can_see(
    coordinates: list[tuple[float, float]], weights: list[float], expected: tuple[float, float | None]
) -> None:
    latitude, longitude = geometric_median(np.array(coordinates, float), np.array(weights, float))
    assert latitude == pytest.approx(expected[0], abs=0.01)
    if expected[1] is not None:
        assert (longitude - expected[1] + 180) % 360 - 180 == pytest.approx(0, abs=0.01)


def test_no_point_nearby_has_a_smaller_sum_of_distances() -> None:
    rng = np.random.default_rng(6)
    coordinates = np.stack((rng.normal(40, 15, 500), rng.normal(10, 40, 500)), axis=1)
    weights = rng.integers(1, 9, 500).astype(float)
    found = geometric_median(coordinates, weights)
    least = summed_km(found, coordinates, weights)
    for north, east in ((0.1, 0), (-0.1, 0), (0, 0.1), (0, -0.1)):
        assert summed_km((found[0] + north, found[1] + east), coordinates, weights) > least


def test_opposite_points_have_a_median_too() -> None:
    found = geometric_median(np.array([(90.0, 0), (-90, 0)]), np.ones(2))
    assert summed_km(found, np.array([(90.0, 0), (-90, 0)]), np.ones(2)) == pytest.approx(20015.09, abs=0.1)


def test_random_points_are_drawn_by_their_weight_and_the_same_each_time() -> None:
    truth = np.array([(0.0, 0.0), (0.0, 1.0)])
    gallery = np.array([(0.0, 0.0), (0.0, 90.0)])
    weights = np.array([3.0, 1.0])
    errors = random_errors_km(truth, gallery, weights, "great-circle")
    expected = np.mean(
        [0.75 * pair_distances_km(truth, gallery[[0, 0]]) + 0.25 * pair_distances_km(truth, gallery[[1, 1]])]
    )
    assert errors.mean() == pytest.approx(expected, rel=0.01)
    assert (errors == random_errors_km(truth, gallery, weights, "great-circle")).all()
