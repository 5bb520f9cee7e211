"""Accuracy, GeoScore and intervals, held against cases worked out by hand and against a plain bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geolocate.evaluation.metrics import ACCURACY_THRESHOLDS_KM, Accuracy, accuracy_curve, geoscores

INFINITE = math.inf


def test_the_thresholds_are_the_literature_s() -> None:
    assert ACCURACY_THRESHOLDS_KM == (1, 25, 200, 750, 2500)


def test_a_case_worked_out_by_hand() -> None:
    found = Accuracy.of(np.array([0.0, 1.0, 25.0, 199.9, 751.0, 2500.0, 2500.1, 10_000.0]))
    assert found.n == 8
    assert found.within == (25.0, 37.5, 50.0, 50.0, 75.0)  # a distance of the threshold itself counts
    assert found.median_km == (199.9 + 751.0) / 2
    assert found.mean_km == pytest.approx((0 + 1 + 25 + 199.9 + 751 + 2500 + 2500.1 + 10_000) / 8)


def test_geoscore_is_5000_at_the_spot_and_a_factor_e_less_each_1492_7_km() -> None:
    found = geoscores(np.array([0.0, 1492.7, 2 * 1492.7, INFINITE]))
    assert found == pytest.approx([5000, 5000 / math.e, 5000 / math.e**2, 0])


def test_a_photo_without_a_prediction_is_a_miss_at_every_distance() -> None:
    found = Accuracy.of(np.array([0.5, 10.0, INFINITE]))
    assert found.missed == 1
    assert found.within == pytest.approx([100 / 3, 200 / 3, 200 / 3, 200 / 3, 200 / 3])
    assert found.median_km == 10.0
    assert found.mean_km == 5.25
    assert found.geoscore == pytest.approx(5000 * (math.exp(-0.5 / 1492.7) + math.exp(-10 / 1492.7)) / 3)


def test_with_half_of_them_missing_the_median_has_no_limit() -> None:
    assert Accuracy.of(np.array([1.0, INFINITE])).median_km == INFINITE
    nothing = Accuracy.of(np.array([INFINITE, INFINITE]))
    assert math.isnan(nothing.mean_km)
    assert nothing.within == (0, 0, 0, 0, 0)
    assert "mean_km" not in nothing.intervals


@pytest.mark.parametrize("errors", [[], [math.nan], [-1.0]])
def test_what_is_no_error_is_refused(errors: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one error"):
        Accuracy.of(np.array(errors))


def plain_bootstrap(errors: np.ndarray, resamples: int = 2000) -> dict[str, tuple[float, float]]:
    rng = np.random.default_rng(1)
    drawn = errors[rng.integers(len(errors), size=(resamples, len(errors)))]
    values = {"median_km": np.median(drawn, axis=1), "mean_km": drawn.mean(axis=1)}
    values["within_200_km"] = 100 * (drawn <= 200).mean(axis=1)
    values["geoscore"] = geoscores(drawn).mean(axis=1)
    return {key: tuple(np.percentile(found, (2.5, 97.5))) for key, found in values.items()}


@pytest.mark.parametrize("count", [60, 5000])  # photos one by one, and in groups of like errors
def test_intervals_are_those_of_a_plain_bootstrap(count: int) -> None:
    errors = np.exp(np.random.default_rng(2).normal(6, 2, count))
    found = Accuracy.of(errors)
    for key, (low, high) in plain_bootstrap(errors).items():
        width = high - low
        assert found.intervals[key] == pytest.approx((low, high), abs=0.12 * width), key
        assert found.intervals[key][0] <= found.values()[key] <= found.intervals[key][1]


def test_intervals_are_the_same_each_time() -> None:
    errors = np.exp(np.random.default_rng(3).normal(6, 2, 50))
    assert Accuracy.of(errors).intervals == Accuracy.of(errors[::-1]).intervals


def test_the_curve_goes_through_the_accuracies() -> None:
    errors = np.exp(np.random.default_rng(4).normal(6, 2, 99))
    curve = accuracy_curve(errors, np.array(ACCURACY_THRESHOLDS_KM))
    assert curve == pytest.approx(Accuracy.of(errors, intervals=False).within)
