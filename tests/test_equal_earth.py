"""The projection against values worked out by hand, and against its torch twin's contract."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geolocate.equal_earth import project


def test_the_origin_stays_the_origin() -> None:
    assert project(np.zeros((1, 2))).tolist() == [[0.0, 0.0]]


def test_values_worked_out_by_hand() -> None:
    scale = 66.50336 / 180
    # On the equator theta = 0: x = 2 sqrt(3) lambda / (3 A1).
    equator_90 = 2 * math.sqrt(3) * (math.pi / 2) / (3 * 1.340264) * scale
    # At the pole sin(theta) = sqrt(3)/2, theta = pi/3: y is the polynomial there.
    t = math.pi / 3
    pole_y = (0.003796 * t**9 + 0.000893 * t**7 - 0.081106 * t**3 + 1.340264 * t) * scale
    got = project(np.array([[0.0, 90.0], [90.0, 0.0], [-90.0, 0.0], [0.0, -90.0]]))
    expected = [[equator_90, 0.0], [0.0, pole_y], [0.0, -pole_y], [-equator_90, 0.0]]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-15)


def test_a_place_between_agrees_with_the_formula_step_by_step() -> None:
    # Arezzo, 43.4674 N 11.8851 E: theta = asin(0.86602540 * 0.68796030) = 0.63833 rad
    latitude, longitude = math.radians(43.4674), math.radians(11.8851)
    theta = math.asin(math.sqrt(3) / 2 * math.sin(latitude))
    slope = 1.340264 + 3 * -0.081106 * theta**2 + 7 * 0.000893 * theta**6 + 9 * 0.003796 * theta**8
    x = 2 / math.sqrt(3) * longitude * math.cos(theta) / slope * 66.50336 / 180
    y = theta * (1.340264 - 0.081106 * theta**2 + 0.000893 * theta**6 + 0.003796 * theta**8) * 66.50336 / 180
    np.testing.assert_allclose(project(np.array([[43.4674, 11.8851]])), [[x, y]], rtol=1e-14)


def test_the_whole_globe_fits_into_the_unit_square() -> None:
    corners = np.array([[0.0, 180.0], [0.0, -180.0], [90.0, 180.0], [-90.0, -180.0]])
    assert np.abs(project(corners)).max() <= 1.0 + 1e-6


def test_two_points_a_metre_apart_stay_apart() -> None:
    a, b = project(np.array([[52.0, 179.00000], [52.0, 179.00001]]))
    assert a[0] != b[0]


@pytest.mark.parametrize("shape", [(2,), (3, 3), (1, 2, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        project(np.zeros(shape))
