"""What `geolocate train` does: photos or features in, a checkpoint and its held-out accuracy out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from geolocate.bundle import DEFAULT_NAMES, GALLERY_COORDINATES, load_bundle
from geolocate.errors import DeviceError, UsageError
from geolocate.evaluation.baselines import constant_errors_km, geometric_median, random_errors_km
from geolocate.evaluation.metrics import ACCURACY_THRESHOLDS_KM, Accuracy
from geolocate.gallery_csv import read_gallery
from geolocate.position_table import Problems
from geolocate_export.backbone import ONNX_SUFFIX, load_backbone, pretrained_tag
from geolocate_export.checkpoint import Provenance, save_checkpoint
from geolocate_export.clip_weights import load_clip
from geolocate_export.concept_alignment import ConceptConfig
from geolocate_export.concept_basis import text_basis
from geolocate_export.concept_facts import truths
from geolocate_export.concept_set import ConceptSet, load_concept_set
from geolocate_export.feature_set import FeatureSet, is_feature_folder, load_features
from geolocate_export.features import cached_features
from geolocate_export.grounding import Geography, held_out_blocks
from geolocate_export.held_out import embed_features, evaluate
from geolocate_export.model import GeoModel, ImageConfig, LocationConfig, ModelConfig
from geolocate_export.splits import split_by_place
from geolocate_export.train import TrainingResult, train
from geolocate_export.trained_concepts import TrainedConcept, describe_concepts
from geolocate_export.training_config import TrainingConfig
from geolocate_export.training_data import TrainingPhotos, read_training_folder, read_training_table
from geolocate_export.training_folder import MODEL, note_newest
from geolocate_export.training_metrics import epoch_line
from geolocate_export.training_state import STATE_NAME

#: Share of the blocks of latitude and longitude that concepts are measured in.
HELD_OUT_REGIONS = 0.2
#: GeoCLIP's image features.
DEFAULT_BACKBONE = "ViT-L-14-quickgelu"

Say = Callable[[str], None]
Count = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What is trained on what.

    Attributes:
        data: a table of photos and positions, a folder of photos with positions in EXIF, or a folder of
            features (see :func:`load_features`).
        images: where a table's names start from; None takes the table's folder.
        output: the training's folder.
        backbone, weights: as :func:`load_backbone`; a folder of features needs none.
        views: of each photo.
        cache: folder for caches of features.
        held_out: share of the photos that are held out by place; 0 holds out none.
        apart_km: as :func:`split_by_place`.
        gallery: CSV of coordinates; None takes the starter's.
        concepts: name or file of a concept set; None trains no module.
        location, embedding_dim, concept_hidden: sizes of what is trained.
        recipe: how.
        device: "cuda", "cpu", or "auto", which takes CUDA where torch has it.
        resume: go on with the training in `output`.
    """

    data: Path
    output: Path
    recipe: TrainingConfig
    images: Path | None = None
    backbone: str | None = None
    weights: Path | None = None
    views: int = 4
    cache: Path = Path("training/features")
    held_out: float = 0.1
    apart_km: float = 25.0
    gallery: Path | None = None
    concepts: str | None = "geographic"
    location: LocationConfig = field(default_factory=LocationConfig)
    embedding_dim: int = 512
    concept_hidden: int = 256
    device: str = "auto"
    resume: bool = False


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a training came to, for the user.

    Attributes:
        checkpoint: folder of the model.
        problems: how many photos were left out.
        accuracy: by what was guessed ("model", ...), on the held-out photos; empty where there were none.
        result: as :func:`train`.
        no_bundle: why the checkpoint cannot be exported; None where it can.
    """

    checkpoint: Path
    problems: int
    accuracy: dict[str, Accuracy]
    result: TrainingResult
    no_bundle: str | None


def train_on_photos(
    plan: TrainingPlan,
    *,
    say: Say = lambda message: None,
    on_photo: Count = lambda done, total: None,
    on_step: Count = lambda step, steps: None,
) -> TrainingReport:
    """Computes features where there are none yet, trains, writes the checkpoint and measures it.

    Raises:
        DeviceError: CUDA was asked for and torch has none.
        UsageError: photos that cannot be split by place, or features that do not fit the backbone.
        TrainingError: as :func:`train`.
        BundleError, ConceptSetError, GalleryError, TableError, WeightsError: what was named cannot be used.
    """
    if not plan.resume and (plan.output / STATE_NAME).exists():  # before the work, not after it
        raise UsageError(f"{plan.output} holds a training; --resume goes on with it")
    plan = replace(plan, device=_device(plan.device))
    gallery = _gallery(plan.gallery)
    concepts = load_concept_set(plan.concepts) if plan.concepts is not None else None
    torch.manual_seed(plan.recipe.seed)
    model, data, problems = _model_and_data(plan, concepts, say, on_photo)
    for line in problems.lines():
        say(f"left out: {line}")
    training, held_out = _split(data, plan)
    say(
        f"{len(training):,} photos to learn from, {len(held_out) if held_out else 0:,} held out, "
        f"{data.features.shape[1]} views, features of width {data.features.shape[2]}"
    )
    learned = round(plan.recipe.data_share * len(training))
    if plan.recipe.meets_itself(learned):
        say(
            f"warning: the queue of {plan.recipe.queue_length:,} coordinates is long beside {learned:,} "
            "photos: a photo's own place is often among its negatives; --negatives-beyond KM leaves out what "
            "is nearer, --queue N shortens it"
        )
    from_text = concepts is not None and _start_from_text(model, concepts, plan, training, say)
    result = train(
        model,
        plan.recipe,
        training,
        held_out,
        gallery,
        plan.output,
        geography=_geography(concepts, gallery, plan.recipe.seed),
        device=plan.device,
        resume=plan.resume,
        on_step=on_step,
        on_epoch=lambda metrics: say(epoch_line(metrics)),
    )
    accuracy = _accuracy(result.model, held_out, gallery)
    checkpoint = plan.output / MODEL
    _save(result, concepts, training, accuracy, checkpoint, plan, from_text=from_text)
    note_newest(plan.output)
    return TrainingReport(checkpoint, problems.total, accuracy, result, _no_bundle(result.model))


def accuracy_line(accuracy: Accuracy) -> str:
    """One row of the accuracy table in words."""
    shares = ", ".join(
        f"{share:.1f} % within {km:,.0f} km"
        for km, share in zip(ACCURACY_THRESHOLDS_KM, accuracy.within, strict=True)
    )
    return f"{shares}, median {accuracy.median_km:,.0f} km"


def _device(name: str) -> str:
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("torch finds no CUDA device")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _gallery(path: Path | None) -> NDArray[np.float64]:
    if path is not None:
        return read_gallery(path).coordinates
    starter = load_bundle(DEFAULT_NAMES[-1])
    return np.array(starter.array(GALLERY_COORDINATES, ndim=2), dtype=np.float64)


def _model_and_data(
    plan: TrainingPlan, concepts: ConceptSet | None, say: Say, on_photo: Count
) -> tuple[GeoModel, FeatureSet, Problems]:
    """The model as it starts, the photos' features, and which photos were left out."""
    problems = Problems()
    sizes = ConceptConfig(len(concepts), plan.concept_hidden) if concepts is not None else None
    features = load_features(plan.data, problems) if is_feature_folder(plan.data) else None
    if features is not None and plan.backbone is None:
        heads_only = ImageConfig({}, features.features.shape[2])
        model = GeoModel(ModelConfig(heads_only, plan.location, plan.embedding_dim, sizes))
        return model, features, problems
    photos = None if features is not None else _photos(plan, say)
    backbone = plan.backbone or DEFAULT_BACKBONE
    say(f"reading the backbone {backbone}")
    image, tower = load_backbone(backbone, plan.weights, say=say)
    model = GeoModel(ModelConfig(image, plan.location, plan.embedding_dim, sizes))
    model.image_encoder.backbone = tower
    if features is not None:
        if features.features.shape[2] != image.feature_dim:
            raise UsageError(
                f"the features in {plan.data} have width {features.features.shape[2]}, "
                f"those of {backbone} {image.feature_dim}"
            )
        return model, features, problems
    assert photos is not None
    features = cached_features(
        photos, model.image_encoder, plan.views, plan.cache, device=plan.device, progress=on_photo
    )
    return model, features, photos.problems


def _photos(plan: TrainingPlan, say: Say) -> TrainingPhotos:
    if plan.data.is_dir():
        return read_training_folder(plan.data, say=say)
    return read_training_table(plan.data, plan.images)


def _split(data: FeatureSet, plan: TrainingPlan) -> tuple[FeatureSet, FeatureSet | None]:
    if plan.held_out == 0:
        return data, None
    try:
        mask = split_by_place(data.coordinates, plan.held_out, plan.apart_km, plan.recipe.seed)  # (P,)
    except ValueError as error:
        raise UsageError(f"{error}; --held-out 0 trains without a measure") from error
    return data.subset(np.flatnonzero(~mask)), data.subset(np.flatnonzero(mask))


def _start_from_text(
    model: GeoModel, concepts: ConceptSet, plan: TrainingPlan, training: FeatureSet, say: Say
) -> bool:
    """Whether E_concept could be had from the backbone's text tower; if not, it stays the seeded basis."""
    backbone = plan.backbone or DEFAULT_BACKBONE
    if model.image_encoder.backbone is None or backbone.lower().endswith(ONNX_SUFFIX):
        say("the backbone has no text tower: concepts begin at fixed directions that mean nothing yet")
        return False
    clip = load_clip(plan.weights, backbone, pretrained_tag(backbone), say=say)
    if clip.text is None or model.concepts is None:
        say("the backbone's text tower is not CLIP's own: concepts begin at fixed directions")
        return False
    model.concepts.start_from(text_basis(concepts, clip, training.features[:, 0], model, say=say))
    return True


def _geography(concepts: ConceptSet | None, gallery: NDArray[np.float64], seed: int) -> Geography | None:
    if concepts is None or all(concept.fact is None for concept in concepts):
        return None
    return Geography(gallery, truths(concepts, gallery), held_out_blocks(gallery, HELD_OUT_REGIONS, seed))


def _no_bundle(model: GeoModel) -> str | None:
    if model.config.location.projection == "degrees":
        return "a model of plain degrees is for comparison, no bundle can be made of it"
    if model.image_encoder.backbone is None:
        return "it holds heads alone; a bundle needs --backbone too, the one that gave the features"
    return None


def _accuracy(
    model: GeoModel, held_out: FeatureSet | None, gallery: NDArray[np.float64]
) -> dict[str, Accuracy]:
    """Of the model and of two guesses that need no photo."""
    if held_out is None:
        return {}
    weights = np.ones(len(gallery))
    truth = held_out.coordinates
    constant = constant_errors_km(truth, geometric_median(gallery, weights), "great-circle")
    by_chance = random_errors_km(truth, gallery, weights, "great-circle")
    return {
        "model": Accuracy.of(evaluate(model, held_out, gallery).km),
        "constant guess": Accuracy.of(constant),
        "random gallery point": Accuracy.of(by_chance, intervals=False),
    }


def _save(
    result: TrainingResult,
    concepts: ConceptSet | None,
    training: FeatureSet,
    accuracy: dict[str, Accuracy],
    checkpoint: Path,
    plan: TrainingPlan,
    *,
    from_text: bool,
) -> None:
    model = result.model.cpu()
    described: tuple[TrainedConcept, ...] = ()
    measured = {name: accuracy_line(value) for name, value in accuracy.items()}
    if measured:
        measured["measured on"] = (
            f"{accuracy['model'].n:,} photos of {plan.data.name}, held out by place, {plan.apart_km:g} km "
            "from all that was trained on"
        )
    provenance = Provenance(
        True, f"Trained by geolocate on {len(training):,} photos of {plan.data.name}.", measured
    )
    if model.concepts is not None and concepts is not None:
        with torch.inference_mode():
            z_img = model.concepts(embed_features(model, training.features[:, 0]))  # (P, K)
        baseline = z_img.mean(dim=0).numpy()  # (K,)
        described = describe_concepts(concepts, baseline, result.concept_auc, from_text=from_text)
    save_checkpoint(model, checkpoint, provenance=provenance, concepts=described)
