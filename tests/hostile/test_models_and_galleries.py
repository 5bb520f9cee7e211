"""Bundles and galleries that are not what they say: refused, and the file is named."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from hostile.damaged_bundles import relisted
from hostile.program import run

from geolocate.bundle import MANIFEST_NAME, load_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the starter that a test may damage."""
    return Path(shutil.copytree(load_bundle("starter").path, tmp_path / "bundle"))


def refusal(photo: Path, bundle: Path) -> str:
    """What a run with a bundle says, which it refuses."""
    done = run(photo, "--model", bundle, "--device", "cpu")
    assert (done.exit_code, done.stdout) == (1, ""), done.output
    assert isinstance(done.exception, SystemExit)
    return done.stderr


@pytest.mark.row(38)
def test_a_truncated_file_is_refused_by_name(good: Path, bundle: Path) -> None:
    graph = bundle / "image_encoder.fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:1000])
    assert graph.name in refusal(good, bundle)
    relisted(bundle, graph.name)
    assert graph.name in refusal(good, bundle)


@pytest.mark.row(38)
def test_a_wrong_hash_is_found_by_verify_and_at_install(bundle: Path, tmp_path: Path) -> None:
    weights = bundle / "gallery_weights.npy"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    home = os.fspath(tmp_path / "home")
    added = run("models", "add", bundle, "--force", GEOLOCATE_HOME=home)
    assert added.exit_code == 1
    assert weights.name in added.stderr
    assert not list(Path(home).rglob("*.npy"))


@pytest.mark.row(38)
def test_graphs_with_other_names_shapes_and_dtypes_are_refused_by_name(good: Path, bundle: Path) -> None:
    from onnx import TensorProto, helper, save

    def image_graph(dtype: int, side: int, output: str) -> None:
        pixels = helper.make_tensor_value_info("pixels", dtype, ["n", side, side, 3])
        found = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", "d"])
        nodes = [
            helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["x"], [output]),
        ]
        graph = helper.make_graph(nodes, "g", [pixels], [found])
        save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10),
            bundle / "image_encoder.fp32.onnx",
        )
        relisted(bundle, "image_encoder.fp32.onnx")

    size = load_bundle("starter").manifest.image.size
    for dtype, side, output, told in (
        (TensorProto.FLOAT, size, "image_embedding", "pixels"),
        (TensorProto.UINT8, size + 1, "image_embedding", "pixels"),
        (TensorProto.UINT8, size, "answer", "answer"),
    ):
        image_graph(dtype, side, output)
        message = refusal(good, bundle)
        assert "image_encoder.fp32.onnx" in message
        assert told in message


@pytest.mark.row(39)
@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "weights.bin"])
def test_a_graph_whose_weights_lie_elsewhere_is_refused(good: Path, bundle: Path, location: str) -> None:
    import onnx

    graph = bundle / "image_encoder.fp32.onnx"
    model = onnx.load(graph)
    tensor = model.graph.initializer[0]
    del tensor.external_data[:]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    graph.write_bytes(model.SerializeToString())
    relisted(bundle, graph.name)
    message = refusal(good, bundle)
    assert graph.name in message
    assert "root:" not in message


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
@pytest.mark.row(39)
def test_a_link_in_a_bundle_and_a_listed_path_outside_are_refused(good: Path, bundle: Path) -> None:
    graph = bundle / "retrieval.onnx"
    moved = graph.rename(bundle.parent / "elsewhere.onnx")
    graph.symlink_to(moved)
    assert graph.name in refusal(good, bundle)
    graph.unlink()
    moved.rename(graph)
    manifest = json.loads((bundle / MANIFEST_NAME).read_text(encoding="utf-8"))
    manifest["files"]["../../etc/passwd"] = {"size": 1, "sha256": "0" * 64}
    (bundle / MANIFEST_NAME).write_text(json.dumps(manifest), encoding="utf-8")
    assert "../../etc/passwd" in refusal(good, bundle)


@pytest.mark.row(41)
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("LAT,LON\n151.21,-33.87\n2.35,48.85\n", "swapped"),
        ("LAT,LON\n0.85,0.04\n-0.59,2.64\n0.71,-1.29\n", "radians"),
        ("", "empty"),
        ("LAT,LON\n", "no coordinates"),
        ("LAT,LON\n48.85,2.35\nnorth,east\n", "line 3: 'north' is not a number"),
        ("LAT,LON\n48.85,nan\n", "not a finite number"),
        ("LAT;LON\n48,85;2,35\n", "separated by semicolons"),
        ("LAT,LON\n" + "1" * 300 + ",2\n", "off the globe"),
    ],
    ids=["swapped", "radians", "empty", "header", "text", "nan", "semicolons", "huge"],
)
def test_a_gallery_that_is_none_is_refused_with_a_hint(good: Path, tree: Path, text: str, hint: str) -> None:
    (tree / "gallery.csv").write_text(text, encoding="utf-8")
    done = run(good, "--gallery", tree / "gallery.csv", XDG_CACHE_HOME=str(tree))
    assert (done.exit_code, done.stdout) == (1, ""), done.output
    assert hint in done.stderr
