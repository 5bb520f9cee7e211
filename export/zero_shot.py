"""Concepts that nobody trained: prompts through the text tower and the image head, until there is better.

A concept's direction is the mean of its prompts' embeddings. Every photo is somewhat like every prompt, so a
score counts only above that of the average photo, which takes photos to know.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from geolocate.bundle import CONCEPT_BASIS, CONCEPTS, MODALITY_MEANS, TOKENIZER, Manifest
from geolocate.concepts import ZERO_SHOT
from geolocate.text import ModalityMeans, Tokenizer
from geolocate_export.clip_weights import ClipWeights
from geolocate_export.concept_set import GEOGRAPHIC, load_concept_set
from geolocate_export.model import GeoModel
from geolocate_export.to_onnx import NewBundle


def add_zero_shot_concepts(
    new: NewBundle,
    clip: ClipWeights,
    model: GeoModel,
    mean_embedding: NDArray[np.float32] | None,
    *,
    say: Callable[[str], None] = lambda message: None,
) -> Manifest:
    """Adds `concepts.json` and `concept_basis.npy` (K, d) to a bundle that closes its modality gap.

    Args:
        mean_embedding: of photos (d,), not normalised: its product with a direction is the mean of their
            cosines. The cosine of the mean feature is far higher, and would hide most concepts.

    Returns:
        The manifest, which counts them.
    """
    if clip.text is None or mean_embedding is None:
        say("no folder of photos was given: without it no concept stands out, and the bundle has none")
        return new.manifest
    means = ModalityMeans.load(new.folder / MODALITY_MEANS)
    listed = load_concept_set(GEOGRAPHIC)
    say(f"embedding {len(listed)} concepts")
    tokenizer = Tokenizer((new.folder / TOKENIZER).read_bytes(), clip.text.context_length)
    tower = clip.text_tower()
    basis = np.stack(
        [concept_direction(list(c.prompts), tokenizer, tower, means, model) for c in listed]
    )  # (K, d)
    baseline = basis @ mean_embedding  # (K,)
    np.save(new.folder / CONCEPT_BASIS, basis)
    concepts = [
        {
            "name": c.name,
            "category": c.category,
            "prompts": list(c.prompts),
            "baseline": round(float(b), 6),
        }
        for c, b in zip(listed, baseline, strict=True)
    ]
    text = json.dumps({"kind": ZERO_SHOT, "concepts": concepts}, indent=1, ensure_ascii=False)
    (new.folder / CONCEPTS).write_text(text + "\n", encoding="utf-8")
    return replace(new.manifest, concept_count=len(concepts))


def concept_direction(
    prompts: list[str], tokenizer: Tokenizer, tower: torch.nn.Module, means: ModalityMeans, model: GeoModel
) -> NDArray[np.float32]:
    """The unit mean of the prompts' embeddings, (d,)."""
    with torch.inference_mode():
        features = tower(torch.from_numpy(tokenizer(prompts).ids)).numpy()  # (P, c)
    mean = _embed(means.close_gap(features), model).mean(axis=0)  # (d,)
    unit: NDArray[np.float32] = mean / np.linalg.norm(mean)
    return unit


def _embed(features: NDArray[np.float32], model: GeoModel) -> NDArray[np.float32]:
    """Features (N, c) through the image head, (N, d)."""
    with torch.inference_mode():
        embeddings: NDArray[np.float32] = model.image_encoder.head(torch.from_numpy(features)).numpy()
    return embeddings
