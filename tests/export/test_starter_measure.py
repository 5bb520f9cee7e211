"""The verdict on the starter, and the card that tells it."""

from __future__ import annotations

import numpy as np
import pytest

from geolocate.evaluation.metrics import Accuracy
from geolocate_export.starter_measure import MODEL, paired_differences, summary

rng = np.random.default_rng(0)
FAR = rng.uniform(1000, 9000, 300)


def verdict(ours: np.ndarray, constants: dict[str, np.ndarray]) -> str:  # type: ignore[type-arg]
    rows = {name: Accuracy.of(errors) for name, errors in {MODEL: ours, **constants}.items()}
    return summary(rows, {name: paired_differences(ours, errors) for name, errors in constants.items()})


def test_a_model_that_halves_every_error_is_better() -> None:
    assert verdict(FAR / 2, {"constant": FAR, "other": FAR * 1.1}).startswith(
        "better than one constant guess"
    )


def test_a_model_that_beats_one_constant_guess_and_not_the_other_is_no_better() -> None:
    assert verdict(FAR, {"poor": FAR * 2, "good": FAR.copy()}).startswith("no better than")


def test_what_chance_could_do_is_no_better() -> None:
    assert verdict(rng.permutation(FAR), {"constant": FAR * 1.01}).startswith("no better than")


def test_hitting_more_often_counts_though_the_median_is_worse() -> None:
    ours = FAR * 1.5
    ours[:60] = 100.0
    assert verdict(ours, {"constant": FAR}).startswith("better than")


def test_the_summary_tells_both_numbers_of_both() -> None:
    text = verdict(
        np.full(50, 4000.0), {"a": np.full(50, 3000.0), "b": np.r_[np.full(10, 700.0), [5000.0] * 40]}
    )
    assert "median error 4,000 km, 0.0 % within 750 km" in text
    assert text.endswith("constant guesses reach 3,000 km or 20.0 %")


def test_a_paired_difference_knows_that_photos_belong_together() -> None:
    found = paired_differences(FAR - 100, FAR)
    value, low, high = found["median_km"]
    assert value == pytest.approx(-100)
    assert (low, high) == pytest.approx((-100, -100))
