"""Sessions: precisions, devices, and graphs that are not what the manifest says."""

from __future__ import annotations

import ctypes
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from geolocate.bundle import GALLERY_EMBEDDINGS, MANIFEST_NAME, Bundle, FileEntry, load_bundle, sha256_of
from geolocate.device import CUDA_PROVIDER, choose_device, choose_precision, cuda_problem, wheel_clash
from geolocate.errors import BundleDamaged, BundleNotFound, BundlePartMissing, DeviceError, UsageError
from geolocate.gallery import Gallery
from geolocate.geolocator import Geolocator
from geolocate.session import ImageEncoder, Retrieval


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the starter that a test may damage."""
    return Path(shutil.copytree(load_bundle("starter").path, tmp_path / "copy"))


def relist(folder: Path, name: str, **changes: Any) -> None:
    """Makes the manifest agree with a file that a test has replaced, and changes other entries."""
    manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    path = folder / name
    entry = FileEntry(path.stat().st_size, sha256_of(path))
    manifest["files"][name] = {"size": entry.size, "sha256": entry.sha256}
    manifest.update(changes)
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest), encoding="utf-8")


def test_auto_takes_the_fastest_precision_that_runs_on_the_device() -> None:
    everything = ("fp32", "int8", "fp16")
    assert choose_precision("auto", everything, "cpu") == "int8"
    assert choose_precision("auto", everything, "cuda") == "fp16"
    assert choose_precision("auto", ("fp32",), "cuda") == "fp32"
    assert choose_precision("fp32", everything, "cpu") == "fp32"


@pytest.mark.parametrize(
    ("wanted", "available", "device"),
    [("int8", ("fp32",), "cpu"), ("fp16", ("fp32", "fp16"), "cpu"), ("auto", ("fp16",), "cpu")],
)
def test_a_precision_that_cannot_run_is_refused_before_the_graph_is_opened(
    wanted: str, available: tuple[str, ...], device: Any
) -> None:
    with pytest.raises(UsageError):
        choose_precision(wanted, available, device)


def test_a_run_on_the_cpu_names_two_onnxruntime_wheels_once_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
    monkeypatch.setattr("geolocate.runtime_wheels.installed_wheels", lambda: both)
    monkeypatch.setattr("geolocate.device.cuda_problem", lambda: "no NVIDIA driver")
    said: list[str] = []
    assert choose_device("auto", said.append) == "cpu"
    (message,) = said
    assert message.startswith(
        "running on the CPU: no NVIDIA driver; both onnxruntime and onnxruntime-gpu are"
    )
    assert message.count("pip uninstall -y") == 1
    monkeypatch.setattr("geolocate.device.cuda_problem", wheel_clash)
    with pytest.raises(DeviceError) as refused:
        choose_device("cuda", said.append)
    assert str(refused.value).count("pip uninstall -y") == 1


def test_libraries_that_cuda_misses_are_not_told_among_the_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA_PROVIDER])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("Failed to load libcublasLt.so.13"))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)
    assert cuda_problem() is None
    assert capsys.readouterr().out == ""


def test_a_truncated_graph_is_refused_by_name(copy: Path) -> None:
    graph = copy / "image_encoder.fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:1000])
    with pytest.raises(BundleDamaged, match=r"image_encoder\.fp32\.onnx"):
        load_bundle(copy)
    relist(copy, graph.name)
    with pytest.raises(BundleDamaged, match=r"image_encoder\.fp32\.onnx"):
        ImageEncoder(load_bundle(copy), "cpu")


def test_a_graph_with_other_names_is_refused_by_name(copy: Path) -> None:
    shutil.copy(copy / "location_encoder.onnx", copy / "image_encoder.fp32.onnx")
    relist(copy, "image_encoder.fp32.onnx")
    with pytest.raises(BundleDamaged, match="pixels"):
        ImageEncoder(load_bundle(copy), "cpu")


def test_a_graph_of_another_width_is_refused(copy: Path) -> None:
    relist(copy, "image_encoder.fp32.onnx", embedding_dim=64)
    bundle = load_bundle(copy)
    with pytest.raises(BundleDamaged, match="64"):
        ImageEncoder(bundle, "cpu")
    with pytest.raises(BundleDamaged, match="64"):
        Geolocator(bundle, device="cpu")


def test_a_changed_byte_is_found_by_verify(copy: Path) -> None:
    weights = copy / "gallery_weights.npy"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    problems = {name: problem for name, problem in load_bundle(copy).verify() if problem}
    assert list(problems) == ["gallery_weights.npy"]


@pytest.mark.parametrize("name", ["../outside.npy", "/etc/passwd", "a/../../b", "c:evil"])
def test_a_manifest_that_points_outside_is_refused(copy: Path, name: str) -> None:
    manifest = json.loads((copy / MANIFEST_NAME).read_text(encoding="utf-8"))
    manifest["files"][name] = {"size": 1, "sha256": "0" * 64}
    (copy / MANIFEST_NAME).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(BundleDamaged, match="outside"):
        load_bundle(copy)


def test_a_link_in_a_bundle_is_refused(copy: Path) -> None:
    graph = copy / "retrieval.onnx"
    moved = copy.parent / "elsewhere.onnx"
    graph.rename(moved)
    graph.symlink_to(moved)
    with pytest.raises(BundleDamaged, match=r"retrieval\.onnx"):
        load_bundle(copy)


def test_a_pickle_in_place_of_an_array_is_refused(copy: Path) -> None:
    (copy / "gallery_weights.npy").write_bytes(b"\x80\x04\x95\x0e\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.")
    relist(copy, "gallery_weights.npy")
    with pytest.raises(BundleDamaged, match="gallery_weights"):
        Geolocator(load_bundle(copy), device="cpu")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2.0])
def test_one_row_that_is_no_unit_vector_is_found_when_the_gallery_is_opened(copy: Path, value: float) -> None:
    embeddings = np.load(copy / GALLERY_EMBEDDINGS)
    embeddings[-1, 3] = value
    np.save(copy / GALLERY_EMBEDDINGS, embeddings)
    relist(copy, GALLERY_EMBEDDINGS)
    with pytest.raises(BundleDamaged, match=r"gallery_embeddings\.npy has rows that are no unit vectors"):
        Gallery.from_bundle(load_bundle(copy))


def test_a_missing_part_is_named(copy: Path) -> None:
    bundle = load_bundle(copy)
    manifest = {name: entry for name, entry in bundle.manifest.files.items() if name != "retrieval.onnx"}
    without = Bundle(copy, type(bundle.manifest)(**{**_fields(bundle), "files": manifest}))
    with pytest.raises(BundlePartMissing, match=r"retrieval\.onnx"):
        Retrieval(without, None, None, "cpu")  # type: ignore[arg-type]


def _fields(bundle: Bundle) -> dict[str, Any]:
    return {name: getattr(bundle.manifest, name) for name in bundle.manifest.__dataclass_fields__}


def test_a_folder_that_is_no_bundle_and_an_unknown_name_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="not a bundle"):
        load_bundle(tmp_path)
    with pytest.raises(BundleNotFound, match="starter"):
        load_bundle("no-such-model")


def test_external_data_of_a_graph_is_refused(copy: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(copy / "image_head.onnx")
    tensor = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    (copy.parent / "secret.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    (copy / "image_head.onnx").write_bytes(model.SerializeToString())
    relist(copy, "image_head.onnx")
    from geolocate.session import ImageHead

    with pytest.raises(BundleDamaged, match=r"image_head\.onnx"):
        ImageHead(load_bundle(copy), "cpu")
