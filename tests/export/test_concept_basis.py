"""Concepts begin where the backbone's text tower puts their prompts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from geolocate.errors import WeightsError
from geolocate_export.clip_weights import ClipWeights
from geolocate_export.concept_alignment import ConceptConfig
from geolocate_export.concept_basis import text_basis
from geolocate_export.concept_set import Concept, ConceptSet
from geolocate_export.model import GeoModel, ImageConfig, LocationConfig, ModelConfig
from geolocate_export.text import TextConfig, text_tower

WIDTH = 24
VISION = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 32}
TEXT = TextConfig({"context_length": 24, "width": 32, "heads": 2, "layers": 1}, WIDTH)
CONCEPTS = ConceptSet(
    "few",
    "here",
    ("water",),
    (
        Concept("fjord", "water", ("a fjord between steep cliffs", "a boat in a fjord"), "why"),
        Concept("oasis", "water", ("palm trees around a pool in the desert",), "why"),
        Concept("fjord again", "water", ("a boat in a fjord", "a fjord between steep cliffs"), "why"),
    ),
)


@pytest.fixture
def clip() -> ClipWeights:
    torch.manual_seed(2)
    image = ImageConfig(VISION, WIDTH)
    return ClipWeights(image, {}, TEXT, dict(text_tower(TEXT).state_dict()), "a test")


@pytest.fixture
def model() -> GeoModel:
    torch.manual_seed(3)
    sizes = LocationConfig(frequencies=4, hidden=8)
    return GeoModel(ModelConfig(ImageConfig({}, WIDTH), sizes, 12, ConceptConfig(3))).eval()


def test_a_concept_begins_at_the_mean_of_its_prompts(clip: ClipWeights, model: GeoModel) -> None:
    features = np.random.default_rng(4).normal(size=(40, WIDTH)).astype(np.float16)
    basis = text_basis(CONCEPTS, clip, features, model)
    assert basis.shape == (3, 12)
    torch.testing.assert_close(basis.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(basis[0], basis[2], atol=1e-5, rtol=0)  # prompts have no order
    assert (basis[0] - basis[1]).norm() > 1e-3
    assert model.concepts is not None
    model.concepts.start_from(basis)
    x = functional.normalize(torch.randn(5, 12), dim=1)
    torch.testing.assert_close(model.concepts(x), functional.normalize(x @ basis.T, dim=1))


def test_a_backbone_without_text_is_told(clip: ClipWeights, model: GeoModel) -> None:
    silent = ClipWeights(clip.image, {}, None, {}, "a test")
    with pytest.raises(WeightsError, match="no text tower"):
        text_basis(CONCEPTS, silent, np.zeros((4, WIDTH), np.float16), model)
