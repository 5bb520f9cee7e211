"""E_concept, where concepts begin, from the text tower of the backbone; others keep the fixed seeded basis.

Text features are as wide as image features and go through the same image head, the modality gap closed: so
the published GeoCLIP answers text queries too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geolocate.bundle import TOKENIZER
from geolocate.text import ModalityMeans, Tokenizer
from geolocate_export.clip_weights import ClipWeights
from geolocate_export.concept_set import ConceptSet
from geolocate_export.model import GeoModel
from geolocate_export.text_parts import prompts
from geolocate_export.tokenizer import write_tokenizer
from geolocate_export.zero_shot import concept_direction

#: Photos whose mean feature says where photos lie.
MEAN_PHOTOS = 4096
#: Texts through the tower at once.
BATCH = 32


def text_basis(
    concepts: ConceptSet,
    clip: ClipWeights,
    features: NDArray[np.floating[Any]],
    model: GeoModel,
    *,
    say: Callable[[str], None] = lambda message: None,
) -> Tensor:
    """Unit directions (K, d) of the concepts' prompts in the space of `model`'s embeddings.

    Args:
        clip: weights with a text tower.
        features: of photos, raw (P, c), as the same CLIP's vision tower gives them.

    Raises:
        WeightsError: there is no text tower.
    """
    tower = clip.text_tower()
    assert clip.text is not None, "what has a tower has its sizes"
    say(f"embedding {len(concepts)} concepts")
    with tempfile.TemporaryDirectory() as scratch:
        write_tokenizer(Path(scratch) / TOKENIZER)
        tokenizer = Tokenizer((Path(scratch) / TOKENIZER).read_bytes(), clip.text.context_length)
        tokens = torch.from_numpy(tokenizer(prompts()).ids)  # (T, context)
        with torch.inference_mode():
            texts = torch.cat([tower(part) for part in torch.split(tokens, BATCH)]).numpy()  # (T, c)
        means = ModalityMeans.of(texts, features[:MEAN_PHOTOS].astype(np.float32))
        directions = [concept_direction(list(c.prompts), tokenizer, tower, means, model) for c in concepts]
    return torch.from_numpy(np.stack(directions))  # (K, d)
