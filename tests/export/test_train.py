"""Training learns a world with known truth, and the same run gives the same weights, cut off or not."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from geolocate.errors import TrainingError
from geolocate_export.concept_alignment import AlignmentConfig, ConceptConfig
from geolocate_export.feature_set import FeatureSet
from geolocate_export.grounding import Geography, held_out_blocks
from geolocate_export.held_out import evaluate
from geolocate_export.model import GeoModel, ImageConfig, LocationConfig, ModelConfig
from geolocate_export.synthetic_world import SyntheticWorld, make_world, uniform_places
from geolocate_export.train import TrainingResult, train
from geolocate_export.training_config import GroundingConfig, TrainingConfig
from geolocate_export.training_metrics import METRICS_NAME, EpochMetrics
from geolocate_export.training_state import STATE_NAME

RECIPE = TrainingConfig(
    epochs=6, batch_size=128, learning_rate=1e-3, schedule="cosine", queue_length=512, seed=3
)
#: For what is about states and refusals, not about learning.
BRIEF = replace(RECIPE, epochs=4, batch_size=32, queue_length=64, schedule="step")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def world() -> SyntheticWorld:
    return make_world(seed=1)


@pytest.fixture(scope="module")
def small() -> SyntheticWorld:
    return make_world(
        seed=2, train_places=120, held_out_places=30, gallery_points=100, feature_dim=8, views=3
    )


def new_model(feature_dim: int = 48, concepts: int = 0, width: int = 64) -> GeoModel:
    torch.manual_seed(5)
    return GeoModel(
        ModelConfig(
            ImageConfig({}, feature_dim),
            LocationConfig(sigmas=(1.0, 4.0), frequencies=width, hidden=2 * width),
            embedding_dim=width,
            concepts=ConceptConfig(concepts, hidden=32) if concepts else None,
        )
    )


def tiny_model(concepts: int = 5) -> GeoModel:
    return new_model(feature_dim=8, concepts=concepts, width=16)


def tiny_run(
    small: SyntheticWorld, folder: Path, config: TrainingConfig = BRIEF, **changes: object
) -> TrainingResult:
    given: dict[str, object] = {
        "data": small.train,
        "held_out_data": small.held_out,
        "gallery": small.gallery,
        "folder": folder,
    }
    return train(tiny_model(), config, **{**given, **changes})  # type: ignore[arg-type]


def share_within_200_km(model: GeoModel, world: SyntheticWorld) -> float:
    return float((evaluate(model, world.held_out, world.gallery).km <= 200).mean())


@pytest.fixture(scope="module")
def learned(world: SyntheticWorld, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainingResult]:
    models = {"off": new_model(), "on": new_model(concepts=48)}
    before = {name: share_within_200_km(model, world) for name, model in models.items()}
    assert max(before.values()) <= 0.02
    return {
        name: train(model, RECIPE, world.train, world.held_out, world.gallery, tmp_path_factory.mktemp(name))
        for name, model in models.items()
    }


@pytest.mark.parametrize("module", ["off", "on"])
def test_a_world_with_known_truth_is_learned(
    learned: dict[str, TrainingResult], world: SyntheticWorld, module: str
) -> None:
    assert share_within_200_km(learned[module].model, world) >= 0.8


def test_the_concept_module_costs_no_accuracy(
    learned: dict[str, TrainingResult], world: SyntheticWorld
) -> None:
    """Within what 300 held-out samples can tell: two standard errors of the difference."""
    off, on = (share_within_200_km(learned[name].model, world) for name in ("off", "on"))
    assert on >= off - 2 * np.sqrt((off * (1 - off) + on * (1 - on)) / len(world.held_out))


def test_concept_scores_place_photos_as_well(
    learned: dict[str, TrainingResult], world: SyntheticWorld
) -> None:
    found = evaluate(learned["on"].model, world.held_out, world.gallery)
    assert found.concept_km is not None
    assert (found.concept_km <= 200).mean() >= 0.8


def test_the_best_epoch_is_what_comes_out(learned: dict[str, TrainingResult], world: SyntheticWorld) -> None:
    result = learned["on"]
    medians = [epoch.median_km for epoch in result.epochs]
    assert medians[result.best_epoch - 1] == min(medians)
    found = evaluate(result.model, world.held_out, world.gallery)
    assert float(np.median(found.km)) == pytest.approx(min(medians))


def test_the_same_run_twice_gives_the_same_bytes(small: SyntheticWorld, tmp_path: Path) -> None:
    tiny_run(small, tmp_path / "a")
    tiny_run(small, tmp_path / "b")
    first, second = (load_weights(tmp_path / name) for name in ("a", "b"))
    assert first == second
    tiny_run(small, tmp_path / "c", replace(BRIEF, seed=4))
    assert load_weights(tmp_path / "c") != first


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_a_run_that_was_killed_goes_on_bit_for_bit(
    small: SyntheticWorld, tmp_path: Path, optimiser: str
) -> None:
    config = replace(BRIEF, optimiser=optimiser)  # type: ignore[arg-type]
    straight = tiny_run(small, tmp_path / "straight", config)

    class Killed(Exception):
        pass

    def kill_in_the_third_epoch(step: int, steps: int) -> None:
        if step > 0.6 * steps:
            raise Killed

    with pytest.raises(Killed):
        tiny_run(small, tmp_path / "cut", config, on_step=kill_in_the_third_epoch)
    resumed = tiny_run(small, tmp_path / "cut", config, resume=True)
    assert load_weights(tmp_path / "straight") == load_weights(tmp_path / "cut")
    for name, tensor in straight.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    assert [row[:-1] for row in metrics_rows(tmp_path / "straight")] == [
        row[:-1] for row in metrics_rows(tmp_path / "cut")
    ]


def test_more_epochs_can_be_asked_of_a_finished_run(small: SyntheticWorld, tmp_path: Path) -> None:
    tiny_run(small, tmp_path / "straight")
    tiny_run(small, tmp_path / "cut", replace(BRIEF, epochs=2))
    assert len(tiny_run(small, tmp_path / "cut", BRIEF, resume=True).epochs) == 4
    assert load_weights(tmp_path / "straight") == load_weights(tmp_path / "cut")


def test_another_recipe_or_other_data_is_not_resumed(small: SyntheticWorld, tmp_path: Path) -> None:
    tiny_run(small, tmp_path, replace(BRIEF, epochs=1))
    with pytest.raises(TrainingError, match="another learning_rate, noise_m"):
        tiny_run(small, tmp_path, replace(BRIEF, noise_m=1.0, learning_rate=1.0), resume=True)
    with pytest.raises(TrainingError, match="another data"):
        tiny_run(small, tmp_path, gallery=small.gallery[:50], resume=True)
    features = small.train.features.copy()
    features[60:] += 1
    other = FeatureSet(features, small.train.coordinates, small.train.names)
    with pytest.raises(TrainingError, match="another data"):
        tiny_run(small, tmp_path, data=other, resume=True)
    model = tiny_model()
    with torch.no_grad():
        model.concepts.delta += 0.1 * torch.randn_like(model.concepts.delta)  # type: ignore[union-attr]
    held_out, gallery = small.held_out, small.gallery
    with pytest.raises(TrainingError, match="another start: its weights began elsewhere"):
        train(model, BRIEF, small.train, held_out, gallery, tmp_path, resume=True)
    with pytest.raises(TrainingError, match="resume it or take another folder"):
        tiny_run(small, tmp_path)
    with pytest.raises(TrainingError, match="holds no training"):
        tiny_run(small, tmp_path / "nothing", resume=True)


def test_a_damaged_state_is_told(small: SyntheticWorld, tmp_path: Path) -> None:
    (tmp_path / STATE_NAME).write_bytes(b"\x80\x04broken")
    with pytest.raises(TrainingError, match="cannot be read"):
        tiny_run(small, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("part", "prefix"),
    [
        ("image", "image_encoder."),
        ("location", "location_encoder."),
        ("logit_scale", "logit_scale"),
        ("concepts", "concepts."),
    ],
)
def test_a_frozen_part_stays_and_the_others_learn(
    small: SyntheticWorld, tmp_path: Path, part: str, prefix: str
) -> None:
    start = tiny_model().state_dict()
    config = replace(BRIEF, epochs=1, frozen=(part,))  # type: ignore[arg-type]
    end = tiny_run(small, tmp_path, config).model.state_dict()
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    assert not any(name.startswith(prefix) for name in moved)
    learned = {"image_encoder.", "location_encoder.", "logit_scale", "concepts."} - {prefix}
    assert all(any(name.startswith(one) for name in moved) for one in learned)


def test_everything_frozen_is_refused(small: SyntheticWorld, tmp_path: Path) -> None:
    everything = replace(BRIEF, frozen=("image", "location", "logit_scale", "concepts"))
    with pytest.raises(TrainingError, match="nothing to train"):
        tiny_run(small, tmp_path, everything)


def test_training_stops_when_the_held_out_photos_no_longer_gain(
    small: SyntheticWorld, tmp_path: Path
) -> None:
    useless = replace(BRIEF, epochs=50, learning_rate=1e-12, patience=2)
    result = tiny_run(small, tmp_path, useless)
    assert (len(result.epochs), result.best_epoch) == (3, 1)


def test_a_loss_that_is_no_number_ends_the_training(small: SyntheticWorld, tmp_path: Path) -> None:
    features = np.full_like(small.train.features, np.nan)
    broken = FeatureSet(features, small.train.coordinates, small.train.names)
    with pytest.raises(TrainingError, match="no number in epoch 1"):
        tiny_run(small, tmp_path, data=broken)


def test_an_epoch_meets_every_photo_once_in_one_of_its_views(small: SyntheticWorld, tmp_path: Path) -> None:
    class Watched(np.ndarray):  # type: ignore[type-arg]
        seen: list[tuple[int, int]] = []  # noqa: RUF012

        def __getitem__(self, key: object) -> object:
            if isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], np.ndarray):
                Watched.seen.extend(zip(key[0].tolist(), key[1].tolist(), strict=True))
            return super().__getitem__(key)  # type: ignore[index]

    data = FeatureSet(small.train.features.view(Watched), small.train.coordinates, small.train.names)
    tiny_run(small, tmp_path, replace(BRIEF, epochs=1), data=data)
    assert sorted(row for row, _ in Watched.seen) == list(range(120))
    assert {view for _, view in Watched.seen} == {0, 1, 2}


def test_a_share_of_the_data_is_always_the_same_share(small: SyntheticWorld, tmp_path: Path) -> None:
    fifth = replace(BRIEF, data_share=0.2)
    assert tiny_run(small, tmp_path / "a", fifth).epochs[0].steps == 1  # 24 of 120 photos
    tiny_run(small, tmp_path / "b", fifth)
    assert load_weights(tmp_path / "a") == load_weights(tmp_path / "b")


@pytest.mark.parametrize("space", ["feature", "concept", "both"])
@pytest.mark.parametrize("kind", ["cs", "mean", "none"])
def test_every_switch_of_the_module_does_something(
    small: SyntheticWorld, tmp_path: Path, space: str, kind: str
) -> None:
    alignment = AlignmentConfig(space=space, divergence=kind)  # type: ignore[arg-type]
    epoch = tiny_run(small, tmp_path, replace(BRIEF, epochs=1, alignment=alignment)).epochs[0]
    assert (epoch.contrast > 0) == (space != "concept")
    assert (epoch.concept_contrast > 0) == (space != "feature")
    assert (epoch.divergence > 0) == (kind != "none")
    assert epoch.loss == pytest.approx(epoch.contrast + epoch.concept_contrast + epoch.divergence, rel=1e-5)


def test_metrics_have_one_row_for_each_epoch(small: SyntheticWorld, tmp_path: Path) -> None:
    told: list[EpochMetrics] = []
    result = tiny_run(small, tmp_path, on_epoch=told.append)
    rows = metrics_rows(tmp_path)
    assert rows[0] == list(EpochMetrics.__dataclass_fields__)
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4"]
    assert tuple(told) == result.epochs
    assert [float(row[2]) for row in rows[1:]] == pytest.approx([1e-3 * 0.87**epoch for epoch in range(4)])


def test_near_locations_need_not_be_negatives(small: SyntheticWorld, tmp_path: Path) -> None:
    """Where nothing is far enough to be a negative, a photo is told from nothing: the contrast is zero."""
    far = replace(BRIEF, epochs=1, negatives_beyond_km=20_038.0)
    assert tiny_run(small, tmp_path, far).epochs[0].contrast == pytest.approx(0.0, abs=1e-6)


def test_geography_alone_grounds_concepts_in_regions_it_never_saw(tmp_path: Path) -> None:
    generator = np.random.default_rng(8)
    points = uniform_places(4000, (-80, -180, 80, 180), generator)
    truths = np.stack(
        [
            np.abs(points[:, 0]) < 23.4,
            points[:, 1] > 0,
            points[:, 0] > 40,
            np.where(points[:, 0] < 0, np.nan, points[:, 1] > 60),
            np.ones(4000),
        ]
    ).astype(np.float32)
    held_out = held_out_blocks(points, 0.2, seed=1)
    geography = Geography(points, truths, held_out)
    config = replace(BRIEF, epochs=2, steps=60, grounding=GroundingConfig(weight=1.0, points=256))
    result = train(tiny_model(), config, None, None, points, tmp_path, geography=geography)
    assert result.concept_auc is not None
    assert np.isnan(result.concept_auc[4]), "a fact that holds everywhere has no AUC"
    assert np.nanmin(result.concept_auc) > 0.95
    off = train(
        tiny_model(), replace(config, grounding=GroundingConfig()), small_data(points), None, points,
        tmp_path / "off", geography=geography,
    )  # fmt: skip
    assert off.concept_auc is not None
    assert np.nanmean(off.concept_auc) < np.nanmean(result.concept_auc) - 0.2


def test_without_photos_and_without_grounding_there_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="without photos"):
        train(tiny_model(), BRIEF, None, None, np.zeros((1, 2)), tmp_path)


def small_data(points: np.ndarray) -> FeatureSet:  # type: ignore[type-arg]
    features = np.random.default_rng(0).normal(size=(64, 1, 8)).astype(np.float32)
    return FeatureSet(features, points[:64], tuple("x" * 64))


def load_weights(folder: Path) -> bytes:
    """The state but for the seconds that it notes."""
    from safetensors.torch import load_file, save

    return save(load_file(folder / STATE_NAME))


def metrics_rows(folder: Path) -> list[list[str]]:
    with (folder / METRICS_NAME).open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))
