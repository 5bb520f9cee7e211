"""`geolocate train`, from photos or features to a checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from backbones import SIDE, WIDTH, write_backbone
from click.testing import CliRunner, Result
from PIL import Image

from geolocate.cli.status import DONE, PHOTOS_FAILED
from geolocate.cli.train import command
from geolocate.errors import (
    ConceptSetError,
    ExtraMissing,
    GeolocateError,
    TrainingError,
    UsageError,
    WeightsError,
)
from geolocate_export.checkpoint import load_checkpoint, load_provenance
from geolocate_export.synthetic_world import make_world
from geolocate_export.trained_concepts import read_concepts
from geolocate_export.training_config import GroundingConfig
from geolocate_export.training_folder import newest_training

SMALL = [
    "--embedding-dim", "8", "--frequencies", "4", "--hidden", "8", "--batch-size", "16", "--queue", "16",
    "--epochs", "2", "--learning-rate", "0.001", "--no-progress",
]  # fmt: skip


@pytest.fixture(autouse=True)
def in_an_empty_folder_with_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def features(tmp_path: Path) -> Path:
    world = make_world(seed=4, train_places=60, held_out_places=1, gallery_points=50, feature_dim=6)
    folder = tmp_path / "features"
    folder.mkdir()
    np.save(folder / "features.npy", world.train.features)
    np.save(folder / "coordinates.npy", world.train.coordinates)
    np.savetxt(tmp_path / "gallery.csv", world.gallery, delimiter=",", header="LAT,LON", comments="")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty coloured squares at twenty places, and a row whose photo is missing."""
    draw = np.random.default_rng(6)
    rows = ["IMG_ID,LAT,LON"]
    for number in range(20):
        pixels = draw.integers(0, 256, size=(SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{-40 + 4 * number},{-90 + 9 * number}")
    table = tmp_path / "photos.csv"
    table.write_text("\n".join([*rows, "gone.png,1,1"]) + "\n")
    return table


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words], standalone_mode=False)


def test_features_become_heads_and_are_measured_beside_what_needs_no_photo(features: Path) -> None:
    result = run(features, "--gallery", "gallery.csv", "--concepts", "none", *SMALL)
    assert result.return_value == DONE, result.exception
    first, *rows = result.stdout.splitlines()
    assert first.startswith("6 held-out photos, % within")
    assert [row[:22].strip() for row in rows] == ["model", "constant guess", "random gallery point"]
    assert all(len(row.split()) >= 7 for row in rows)
    assert "epoch 2: loss" in result.stderr
    training = newest_training()
    assert training is not None
    model = load_checkpoint(training / "model")
    assert model.concepts is None
    provenance = load_provenance(training / "model")
    assert provenance.trained
    assert "54 photos of features" in provenance.source
    assert {"model", "constant guess", "random gallery point", "measured on"} == set(provenance.accuracy)


def test_photos_go_through_any_backbone_and_bad_ones_are_told(photos: Path, tmp_path: Path) -> None:
    backbone = write_backbone(tmp_path)
    result = run(photos, "--backbone", backbone, "--views", 2, "--output", tmp_path / "mine", *SMALL)
    assert result.return_value == PHOTOS_FAILED, result.exception
    assert "left out: 1 x" in result.stderr
    assert "gone.png" in result.stderr
    model = load_checkpoint(tmp_path / "mine" / "model")
    assert model.config.image.feature_dim == WIDTH
    assert model.concepts is not None
    concepts = read_concepts(tmp_path / "mine" / "model", model.concepts.delta.shape[0])
    assert all(concept.auc is not None for concept in concepts if concept.shown), (
        "without a text tower nothing but its fact ties a concept to its name"
    )
    assert any(concept.auc is not None for concept in concepts)


def test_a_training_goes_on_where_it_stopped(features: Path, tmp_path: Path) -> None:
    words = [features, "--gallery", "gallery.csv", "--concepts", "none", *SMALL]
    assert run(*words, "--output", "training/a").return_value == DONE
    refused = run(*words, "--output", "training/a")
    assert isinstance(refused.exception, UsageError)
    assert "--resume" in str(refused.exception)
    more = run(*words, "--epochs", 3, "--resume")  # the newest
    assert more.return_value == DONE, more.exception
    assert "epoch 3" in more.stderr
    assert "epoch 2" not in more.stderr
    other = run(*words, "--noise", 1, "--resume")
    assert isinstance(other.exception, TrainingError)
    assert "another noise_m" in str(other.exception)


def test_nothing_held_out_is_nothing_measured(features: Path) -> None:
    result = run(features, "--gallery", "gallery.csv", "--concepts", "none", "--held-out", 0, *SMALL)
    assert result.return_value == DONE, result.exception
    assert result.stdout == ""
    training = newest_training()
    assert training is not None
    assert load_provenance(training / "model").accuracy == {}


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--resume"], UsageError, "no training to resume"),
        (["--concepts", "nothing.json"], ConceptSetError, "no concept set"),
        (["--apart", "9999"], UsageError, "--held-out 0"),
        (["--backbone", "nothing.onnx"], WeightsError, "nothing"),
        (["--device", "cuda"], GeolocateError, "no CUDA device"),
    ],
)
def test_what_cannot_be_trained_is_one_message(
    features: Path, words: list[str], error: type[GeolocateError], message: str
) -> None:
    if "cuda" in words and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    result = run(features, "--gallery", "gallery.csv", "--concepts", "none", *SMALL, *words)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)


@pytest.mark.parametrize(
    "option",
    [
        "--learning-rate", "--weight-decay", "--noise", "--queue-noise", "--sigma", "--held-out", "--apart",
        "--grounding", "--divergence-weight", "--negatives-beyond", "--decay", "--data-share",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_value_that_is_no_finite_number_is_a_usage_error(features: Path, option: str, value: str) -> None:
    result = CliRunner().invoke(command, [str(features), option, value])
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.stderr


def test_every_value_has_a_name_in_the_help() -> None:
    text = CliRunner().invoke(command, ["--help"]).stdout
    assert not {"INTEGER", "FLOAT", "DIRECTORY", "RANGE", "TEXT", "PATH"} & set(text.split())


def test_a_queue_that_holds_the_photos_own_places_is_told(features: Path) -> None:
    words = [features, "--gallery", "gallery.csv", "--concepts", "none", *SMALL]
    told = run(*words, "--output", "a")
    assert "queue of 16 coordinates is long beside 54 photos" in told.stderr
    assert "--negatives-beyond" in told.stderr
    assert "queue of" not in run(*words, "--output", "b", "--negatives-beyond", 100).stderr
    assert "queue of" not in run(*words, "--output", "c", "--queue", 10).stderr


def test_what_cannot_be_exported_is_not_sent_to_export(photos: Path, features: Path, tmp_path: Path) -> None:
    heads = run(features, "--gallery", "gallery.csv", "--concepts", "none", *SMALL)
    assert "it holds heads alone" in heads.stderr
    words = [photos, "--backbone", write_backbone(tmp_path), "--views", 1, "--concepts", "none", *SMALL]
    plain = run(*words, "--projection", "degrees", "--output", "plain")
    assert "no bundle can be made of it" in plain.stderr
    assert "geolocate export" not in heads.stderr + plain.stderr
    assert "geolocate export whole makes a bundle of it" in run(*words, "--output", "whole").stderr


def test_features_that_come_again_are_left_out_and_told(features: Path) -> None:
    stored = np.load(features / "features.npy")
    stored[8] = stored[3]
    np.save(features / "features.npy", stored)
    result = run(features, "--gallery", "gallery.csv", "--concepts", "none", *SMALL)
    assert result.return_value == PHOTOS_FAILED, result.exception
    assert "left out: 1 x same features as an earlier row: row 8" in result.stderr


def test_the_command_grounds_concepts_where_the_papers_recipe_does_not() -> None:
    (option,) = (option for option in command.params if option.name == "grounding")
    assert (option.default, GroundingConfig().weight) == (1.0, 0.0)


def test_features_that_are_none_are_refused(features: Path) -> None:
    np.save(features / "coordinates.npy", np.full((60, 2), np.nan))
    result = run(features, "--concepts", "none", *SMALL)
    assert isinstance(result.exception, TrainingError)
    assert "off the globe" in str(result.exception)


def test_without_the_extra_the_message_names_it(features: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "geolocate_export.train_command", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("geolocate_export")]:
        monkeypatch.delitem(sys.modules, name)
    result = run(features)
    assert isinstance(result.exception, ExtraMissing)
    assert "pip install 'geolocate[export]'" in str(result.exception)
