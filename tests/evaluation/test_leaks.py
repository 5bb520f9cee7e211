"""Test photos that stand in the gallery are found by distance, at the poles and the date line too."""

from __future__ import annotations

import numpy as np
import pytest

from geolocate.evaluation.distances import pair_distances_km
from geolocate.evaluation.leaks import leaked

DEGREE_M = 6371_000 * np.pi / 180


@pytest.mark.parametrize("distance_m", [1.0, 10.0, 5000.0])
def test_they_are_those_of_a_full_search(distance_m: float) -> None:
    rng = np.random.default_rng(7)
    gallery = np.concatenate(
        (
            np.stack((rng.uniform(-80, 80, 300), rng.uniform(-180, 180, 300)), axis=1),
            [(90.0, 0.0), (-90.0, 0.0), (10.0, 180.0), (-10.0, -180.0)],
        )
    )
    # From a tenth of the distance to ten times it away, in all directions.
    base = gallery[rng.integers(len(gallery), size=800)]
    away = distance_m * 10 ** rng.uniform(-1, 1, 800) / DEGREE_M
    angle = rng.uniform(0, 2 * np.pi, 800)
    truth = base + np.stack((away * np.cos(angle), away * np.sin(angle)), axis=1)
    truth = np.stack((np.clip(truth[:, 0], -90, 90), (truth[:, 1] + 180) % 360 - 180), axis=1)
    expected = [
        bool((pair_distances_km(np.tile(point, (len(gallery), 1)), gallery) * 1000 <= distance_m).any())
        for point in truth
    ]
    assert leaked(truth, gallery, distance_m).tolist() == expected
    assert 100 < sum(expected) < 700


def test_both_names_of_the_date_line_and_all_of_a_pole_are_one_point() -> None:
    truth = np.array([(10.0, -180.0), (90.0, 77.0), (10.0, 179.0)])
    assert leaked(truth, np.array([(10.0, 180.0), (90.0, 0.0)])).tolist() == [True, True, False]
