"""A trained concept module in checkpoints and bundles: its scores are torch's, its names are kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from geolocate import bundle
from geolocate.bundle import Manifest, image_encoder_name
from geolocate.concepts import TRAINED, ConceptBank
from geolocate.encoding import EncodedImage
from geolocate.errors import BundleDamaged, BundleNotFound, ParityError, UsageError
from geolocate.gallery_csv import GalleryPoints
from geolocate.session import ImageEncoder, ImageHead, LocationEncoder
from geolocate_export import command
from geolocate_export.checkpoint import (
    Provenance,
    load_checkpoint,
    load_provenance,
    save_checkpoint,
)
from geolocate_export.command import export_checkpoint
from geolocate_export.concept_alignment import ConceptConfig
from geolocate_export.concept_set import Concept, ConceptSet
from geolocate_export.model import GeoModel, ImageConfig, LocationConfig, ModelConfig
from geolocate_export.parity import cpu_session, enforce_parity, generated_photos, measure_parity
from geolocate_export.to_onnx import BundlePlan, export_bundle
from geolocate_export.trained_concepts import TrainedConcept, describe_concepts, read_concepts
from geolocate_export.training_folder import MODEL, newest_training, note_newest

CONFIG = ModelConfig(
    image=ImageConfig(
        vision={"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 32},
        feature_dim=24,
    ),
    location=LocationConfig(frequencies=8, hidden=16),
    embedding_dim=12,
    concepts=ConceptConfig(5, hidden=7),
)
CONCEPTS = tuple(
    TrainedConcept(
        f"concept {row}",
        "water",
        ("a prompt",),
        None,
        0.1 * row,
        None if row else 0.9,
        row != 2,
        photo_auc=None if row else 0.8,
        shown_in_photos=row < 2,
    )
    for row in range(5)
)


@pytest.fixture(scope="module")
def model() -> GeoModel:
    torch.manual_seed(4)
    model = GeoModel(CONFIG)
    assert model.concepts is not None
    with torch.no_grad():  # as after training: both sides of the module have left their start
        model.concepts.delta.normal_(std=0.3)
        model.concepts.image_output.weight.normal_()
    return model.eval()


def plan(**changes: object) -> BundlePlan:
    coordinates = np.random.default_rng(3).uniform((-60, -180), (70, 180), size=(50, 2))
    values: dict[str, object] = {
        "name": "tiny",
        "version": "1",
        "licence": "MIT",
        "source": "nothing",
        "trained": True,
        "gallery": GalleryPoints(coordinates, np.ones(50, np.float32)),
        "gallery_method": "random points",
        "concepts": CONCEPTS,
        "accuracy": {"model": "measured nowhere"},
        "ship_checkpoint": True,
    }
    return BundlePlan(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def exported(model: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> bundle.Bundle:
    folder = tmp_path_factory.mktemp("export") / "tiny"
    export_bundle(model, plan(), folder)
    return bundle.load_bundle(folder)


def test_both_image_graphs_give_the_scores_of_torch(exported: bundle.Bundle, model: GeoModel) -> None:
    photos = generated_photos(4, 32)
    assert model.concepts is not None
    with torch.inference_mode():
        features = model.image_encoder.features(torch.from_numpy(photos))
        expected = model.concepts(model.image_encoder.head(features)).numpy()
    for found in (ImageEncoder(exported, "cpu")(photos), ImageHead(exported, "cpu")(features.numpy())):
        assert found.concept_scores is not None
        np.testing.assert_allclose(found.concept_scores, expected, atol=1e-6)
    parity = exported.manifest.parity
    for graph in ("image_encoder", "image_head"):
        assert parity[f"{graph}.concept_scores"]["max_abs_difference"] <= 1e-5


def test_scores_of_locations_come_from_the_basis_as_it_was_learned(
    exported: bundle.Bundle, model: GeoModel
) -> None:
    bank = ConceptBank.from_bundle(exported)
    assert bank is not None
    assert bank.kind == TRAINED
    assert model.concepts is not None
    np.testing.assert_array_equal(bank.basis, model.concepts.basis.detach().numpy())
    plane = np.random.default_rng(5).uniform(-0.5, 0.5, size=(6, 2)).astype(np.float32)
    x_loc = LocationEncoder(exported, "cpu")(plane)
    with torch.inference_mode():
        expected = model.concepts.location_scores(torch.from_numpy(x_loc)).numpy()
    np.testing.assert_allclose(bank.location_scores(x_loc), expected, atol=1e-6)


def test_a_concept_that_is_not_fit_to_be_shown_stays_hidden(exported: bundle.Bundle) -> None:
    bank = ConceptBank.from_bundle(exported)
    assert bank is not None
    assert bank.names == tuple(concept.name for concept in CONCEPTS)
    scores = np.array([0.5, 0.2, 0.9, 0.1, 0.6], np.float32)
    strongest = bank.strongest(EncodedImage("photo", concept_scores=scores), 5)
    assert [concept.name for concept in strongest] == ["concept 0", "concept 1"]  # what photos show
    places = bank.strongest_of_location(scores, 5)
    assert [concept.name for concept in places] == [f"concept {row}" for row in (4, 0, 1, 3)]


def test_the_checkpoint_in_a_bundle_makes_the_same_bundle_again(
    exported: bundle.Bundle, tmp_path: Path
) -> None:
    checkpoint = exported.path / "checkpoint"
    assert read_concepts(checkpoint, 5) == CONCEPTS
    again = export_checkpoint(checkpoint, output=tmp_path / "again", name="again")
    assert again.trained
    assert again.accuracy == {"model": "measured nowhere"}
    assert again.concept_count == 5
    assert again.files["concepts.json"] == exported.manifest.files["concepts.json"]


def test_a_plan_that_does_not_name_every_concept_is_refused(model: GeoModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names 4 concepts, the model has 5"):
        export_bundle(model, plan(concepts=CONCEPTS[:4]), tmp_path / "new")


def test_concept_scores_count_for_parity(exported: bundle.Bundle, model: GeoModel) -> None:
    """Another concept module behind the same encoders: the embeddings agree, the scores do not."""
    other = GeoModel(CONFIG)
    other.load_state_dict(model.state_dict())
    assert other.concepts is not None
    with torch.no_grad():
        other.concepts.image_output.bias[0] += 0.01
    names = {
        "image_encoder": image_encoder_name("fp32"),
        "image_head": bundle.IMAGE_HEAD,
        "location_encoder": bundle.LOCATION_ENCODER,
    }
    sessions = {part: cpu_session(onnx.load(exported.path / name)) for part, name in names.items()}
    points = exported.array(bundle.GALLERY_COORDINATES, ndim=2)
    embeddings = np.asarray(exported.array(bundle.GALLERY_EMBEDDINGS, ndim=2), np.float32)
    parity = measure_parity(other, sessions, generated_photos(16, 32), points, embeddings)
    assert parity["image_encoder"]["max_abs_difference"] < 1e-5
    with pytest.raises(ParityError, match=r"image_encoder.concept_scores differs"):
        enforce_parity(parity, 1e-5)


def test_a_model_of_plain_degrees_cannot_become_a_bundle(tmp_path: Path) -> None:
    config = ModelConfig(CONFIG.image, LocationConfig(frequencies=8, hidden=16, projection="degrees"), 12)
    with pytest.raises(UsageError, match="plain degrees"):
        export_bundle(GeoModel(config), plan(concepts=()), tmp_path / "new")


def test_a_checkpoint_says_what_it_was_trained_on(model: GeoModel, tmp_path: Path) -> None:
    said = Provenance(True, "three photos", {"model": "bad"}, 1.5)
    save_checkpoint(model, tmp_path, provenance=said, concepts=CONCEPTS)
    assert load_provenance(tmp_path) == said
    assert load_checkpoint(tmp_path).config == CONFIG


def test_a_checkpoint_from_before_still_loads_and_counts_as_untrained(
    model: GeoModel, tmp_path: Path
) -> None:
    plain = GeoModel(ModelConfig(CONFIG.image, CONFIG.location, 12))
    save_checkpoint(plain, tmp_path)
    config = tmp_path / "config.json"
    before = json.loads(config.read_text())
    for key in ("provenance", "concepts"):
        del before[key]
    del before["location"]["projection"]
    config.write_text(json.dumps(before))
    assert load_checkpoint(tmp_path).concepts is None
    assert not load_provenance(tmp_path).trained


@pytest.mark.parametrize("said", [3, {"trained": "yes"}, {"trained": True, "source": 3}, {"unknown": 1}])
def test_a_provenance_of_a_wrong_kind_is_refused(model: GeoModel, tmp_path: Path, said: object) -> None:
    save_checkpoint(model, tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "provenance": said}))
    with pytest.raises(BundleDamaged, match="where its weights come from"):
        load_provenance(tmp_path)


def test_a_module_without_names_is_no_checkpoint_that_can_be_exported(
    model: GeoModel, tmp_path: Path
) -> None:
    save_checkpoint(model, tmp_path / "nameless")
    with pytest.raises(BundleDamaged, match="what the model's concepts are"):
        export_checkpoint(tmp_path / "nameless", output=tmp_path / "out")
    save_checkpoint(model, tmp_path / "short", concepts=CONCEPTS[:3])
    with pytest.raises(BundleDamaged, match="names 3 concepts, the model has 5"):
        export_checkpoint(tmp_path / "short", output=tmp_path / "out")


def test_heads_without_a_tower_are_no_bundle(tmp_path: Path) -> None:
    save_checkpoint(GeoModel(ModelConfig(ImageConfig({}, 8), CONFIG.location, 12)), tmp_path / "heads")
    with pytest.raises(UsageError, match="heads only"):
        export_checkpoint(tmp_path / "heads", output=tmp_path / "out")


def test_export_takes_the_newest_training_by_its_name(
    model: GeoModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert newest_training() is None
    training = Path("training") / "second"
    save_checkpoint(model, training / MODEL, provenance=Provenance(True), concepts=CONCEPTS)
    note_newest(training)
    assert newest_training() == training
    asked: list[tuple[BundlePlan, Path]] = []

    def build(model: GeoModel, plan: BundlePlan, output: Path, **_: object) -> Manifest:
        asked.append((plan, output))
        raise ParityError("far enough")

    monkeypatch.setattr(command, "export_bundle", build)
    with pytest.raises(ParityError, match="far enough"):
        export_checkpoint()
    assert [(plan.name, plan.trained, plan.concepts, out) for plan, out in asked] == [
        ("second", True, CONCEPTS, Path("second"))
    ]
    (training / MODEL).rename(training / "gone")
    with pytest.raises(BundleNotFound, match="names 'second'"):
        newest_training()


def test_only_concepts_that_found_their_fact_again_or_that_text_means_are_shown() -> None:
    listed = ConceptSet(
        "few", "here", ("water",), tuple(Concept(name, "water", ("a",), "why") for name in "abc")
    )
    auc = np.array([0.7, 0.69, np.nan])
    for from_text in (True, False):
        described = describe_concepts(listed, np.zeros(3), auc, from_text=from_text)
        assert [concept.shown for concept in described] == [True, False, from_text]
        assert [concept.auc for concept in described] == [0.7, 0.69, None]
