"""int8 stays close to float32 on a trained network, and a row never depends on its batch mates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from geolocate.photos.decode import decode_photo
from geolocate_export import graphs
from geolocate_export.concept_alignment import ConceptAlignment, ConceptConfig
from geolocate_export.model import ImageConfig, ImageEncoder
from geolocate_export.parity import cpu_session, generated_photos
from geolocate_export.quantise import to_float16, to_int8

SHARED = Path(__file__).resolve().parents[3] / "shared"
MOBILENET = SHARED / "backbones" / "mobilenet_v2.onnx"
PHOTOS = SHARED / "photos"
#: The least cosine to float32, with the mean over the photos removed: what tells photos apart has to survive.
MIN_CENTRED_COSINE = 0.999

Array = NDArray[Any]


def run(model: ModelProto, rows: Array, batch: int) -> Array:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    return np.concatenate(
        [session.run([output], {name: rows[at : at + batch]})[0] for at in range(0, len(rows), batch)]
    )


def centred_cosines(a: Array, b: Array) -> Array:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    cosines: Array = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return cosines


@pytest.fixture(scope="module")
def transformer() -> ModelProto:
    """A small vision transformer of CLIP's kind, with seeded weights."""
    torch.manual_seed(5)
    vision = {"layers": 3, "width": 64, "head_width": 16, "patch_size": 8, "image_size": 32}
    return graphs.image_encoder_graph(ImageEncoder(ImageConfig(vision, 32, quick_gelu=True), 16), 32)


@pytest.fixture(scope="module")
def scored() -> ModelProto:
    """The same with a concept module behind the embedding."""
    torch.manual_seed(5)
    vision = {"layers": 3, "width": 64, "head_width": 16, "patch_size": 8, "image_size": 32}
    encoder = ImageEncoder(ImageConfig(vision, 32, quick_gelu=True), 16)
    return graphs.image_encoder_graph(encoder, 32, ConceptAlignment(ConceptConfig(20, hidden=24), 16))


@pytest.mark.skipif(not MOBILENET.is_file(), reason="no trained backbone beside the repository")
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="no real photos beside the repository")
def test_int8_of_a_trained_backbone_keeps_what_tells_photos_apart() -> None:
    model = onnx.version_converter.convert_version(onnx.load(MOBILENET), graphs.OPSET)
    paths = sorted(path for path in PHOTOS.rglob("*.jpg") if "train" not in path.parts)
    pixels = np.stack([decode_photo(path, size=224).pixels for path in paths])
    # As the backbone's own description says: mobilenet_v2.json.
    rows = ((pixels.transpose(0, 3, 1, 2).astype(np.float32) - 127) * 0.0078431377).astype(np.float32)
    cosines = centred_cosines(run(model, rows, 8), run(to_int8(model), rows, 8))
    print(f"MobileNetV2, {len(rows)} photos: least cosine {cosines.min():.5f}, mean {cosines.mean():.5f}")
    assert cosines.min() >= MIN_CENTRED_COSINE


def test_int8_of_a_transformer_is_close_and_a_quarter_of_the_size(transformer: ModelProto) -> None:
    photos = generated_photos(16, 32)
    quantised = to_int8(transformer)
    assert centred_cosines(run(transformer, photos, 8), run(quantised, photos, 8)).min() > 0.99
    stored = sum(tensor.ByteSize() for tensor in quantised.graph.initializer)
    assert stored < 0.5 * sum(tensor.ByteSize() for tensor in transformer.graph.initializer)
    kinds = [node.op_type for node in quantised.graph.node]
    assert kinds.count("MatMulInteger") == 3 * 4  # attention in and out, and the two of the perceptron


def test_a_row_is_bit_identical_at_any_batch(transformer: ModelProto) -> None:
    photos = generated_photos(9, 32)
    photos[4] = 255 - photos[4] // 16  # a batch mate with another range of values
    quantised = to_int8(transformer)
    together = run(quantised, photos, 9)
    for batch in (1, 2, 3, 8):
        assert np.array_equal(run(quantised, photos, batch), together)


def test_weights_stored_as_half_are_quantised_alike(transformer: ModelProto) -> None:
    rounded = ModelProto()
    rounded.CopyFrom(transformer)
    for tensor in rounded.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    expected = to_int8(rounded)
    assert graphs.graph_bytes(to_int8(graphs.store_as_half(rounded))) == graphs.graph_bytes(expected)


def test_a_row_of_zeros_stays_zero_and_a_graph_without_products_is_refused() -> None:
    weight = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 16]) for name in ("x", "y")]
    nodes = [
        helper.make_node("MatMul", [source, "w"], [result])
        for source, result in (("x", "a"), ("a", "b"), ("b", "c"), ("c", "y"))
    ]
    constants = [onnx.numpy_helper.from_array(weight, "w")]
    opset = [helper.make_opsetid("", graphs.OPSET)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:], constants), opset_imports=opset, ir_version=9
    )
    assert np.array_equal(run(to_int8(model), np.zeros((2, 16), np.float32), 2), np.zeros((2, 16)))
    small = helper.make_model(
        helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:]),
        opset_imports=opset,
    )
    with pytest.raises(ValueError, match="no product"):
        to_int8(small)


def test_float16_keeps_names_types_and_the_final_normalisation(transformer: ModelProto) -> None:
    half = to_float16(transformer)  # checked by onnx; a CPU session of it would crash
    assert [value.name for value in half.graph.input] == ["pixels"]
    assert half.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert half.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    floats = [t for t in half.graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) >= 2]
    assert floats == []


def test_concept_scores_stay_in_float32_behind_an_embedding_of_less(scored: ModelProto) -> None:
    photos = generated_photos(8, 32)
    quantised = to_int8(scored)
    kinds = [node.op_type for node in quantised.graph.node]
    assert kinds.count("MatMulInteger") == 3 * 4  # as without concepts
    session, expected = cpu_session(quantised), cpu_session(scored)
    for found, wanted in zip(
        session.run(None, {"pixels": photos}), expected.run(None, {"pixels": photos}), strict=True
    ):
        assert np.abs(found - wanted).max() < 0.05
    half = to_float16(scored)
    outputs = {value.name: value.type.tensor_type.elem_type for value in half.graph.output}
    assert outputs == dict.fromkeys(("image_embedding", "concept_scores"), TensorProto.FLOAT)
    kept = [
        list(t.dims) for t in half.graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) == 2
    ]
    assert len(kept) == 3  # the module's own products
