"""What of the starter is learned from geography, and what from photos.

First the location encoder and the concepts' basis, from what is known of the concepts' geography at the
gallery's points: that needs no photo. Then the image head, from photos, while the locations stand still: so
few photos would only bend the map.

M gallery points, K concepts, P photos.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from geolocate.sphere import chord_to_km, unit_vectors
from geolocate_export.concept_alignment import AlignmentConfig
from geolocate_export.concept_facts import truths
from geolocate_export.concept_set import ConceptSet
from geolocate_export.feature_set import FeatureSet
from geolocate_export.grounding import Geography, block_folds
from geolocate_export.held_out import embed_features
from geolocate_export.model import GeoModel
from geolocate_export.splits import places
from geolocate_export.starter_photos import SAME_PLACE_KM
from geolocate_export.train import train
from geolocate_export.trained_concepts import TrainedConcept, describe_concepts
from geolocate_export.training_config import GroundingConfig, TrainingConfig

SEED = 20231210
#: The location encoder and the basis, from facts alone.
FROM_GEOGRAPHY = TrainingConfig(
    epochs=3,
    steps=100,
    learning_rate=1e-3,
    schedule="cosine",
    queue_length=0,
    grounding=GroundingConfig(weight=1.0, points=512),
    seed=SEED,
)
#: The image head and the image side of the concepts.
FROM_PHOTOS = TrainingConfig(
    epochs=5,
    steps=30,
    batch_size=128,
    optimiser="adamw",
    learning_rate=1e-3,
    weight_decay=0.1,
    schedule="cosine",
    queue_length=1024,
    negatives_beyond_km=300.0,
    alignment=AlignmentConfig(space="both", divergence="cs", weight=1.0),
    grounding=GroundingConfig(weight=1.0, points=512),
    frozen=("location",),
    seed=SEED,
)
#: Parts of the world that concepts are measured in, each by a model that never saw it.
REGION_FOLDS = 5
#: How far a photo makes others likely: densities have the kernel exp(-distance / DENSITY_KM).
DENSITY_KM = 1000.0
#: How far the gallery's own density is taken out of them: 0 not at all, 1 wholly.
GALLERY_POWER = 1 / 3
#: Added to every weight, as a share of their mean: photos come from where nobody has learned of any, too.
WEIGHT_FLOOR = 0.05

Say = Callable[[str], None]


@dataclass(frozen=True)
class Heads:
    """What the training leaves.

    Attributes:
        model: all of it, its tower as it was given.
        concepts: K of them, what the outputs of its concept module are.
    """

    model: GeoModel
    concepts: tuple[TrainedConcept, ...]


def train_heads(
    fresh: Callable[[], GeoModel],
    photos: FeatureSet,
    gallery: NDArray[np.float64],
    concepts: ConceptSet,
    *,
    geography: TrainingConfig = FROM_GEOGRAPHY,
    heads: TrainingConfig = FROM_PHOTOS,
    say: Say = lambda line: None,
) -> Heads:
    """Trains everything but the image tower.

    Args:
        fresh: makes the model as it starts, always the same.
        photos: to learn from.
        gallery: degrees (M, 2), the points where facts are known.
        geography, heads: the two recipes.
    """
    known = truths(concepts, gallery)  # (K, M)
    nowhere = np.zeros(len(gallery), dtype=bool)
    auc = region_aucs(fresh, known, gallery, geography, say)  # (K,)
    with tempfile.TemporaryDirectory() as scratch:
        world = Geography(gallery, known, nowhere)
        model = train(
            fresh(), geography, None, None, gallery, Path(scratch) / "geography", geography=world
        ).model
        say(f"learning from {len(photos)} photos")
        train(model, heads, photos, None, gallery, Path(scratch) / "heads", geography=world)
    assert model.concepts is not None, "the starter has the concept module"
    with torch.inference_mode():
        z_img = model.concepts(embed_features(model, photos.features[:, 0]))  # (P, K)
    described = describe_concepts(concepts, z_img.mean(dim=0).numpy(), auc, from_text=False)
    return Heads(model, described)


def region_aucs(
    fresh: Callable[[], GeoModel],
    known: NDArray[np.float32],
    gallery: NDArray[np.float64],
    recipe: TrainingConfig,
    say: Say = lambda line: None,
) -> NDArray[np.float64]:
    """AUC of each concept's location score against its fact (K, M), by cross-validation over blocks.

    The world is cut into blocks of BLOCK_DEGREES, the blocks into REGION_FOLDS parts; a model that learned
    from the others scores each. Pairs of points are compared within a part only.

    Returns:
        (K,), NaN where no part has a point where the fact holds and one where it does not.
    """
    fold = block_folds(gallery, REGION_FOLDS, SEED)  # (M,)
    total, pairs = np.zeros(len(known)), np.zeros(len(known))
    for number in range(REGION_FOLDS):
        held_out = fold == number  # (M,)
        with tempfile.TemporaryDirectory() as scratch:
            world = Geography(gallery, known, held_out)
            result = train(fresh(), recipe, None, None, gallery, Path(scratch) / "fold", geography=world)
        auc = result.concept_auc
        assert auc is not None, "a region is held out"
        ones, zeros = ((known[:, held_out] == truth).sum(axis=1) for truth in (1, 0))  # (K,), (K,)
        total += np.nan_to_num(auc) * ones * zeros
        pairs += ones * zeros
        say(f"concepts in part {number + 1} of {REGION_FOLDS} of the world: AUC {np.nanmedian(auc):.3f}")
    return np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan)


def photo_density(photos: NDArray[np.float64], gallery: NDArray[np.float64]) -> NDArray[np.float32]:
    """Weights (M,) of gallery points (M, 2), at most 1: where photos are expected that nobody has looked at.

    The density of the places of photos (P, 2), each counting once, over a power of the gallery's own density.
    Undivided, the posterior would count regions of many gallery points twice, and its circles would be too
    small; wholly divided, lonely islands would be the likeliest points of all. Above 1 a weight would say
    that rows of the gallery are copies of each other.
    """
    place = places(photos, SAME_PLACE_KM)  # (P,)
    of_photos = _density(gallery, photos, 1.0 / np.bincount(place)[place])  # (M,)
    of_gallery = _density(gallery, gallery, np.ones(len(gallery)))  # (M,)
    expected = of_photos / of_gallery**GALLERY_POWER  # (M,)
    expected += WEIGHT_FLOOR * expected.mean()
    weights: NDArray[np.float32] = (expected / expected.max()).astype(np.float32)
    return weights


def _density(
    points: NDArray[np.float64], sources: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The sum (M,) at points (M, 2) of the kernels round sources (S, 2), each with its share (S,)."""
    at, around = unit_vectors(*points.T), unit_vectors(*sources.T)  # (M, 3), (S, 3)
    density = np.zeros(len(points))
    for start in range(0, len(sources), 256):
        part = slice(start, start + 256)
        chords = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * at @ around[part].T))  # (M, 256)
        density += np.exp(-chord_to_km(chords) / DENSITY_KM) @ shares[part]
    return density
