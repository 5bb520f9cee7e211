"""Distances of many pairs, against geopy one by one, at the poles and the date line too."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from geopy.distance import geodesic, great_circle

from geolocate.evaluation.distances import Distance, pair_distances_km

QUARTER_KM = 6371.0 * math.pi / 2

AWKWARD = [
    ((0, 179.9), (0, -179.9)),
    ((12, 180), (12, -180)),
    ((90, 0), (90, 123)),
    ((90, 5), (-90, 77)),
    ((89.999, 0), (89.999, 180)),
    ((-90, 0), (-89.9, 33)),
    ((0, 0), (0, 180)),
    ((0, 0), (0.5, 179.7)),
    ((30, 10), (-30, -170)),
    ((0, 0), (0, 90)),
    ((48.85, 2.35), (48.85, 2.35)),
    ((48.85, 2.35), (48.850001, 2.35)),
]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, 0), (0, 90), QUARTER_KM),
        ((90, 17), (0, -60), QUARTER_KM),
        ((90, 0), (-90, 0), 2 * QUARTER_KM),
        ((0, -180), (0, 180), 0.0),
        ((0, 179), (0, -179), QUARTER_KM / 45),
        ((0, 350), (0, -10), 0.0),  # longitudes of 0 to 360
        ((10, 0), (10, 180), QUARTER_KM * 160 / 90),  # over the pole
    ],
)
def test_great_circles_worked_out_by_hand(
    first: tuple[float, float], second: tuple[float, float], expected: float
) -> None:
    (found,) = pair_distances_km(np.array([first], float), np.array([second], float))
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("distance", get_args(Distance))
def test_they_are_geopy_s(distance: Distance) -> None:
    rng = np.random.default_rng(5)
    spread = np.stack(
        (np.degrees(np.arcsin(rng.uniform(-1, 1, (300, 2)))), rng.uniform(-180, 180, (300, 2))), axis=2
    )
    pairs = np.concatenate((np.array(AWKWARD, float), spread))
    found = pair_distances_km(pairs[:, 0], pairs[:, 1], distance)
    for (first, second), kilometres in zip(pairs, found, strict=True):
        expected = (
            geodesic(first, second).km
            if distance == "geodesic"
            else great_circle(first, second, radius=6371.0).km
        )
        assert kilometres == pytest.approx(expected, abs=1e-6), (first, second)


@pytest.mark.parametrize("distance", get_args(Distance))
def test_a_missing_position_has_no_distance_and_harms_no_other(distance: Distance) -> None:
    first = np.array([(0, 0), (np.nan, 0), (1, 1)], float)
    found = pair_distances_km(first, np.array([(0, 1), (0, 0), (1, np.nan)], float), distance)
    assert np.isnan(found).tolist() == [False, True, True]
