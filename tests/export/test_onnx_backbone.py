"""Any frozen ONNX encoder as the backbone: read strictly, kept with the checkpoint, merged into one graph."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from backbones import SIDE, WIDTH, tiny_graph, write_backbone
from onnx import TensorProto, helper, numpy_helper

from geolocate.errors import BundleDamaged, WeightsError
from geolocate_export import graphs
from geolocate_export.backbone import load_backbone
from geolocate_export.checkpoint import load_checkpoint, save_checkpoint
from geolocate_export.command import export_checkpoint
from geolocate_export.concept_alignment import ConceptAlignment, ConceptConfig
from geolocate_export.model import GeoModel, ImageEncoder, LocationConfig, ModelConfig
from geolocate_export.onnx_backbone import OnnxTower, read_onnx_backbone
from geolocate_export.parity import cpu_session, generated_photos

SHARED = Path(__file__).resolve().parents[3] / "shared"


def model_over(path: Path, embedding_dim: int = 8) -> GeoModel:
    """Heads of random weights over a backbone."""
    config, tower = load_backbone(str(path))
    torch.manual_seed(1)
    model = GeoModel(ModelConfig(config, LocationConfig(frequencies=8, hidden=16), embedding_dim)).eval()
    model.image_encoder.backbone = tower
    return model


def small_gallery(folder: Path) -> Path:
    gallery = folder / "gallery.csv"
    gallery.write_text("LAT,LON\n48.85,2.35\n-33.87,151.21\n40.71,-74.01\n", encoding="utf-8")
    return gallery


def test_offset_and_scale_or_mean_and_std_say_the_same(tmp_path: Path) -> None:
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    by_mean = {"offset": None, "scale": None, "mean": mean, "std": std}
    offset, scale = [255 * m for m in mean], [1 / (255 * s) for s in std]
    first = read_onnx_backbone(write_backbone(tmp_path / "a", **by_mean)).config
    second = read_onnx_backbone(write_backbone(tmp_path / "b", offset=offset, scale=scale)).config
    np.testing.assert_allclose(second.mean, mean)
    np.testing.assert_allclose(second.std, std)
    assert first.mean == tuple(mean)
    swapped = read_onnx_backbone(write_backbone(tmp_path / "c", mode="BGR", **by_mean)).config
    assert swapped.mean == tuple(mean[::-1]), "stored for red, green, blue"


def test_features_are_those_of_the_graph_on_pixels_scaled_by_hand(tmp_path: Path) -> None:
    photos = generated_photos(3, SIDE)
    path = write_backbone(tmp_path, offset=[100, 110, 120], scale=[0.01, 0.02, 0.03])
    scaled = (photos.astype(np.float64) - [100, 110, 120]) * [0.01, 0.02, 0.03]
    fed = scaled.transpose(0, 3, 1, 2).astype(np.float32)
    expected = cpu_session(onnx.load(path)).run(["embedding"], {"image": fed})[0]
    found = model_over(path).image_encoder.features(torch.from_numpy(photos)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("mode", ["RGB", "BGR"])
@pytest.mark.parametrize(("opset", "flat"), [(11, True), (13, False), (20, False), (22, True)])
def test_one_graph_from_pixels_to_embeddings_agrees_with_torch_heads_over_the_backbone(
    tmp_path: Path, layout: str, mode: str, opset: int, flat: bool, heads: onnx.ModelProto
) -> None:
    path = write_backbone(
        tmp_path,
        tiny_graph(layout, opset=opset, flat=flat),
        layout=layout,
        mode=mode,
        offset=[100, 110, 120],
        scale=[0.01, 0.02, 0.03],
    )
    model = model_over(path)
    with pytest.MonkeyPatch.context() as patch:  # traced once: the heads are the same
        patch.setattr(graphs, "image_head_graph", lambda *_: heads)
        merged = graphs.image_encoder_graph(model.image_encoder, SIDE)
    photos = generated_photos(5, SIDE)
    with torch.inference_mode():
        expected = model.image_encoder(torch.from_numpy(photos)).numpy()
    found = cpu_session(merged).run(["image_embedding"], {"pixels": photos})[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert [value.name for value in merged.graph.input] == ["pixels"]
    assert not any("unused" in tensor.name for tensor in merged.graph.initializer)


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    model = model_over(write_backbone(tmp_path_factory.mktemp("heads")))
    return graphs.image_head_graph(model.image_encoder, WIDTH)


def test_a_checkpoint_holds_the_backbone_and_exports_to_a_bundle(tmp_path: Path) -> None:
    model = model_over(write_backbone(tmp_path / "backbone"))
    save_checkpoint(model, tmp_path / "trained")
    assert {path.name for path in (tmp_path / "trained").iterdir()} == {
        "config.json",
        "weights.safetensors",
        "tiny.onnx",
    }
    manifest = export_checkpoint(
        tmp_path / "trained", output=tmp_path / "bundle", gallery=small_gallery(tmp_path)
    )
    assert manifest.feature_dim == WIDTH
    assert manifest.image.size == SIDE
    np.testing.assert_allclose(manifest.image.mean, [127 / 255] * 3)
    np.testing.assert_allclose(manifest.image.std, [128 / 255] * 3)
    assert manifest.parity["image_encoder"]["max_abs_difference"] < 1e-5
    photos = generated_photos(2, SIDE)
    with torch.inference_mode():
        expected = model.image_encoder(torch.from_numpy(photos)).numpy()
    session = cpu_session(onnx.load(tmp_path / "bundle" / "image_encoder.fp32.onnx"))
    np.testing.assert_allclose(session.run(["image_embedding"], {"pixels": photos})[0], expected, atol=1e-6)


def test_a_model_over_an_onnx_backbone_can_be_copied(tmp_path: Path) -> None:
    encoder = model_over(write_backbone(tmp_path)).image_encoder
    photos = torch.from_numpy(generated_photos(2, SIDE))
    with torch.inference_mode():
        torch.testing.assert_close(copy.deepcopy(encoder)(photos), encoder(photos))


def test_concepts_come_out_of_the_merged_graph_too(tmp_path: Path) -> None:
    path = write_backbone(tmp_path)
    config, tower = load_backbone(str(path))
    torch.manual_seed(1)
    concepts = ConceptAlignment(ConceptConfig(5), 8)
    encoder = ImageEncoder(config, 8).eval()
    encoder.backbone = tower
    merged = graphs.image_encoder_graph(encoder, SIDE, concepts)
    photos = generated_photos(3, SIDE)
    with torch.inference_mode():
        expected = concepts(encoder(torch.from_numpy(photos))).numpy()
    found = cpu_session(merged).run(["concept_scores"], {"pixels": photos})[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.shape == (3, 5)
    assert np.isfinite(found).all()


def test_a_checkpoint_whose_backbone_is_another_or_gone_is_refused(tmp_path: Path) -> None:
    save_checkpoint(model_over(write_backbone(tmp_path / "backbone")), tmp_path / "trained")
    loaded = load_checkpoint(tmp_path / "trained")
    assert isinstance(loaded.image_encoder.backbone, OnnxTower)
    other = write_backbone(tmp_path / "other", tiny_graph(seed=9))
    (tmp_path / "trained" / "tiny.onnx").write_bytes(other.read_bytes())
    with pytest.raises(BundleDamaged, match="another SHA-256"):
        load_checkpoint(tmp_path / "trained")
    (tmp_path / "trained" / "tiny.onnx").unlink()
    with pytest.raises(BundleDamaged, match=r"tiny\.onnx cannot be read"):
        load_checkpoint(tmp_path / "trained")


def test_a_configuration_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    save_checkpoint(model_over(write_backbone(tmp_path / "backbone")), tmp_path / "trained")
    config = tmp_path / "trained" / "config.json"
    raw = json.loads(config.read_text(encoding="utf-8"))
    raw["image"]["file"] = "../backbone/tiny.onnx"
    config.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(BundleDamaged, match="describes no model"):
        load_checkpoint(tmp_path / "trained")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"file": "other.onnx"}, "is not 'tiny.onnx'"),
        ({"offset": None}, "offset None is neither"),
        ({"mean": 0.5}, "either offset and scale, or mean and std"),
        ({"scale": 0}, "scale 0 is not above 0"),
        ({"scale": [1, 2]}, "neither a number nor three"),
        ({"offset": 10**400}, "too large"),
        ({"offset": float("nan")}, "finite numbers"),
        ({"size": [32, 48]}, "is no square"),
        ({"size": 1_000_000}, "out of range"),
        ({"size": 16}, "the input has the shape"),
        ({"layout": "NHWC"}, "the input has the shape"),
        ({"layout": "HWC"}, "NCHW or NHWC"),
        ({"mode": "GREY"}, "RGB or BGR"),
        ({"resize": "squash"}, "the one rule is"),
        ({"resize": None}, "resize is missing"),
        ({"dim": 13}, "gives 12 values a photo, not 13"),
        ({"dim": "12"}, "is no int"),
        ({"input": "pixels"}, "it may have pixels alone"),
        ({"output": "features"}, "has no output features, only embedding, logits"),
        ({"ofset": 1}, "unknown keys: ofset"),
    ],
)
def test_a_description_that_does_not_fit_is_refused_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(WeightsError, match=reason):
        read_onnx_backbone(write_backbone(tmp_path, **changes))


def external() -> onnx.ModelProto:
    model = tiny_graph()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/hostname")
    return model


def external_in_an_attribute(*, sparse: bool, function: bool) -> onnx.ModelProto:
    """A constant whose numbers stand in a file beside the graph."""
    values = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    values.external_data.add(key="location", value="tiny.json")
    if sparse:
        indices = numpy_helper.from_array(np.array([0]), "indices")
        held = onnx.SparseTensorProto(values=values, indices=indices, dims=[1])
        constant = helper.make_node("Constant", [], ["c"], sparse_value=held)
    else:
        constant = helper.make_node("Constant", [], ["c"], value=values)
    add = helper.make_node("Add", ["x", "c"], ["y"])
    if not function:
        model = tiny_graph(node=add)
        model.graph.node.insert(0, constant)
        return model
    opsets = [helper.make_opsetid("", 17)]
    model = tiny_graph(node=helper.make_node("F", ["x"], ["y"], domain="own"))
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [constant, add], opsets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model


def repeating() -> onnx.ModelProto:
    """Adds nothing, 2^60 times."""
    flag = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    on = helper.make_tensor_value_info("on", TensorProto.BOOL, [])
    count = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    held = helper.make_tensor_value_info("held", TensorProto.FLOAT, None)
    kept = helper.make_tensor_value_info("kept", TensorProto.FLOAT, None)
    nodes = [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Neg", ["held"], ["kept"])]
    body = helper.make_graph(nodes, "body", [count, flag, held], [on, kept])
    model = tiny_graph(node=helper.make_node("Loop", ["times", "yes", "x"], ["y"], body=body))
    model.graph.initializer.append(numpy_helper.from_array(np.array(2**60), "times"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    return model


def doubling(levels: int) -> onnx.ModelProto:
    """Functions that call the one before twice: 2^levels nodes once they are inlined."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = tiny_graph(node=helper.make_node(f"F{levels - 1}", ["x"], ["y"], domain="own"))
    model.opset_import.append(helper.make_opsetid("own", 1))
    for level in range(levels):
        operator, domain = (f"F{level - 1}", "own") if level else ("Neg", "")
        calls = [helper.make_node(operator, [a], [b], domain=domain) for a, b in (("x", "t"), ("t", "y"))]
        model.functions.append(helper.make_function("own", f"F{level}", ["x"], ["y"], calls, opsets))
    return model


def mixing_batch_mates() -> onnx.ModelProto:
    model = tiny_graph(node=helper.make_node("Sub", ["x", "mean"], ["y"]))
    mean = helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0, 1, 2, 3], keepdims=1)
    model.graph.node.insert(3, mean)
    return model


def double() -> onnx.ModelProto:
    model = tiny_graph()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    return model


def endless() -> onnx.ModelProto:
    zero = numpy_helper.from_array(np.zeros((), np.float32), "zero")
    model = tiny_graph(node=helper.make_node("Div", ["x", "zero"], ["y"]))
    model.graph.initializer.append(zero)
    return model


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (external(), "keeps weights outside the file"),
        (external_in_an_attribute(sparse=False, function=False), "keeps weights outside the file"),
        (external_in_an_attribute(sparse=True, function=False), "keeps weights outside the file"),
        (external_in_an_attribute(sparse=True, function=True), "keeps weights outside the file"),
        (repeating(), "has a loop"),
        (doubling(40), "too deep|more than"),
        (
            tiny_graph(node=helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")),
            "not standard: 'com.microsoft::Gelu'",
        ),
        (tiny_graph(batch=1), "batches of 1 only"),
        (mixing_batch_mates(), "beside another photo"),
        (double(), "no ONNX graph|not float32"),
        (endless(), "not finite"),
    ],
)
def test_a_graph_that_cannot_be_a_backbone_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: onnx.ModelProto, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)  # where data outside of a file would be looked for
    with pytest.raises(WeightsError, match=reason):
        read_onnx_backbone(write_backbone(tmp_path, graph))


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    path = write_backbone(tmp_path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(WeightsError, match="no ONNX graph"):
        read_onnx_backbone(path)
    path.with_suffix(".json").write_text("[" * 5000, encoding="utf-8")
    with pytest.raises(WeightsError, match="not JSON"):
        read_onnx_backbone(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match=r"tiny\.json cannot be read"):
        read_onnx_backbone(path)
    os.mkfifo(path.with_suffix(".json"))
    with pytest.raises(WeightsError, match=r"tiny\.json is no file"):
        read_onnx_backbone(path)
    path = write_backbone(tmp_path / "fifo")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(WeightsError, match=r"tiny\.onnx is no file"):
        read_onnx_backbone(path)
    with pytest.raises(WeightsError, match=r"neither an \.onnx file nor a model"):
        load_backbone("no-such-tower")


def test_the_real_mobilenet_exports_and_places_real_photos_as_torch_does(
    tmp_path: Path, real_photos: Path
) -> None:
    path = SHARED / "backbones" / "mobilenet_v2.onnx"
    if not path.is_file():
        pytest.skip("needs the backbone in ../shared/backbones")
    from geolocate import Geolocator
    from geolocate.photos import decode_photo

    model = model_over(path, 16)
    save_checkpoint(model, tmp_path / "trained")
    export_checkpoint(tmp_path / "trained", output=tmp_path / "bundle", gallery=small_gallery(tmp_path))
    paths = [str(photo) for photo in sorted((real_photos / "exif").glob("DSCN*.jpg"))[:3]]
    pixels = np.stack([decode_photo(photo, size=224).pixels for photo in paths])
    with torch.inference_mode():
        expected = model.image_encoder(torch.from_numpy(pixels)).numpy()
    session = cpu_session(onnx.load(tmp_path / "bundle" / "image_encoder.fp32.onnx"))
    np.testing.assert_allclose(session.run(["image_embedding"], {"pixels": pixels})[0], expected, atol=1e-5)
    predictions = list(Geolocator.load(tmp_path / "bundle").locate(paths))
    assert [prediction.error for prediction in predictions] == [None] * 3
