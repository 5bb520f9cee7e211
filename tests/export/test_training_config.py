"""The recipe: the defaults are the paper's, JSON keeps all of it, and a wrong switch is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from geolocate_export.concept_alignment import AlignmentConfig
from geolocate_export.training_config import GroundingConfig, TrainingConfig


def test_the_defaults_are_geoclips_recipe() -> None:
    recipe = TrainingConfig()
    assert (recipe.batch_size, recipe.queue_length) == (512, 4096)
    assert (recipe.optimiser, recipe.learning_rate, recipe.weight_decay) == ("adam", 3e-5, 1e-6)
    assert (recipe.noise_m, recipe.queue_noise_m) == (150.0, 1000.0)
    assert [recipe.learning_rate_in(epoch) for epoch in (0, 1, 2)] == pytest.approx(
        [3e-5, 3e-5 * 0.87, 3e-5 * 0.87**2]
    )


def test_a_recipe_survives_json() -> None:
    recipe = TrainingConfig(
        alignment=AlignmentConfig(space="concept", divergence="mean", weight=0.5),
        grounding=GroundingConfig(weight=2.0, points=7),
        frozen=("image", "logit_scale"),
        patience=3,
    )
    assert TrainingConfig.from_json(recipe.to_json()) == recipe


def test_cosine_ends_near_zero_and_constant_stays() -> None:
    cosine = TrainingConfig(schedule="cosine", epochs=10)
    assert cosine.learning_rate_in(0) == cosine.learning_rate
    assert cosine.learning_rate_in(9) < 0.05 * cosine.learning_rate
    assert TrainingConfig(schedule="constant").learning_rate_in(9) == 3e-5


@pytest.mark.parametrize(
    "wrong",
    [
        {"optimiser": "lion"},
        {"schedule": "linear"},
        {"stop_metric": "accuracy"},
        {"frozen": ("tower",)},
        {"epochs": 0},
        {"batch_size": 1},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"noise_m": -1.0},
        {"negatives_beyond_km": float("inf")},
        {"data_share": 1.5},
        {"patience": 0},
        {"steps": 0},
    ],
)
def test_what_can_be_no_recipe_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        TrainingConfig(**wrong)  # type: ignore[arg-type]


def test_a_queue_is_long_where_a_photo_meets_its_own_place_in_it() -> None:
    assert TrainingConfig(queue_length=201).meets_itself(1000)
    assert not TrainingConfig(queue_length=200).meets_itself(1000)
    assert not TrainingConfig(queue_length=0).meets_itself(1)
    assert not TrainingConfig(queue_length=4096, negatives_beyond_km=25.0).meets_itself(1000)


@pytest.mark.parametrize("text", ["[]", "3", "{", '{"epochs": "many"}', '{"unknown": 1}'])
def test_json_that_is_no_recipe_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        TrainingConfig.from_json(text)


def test_differences_are_named() -> None:
    recipe = TrainingConfig()
    assert recipe.differences(recipe) == {}
    assert set(recipe.differences(replace(recipe, seed=2, noise_m=0.0))) == {"seed", "noise_m"}
