"""Median concept scores by how well photos were placed, as in the paper's table 3."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geolocate.evaluation.concept_scores import by_error, photo_score


def test_the_intervals_exclude_their_upper_bound_and_photos_without_scores() -> None:
    errors = np.array([0.0, 24.9, 25.0, 199.0, 750.0, 5000.0, math.inf, 3.0])
    scores = np.array([0.5, 0.3, 0.2, 0.1, 0.05, 0.01, np.nan, np.nan])
    found = by_error(scores, errors)
    assert [(i.low_km, i.high_km, i.n) for i in found] == [
        (0, 25, 2),
        (25, 200, 2),
        (200, 750, 0),
        (750, math.inf, 2),
    ]
    assert [i.median for i in found] == pytest.approx([0.4, 0.15, math.nan, 0.03], nan_ok=True)


def test_a_photos_score_is_the_mean_of_its_twenty_strongest() -> None:
    assert photo_score(np.arange(100, dtype=np.float32)) == pytest.approx(np.arange(80, 100).mean())
    assert photo_score(np.array([1.0, 3.0], np.float32)) == 2.0
