"""The verdict on the starter, and the card that tells it."""

from __future__ import annotations

import numpy as np
import pytest

from geolocate.encoding import EncodedImage
from geolocate.evaluation.metrics import Accuracy
from geolocate_export.starter_measure import MODEL, measured_on_photos, paired_differences, summary
from geolocate_export.trained_concepts import TrainedConcept

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


def test_photos_show_only_concepts_that_they_were_seen_to_tell() -> None:
    draw = np.random.default_rng(4)
    truth = np.stack((draw.uniform(-60, 60, 200), draw.uniform(-180, 180, 200)), axis=1)
    north = truth[:, 0] > 0
    scores = np.stack((north + draw.normal(0, 0.5, 200), draw.normal(0, 1, 200), north, north), axis=1)
    images = [EncodedImage(f"{row}", concept_scores=each) for row, each in enumerate(scores)]
    half, edge = (
        {"kind": "latitude", "from": low, "to": 90.0, "signed": True}
        for low in (0.0, truth[:, 0].max() - 0.1)
    )
    concepts = tuple(
        TrainedConcept(name, "climate", ("a photo",), fact, 0.0, 0.9, shown, None, shown_in_photos=shown)
        for name, fact, shown in (
            ("told", half, True), ("by chance", half, True), ("too rare", edge, True),
            ("not on maps", half, False),
        )
    )  # fmt: skip
    found = measured_on_photos(images, truth, concepts)
    assert [concept.shown_in_photos for concept in found] == [True, False, False, False]
    assert [concept.photo_auc is None for concept in found] == [False, False, True, False]
    assert found[0].photo_auc is not None
    assert found[0].photo_auc > 0.85
