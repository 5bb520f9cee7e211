"""What tells two groups apart, on groups whose difference is known."""

from __future__ import annotations

import numpy as np
import pytest

from geolocate.contrast import contrast
from geolocate.drawing import ends
from geolocate.errors import UsageError

RNG = np.random.default_rng(1)


def test_the_difference_of_means_and_its_effect_are_those_computed_by_hand() -> None:
    first = np.array([[1.0], [3.0]])
    second = np.array([[0.0], [2.0]])
    (one,) = contrast(first, second, ["palm"])
    assert (one.first, one.second, one.difference) == (2.0, 1.0, 1.0)
    assert one.effect == pytest.approx(1.0 / np.sqrt(2.0))  # sum of squares 4 over 2 degrees of freedom


def test_what_differs_is_clear_and_what_does_not_is_not() -> None:
    first = RNG.normal((1.0, 0.0, -1.0), 1.0, (300, 3))
    second = RNG.normal(0.0, 1.0, (200, 3))
    found = contrast(first, second, ["more", "same", "less"])
    assert [one.concept for one in found] == ["more", "same", "less"]
    assert [one.is_clear for one in found] == [True, False, True]
    for one, truth in zip(found, (1.0, 0.0, -1.0), strict=True):
        assert one.low is not None
        assert one.high is not None
        assert one.low < truth < one.high


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for _ in range(60):
        (one,) = contrast(RNG.normal(0.5, 1, (40, 1)), RNG.normal(0, 1, (40, 1)), ["x"])
        assert one.low is not None
        assert one.high is not None
        held += one.low <= 0.5 <= one.high
    assert held >= 50  # 57 expected; fewer than 50 once in ten thousand


def test_neighbours_on_the_ground_are_not_taken_for_independent_members() -> None:
    cells = np.repeat(np.arange(10), 100)
    level = RNG.normal(0, 1, 10)  # each cell has its own level, and its points are all alike
    first = level[cells][:, None] + RNG.normal(0, 0.01, (1000, 1))
    second = RNG.normal(0, 1, (1000, 1))
    (naive,) = contrast(first, second, ["x"])
    (careful,) = contrast(first, second, ["x"], clusters=(cells, np.arange(1000)))
    assert naive.low is not None
    assert naive.high is not None
    assert careful.low is not None
    assert careful.high is not None
    assert careful.high - careful.low > 4 * (naive.high - naive.low)


def test_a_group_of_one_has_a_difference_and_no_interval() -> None:
    (one,) = contrast(np.array([[1.0]]), np.array([[0.0]]), ["x"])
    assert (one.difference, one.low, one.high, one.effect) == (1.0, None, None, None)
    assert not one.is_clear
    assert contrast(np.array([[1.0]]), np.array([[0.0], [0.5]]), ["x"])[0].effect is not None


def test_an_empty_group_is_refused_and_the_same_groups_give_the_same_answer() -> None:
    with pytest.raises(UsageError, match="empty"):
        contrast(np.empty((0, 1)), np.ones((2, 1)), ["x"])
    first, second = RNG.normal(size=(20, 2)), RNG.normal(size=(30, 2))
    assert contrast(first, second, ["a", "b"]) == contrast(first, second, ["a", "b"])


def test_both_ends_are_shown_and_the_middle_is_left_out() -> None:
    spread = np.linspace(-0.1, 0.1, 5)[:, None]
    first = np.arange(10.0) - 4.5 + spread
    found = contrast(first, np.zeros(10) + spread, [f"c{k}" for k in range(10)])
    shown = ends(found, 2)
    assert [one.concept for one in shown] == ["c9", "c8", "c1", "c0"]
