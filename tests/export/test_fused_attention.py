"""Fused attention: the same function in fewer operators, seen in float32, where the CPU can run it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from geolocate_export import graphs
from geolocate_export.fused_attention import CONTRIBUTED, fuse_attention
from geolocate_export.model import ImageConfig, ImageEncoder
from geolocate_export.parity import cpu_session, generated_photos
from geolocate_export.quantise import to_float16, unfold_half

LAYERS = 3


@pytest.fixture
def transformer() -> ModelProto:
    """A small vision transformer of CLIP's kind, four heads of 16, with seeded weights."""
    torch.manual_seed(5)
    vision = {"layers": LAYERS, "width": 64, "head_width": 16, "patch_size": 8, "image_size": 32}
    model = graphs.image_encoder_graph(ImageEncoder(ImageConfig(vision, 32, quick_gelu=True), 16), 32)
    unfold_half(model)
    return model


def embeddings(model: ModelProto, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = cpu_session(model).run(["image_embedding"], {"pixels": photos})[0]
    return found


def test_the_embedding_is_the_same_at_any_batch(transformer: ModelProto) -> None:
    photos = generated_photos(5, 32)
    expected = embeddings(transformer, photos)
    operators = len(transformer.graph.node)
    assert fuse_attention(transformer) == LAYERS
    kinds = [node.op_type for node in transformer.graph.node if node.domain == CONTRIBUTED]
    assert kinds == ["MultiHeadAttention"] * LAYERS
    assert len(transformer.graph.node) < operators / 2
    for count in (1, 5):
        assert embeddings(transformer, photos[:count]) == pytest.approx(expected[:count], abs=1e-5)


def test_a_wrong_number_of_heads_would_be_seen(
    transformer: ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = generated_photos(5, 32)
    expected = embeddings(transformer, photos)
    monkeypatch.setattr("geolocate_export.fused_attention._heads", lambda *_: 2)
    fuse_attention(transformer)
    assert np.abs(embeddings(transformer, photos) - expected).max() > 1e-3


def test_a_graph_without_attention_stays_as_it_is() -> None:
    torch.manual_seed(5)
    head = graphs.image_head_graph(ImageEncoder(ImageConfig({}, 32), 16), 32)
    before = head.SerializeToString(deterministic=True)
    assert fuse_attention(head) == 0
    assert head.SerializeToString(deterministic=True) == before


def test_float16_has_fused_attention_in_float16(transformer: ModelProto) -> None:
    half = to_float16(transformer)
    fused = [node for node in half.graph.node if node.domain == CONTRIBUTED]
    assert len(fused) == LAYERS
    weights = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert {weights[f"block{number}.weight"] for number in range(LAYERS)} == {TensorProto.FLOAT16}
    assert fuse_attention(transformer) == LAYERS, "its own graph was left as it was"
