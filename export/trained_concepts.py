"""What a trained concept module's K outputs mean: `concepts.json`, alike in checkpoints and in bundles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import CONCEPT_BASIS, CONCEPTS
from geolocate.concepts import MAX_BYTES, TRAINED
from geolocate.errors import BundleDamaged
from geolocate_export.concept_alignment import ConceptAlignment
from geolocate_export.concept_set import ConceptSet

#: A concept with a fact is shown where its location score finds the fact again so well, in regions that were
#: held out.
SHOWN_AUC = 0.7


@dataclass(frozen=True, slots=True)
class TrainedConcept:
    """One output of the module.

    Attributes:
        name, category, prompts, fact: as in the concept set.
        baseline: mean score z_img of the photos that were trained on.
        auc: of the location score against the fact, in held-out regions; None where there is no fact or no
            region held out.
        shown: whether users see it of a location.
        photo_auc: of the photo's own score against the fact at its place, on photos of places that were held
            out; None where it was not measured.
        shown_in_photos: whether users see it of a photo.
    """

    name: str
    category: str
    prompts: tuple[str, ...]
    fact: Mapping[str, Any] | None
    baseline: float
    auc: float | None
    shown: bool
    photo_auc: float | None
    shown_in_photos: bool


def describe_concepts(
    concepts: ConceptSet,
    baseline: NDArray[np.floating],
    auc: NDArray[np.float64] | None,
    *,
    from_text: bool,
) -> tuple[TrainedConcept, ...]:
    """Names the outputs of a module after its training.

    Args:
        concepts: K of them, in the module's order.
        baseline: (K,), mean scores of the training photos.
        auc: (K,), NaN where unknown; None where nothing was measured.
        from_text: whether E_concept comes from a text tower. If so, concepts whose worth was not measured are
            shown too; if not, nothing ties them to their names, and they are not.
    """
    described = []
    for row, concept in enumerate(concepts):
        measured = None if auc is None or np.isnan(auc[row]) else round(float(auc[row]), 4)
        shown = from_text if measured is None else measured >= SHOWN_AUC
        described.append(
            TrainedConcept(
                concept.name,
                concept.category,
                concept.prompts,
                concept.fact,
                round(float(baseline[row]), 6),
                measured,
                shown,
                photo_auc=None,
                shown_in_photos=shown,
            )
        )
    return tuple(described)


def write_concepts(folder: Path, concepts: Sequence[TrainedConcept]) -> None:
    """Writes `concepts.json`."""
    listed = {"kind": TRAINED, "concepts": [asdict(concept) for concept in concepts]}
    text = json.dumps(listed, indent=1, ensure_ascii=False) + "\n"
    (folder / CONCEPTS).write_text(text, encoding="utf-8")


def write_basis(folder: Path, module: ConceptAlignment) -> None:
    """Writes `concept_basis.npy`, B (K, d): the scores of locations are unit(x_loc B)."""
    np.save(folder / CONCEPT_BASIS, module.basis.detach().cpu().numpy().astype(np.float32))


def read_concepts(folder: Path, count: int) -> tuple[TrainedConcept, ...]:
    """Reads `concepts.json` of a checkpoint whose module has `count` concepts.

    Raises:
        BundleDamaged: it is missing, no such list, or of another length.
    """
    path = folder / CONCEPTS
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        raw = json.loads(path.read_text(encoding="utf-8"))
        found = tuple(_concept(entry) for entry in raw["concepts"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleDamaged(f"{path} does not say what the model's concepts are: {error}") from error
    if len(found) != count:
        raise BundleDamaged(f"{path} names {len(found)} concepts, the model has {count}")
    return found


def _concept(entry: Mapping[str, Any]) -> TrainedConcept:
    auc, shown, fact = entry["auc"], entry["shown"], entry["fact"]
    photo_auc, shown_in_photos = entry.get("photo_auc"), entry.get("shown_in_photos", shown)
    if (
        not isinstance(shown, bool)
        or not isinstance(shown_in_photos, bool)
        or not (fact is None or isinstance(fact, dict))
    ):
        raise ValueError("shown is true or false, fact an object or null")
    return TrainedConcept(
        str(entry["name"]),
        str(entry["category"]),
        tuple(str(prompt) for prompt in entry["prompts"]),
        fact,
        float(entry["baseline"]),
        None if auc is None else float(auc),
        shown,
        None if photo_auc is None else float(photo_auc),
        shown_in_photos,
    )
