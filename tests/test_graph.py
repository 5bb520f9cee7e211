"""Graphs on a device: bound inputs, batches of one size, and what the GPU's path shares with the CPU's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from geolocate import device, graph
from geolocate.bundle import RETRIEVAL, Bundle, load_bundle
from geolocate.decoded_item import DecodeOptions
from geolocate.device import BATCH_BYTES_PER_PHOTO, BATCH_SIZE, choose_batch_size
from geolocate.encoding import Encoders
from geolocate.errors import BundleDamaged
from geolocate.gallery import Gallery
from geolocate.graph import BoundGraph, Graph, page_locked
from geolocate.session import ImageEncoder, Retrieval


@pytest.fixture(scope="module")
def starter() -> Bundle:
    return load_bundle("starter")


def noise(count: int, starter: Bundle, seed: int = 5) -> NDArray[np.uint8]:
    side = starter.manifest.image.size
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_a_bound_graph_gives_what_the_plain_one_gives(starter: Bundle) -> None:
    gallery = Gallery.from_bundle(starter)
    retrieval = Retrieval(starter, gallery.embeddings, gallery.log_weights, "cpu")
    embeddings = np.asarray(gallery.embeddings[[3, 500, 9000]])
    expected = np.stack(list(retrieval.posteriors(embeddings)))
    constants = {
        "gallery": np.asarray(gallery.embeddings),
        "log_prior": gallery.log_weights,
        "logit_factor": np.array(retrieval.logit_factor, dtype=np.float32),
        "top": np.array([2], dtype=np.int64),
    }
    bound = BoundGraph(Graph(starter.file(RETRIEVAL), "cpu").session, "cpu", constants)
    for _ in range(2):  # the constants stay
        posterior, top = bound(["posterior", "top_index"], {"image_embedding": embeddings})
        np.testing.assert_array_equal(posterior, expected)
        np.testing.assert_array_equal(top[:, 0], expected.argmax(axis=1))
    with ThreadPoolExecutor(2) as pool:  # two calls at once do not take each other's inputs
        rows = [embeddings[[index]].repeat(2, axis=0) for index in range(3)] * 10
        found = pool.map(lambda pair: bound(["posterior"], {"image_embedding": pair})[0], rows)
        for index, result in enumerate(found):
            np.testing.assert_allclose(result[0], expected[index % 3], rtol=1e-5)


def test_a_batch_for_a_gpu_is_filled_up_and_its_memory_used_again(
    starter: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = ImageEncoder(starter, "cpu")
    photos = noise(3, starter)
    expected = encoder(photos).embeddings
    monkeypatch.setattr(encoder, "_on_gpu", True)
    given: list[tuple[int, ...]] = []
    blocks: set[int] = set()
    run = encoder.graph

    def watched(outputs: Any, inputs: dict[str, NDArray[np.uint8]]) -> Any:
        given.append(inputs["pixels"].shape)
        blocks.add(inputs["pixels"].ctypes.data)
        return run(outputs, inputs)

    watched.session = run.session  # type: ignore[attr-defined]
    monkeypatch.setattr(encoder, "graph", watched)
    for count in (3, 1, 2):
        found = encoder(list(photos[:count]), rows=8)
        assert found.embeddings.shape == (count, starter.manifest.embedding_dim)
        assert found.concept_scores is not None
        assert len(found.concept_scores) == count
        np.testing.assert_allclose(found.embeddings, expected[:count], atol=1e-6)
    assert {shape[0] for shape in given} == {8}
    assert len(blocks) == 1
    encoder(list(photos), rows=4)  # after memory ran out: blocks of the old size go
    assert given[-1][0] == 4


def test_page_locked_memory_is_any_memory_where_no_gpu_is() -> None:
    block = page_locked((2, 3), np.uint8)
    block[:] = 7
    assert block.shape == (2, 3)
    assert block.dtype == np.uint8


def test_page_locked_memory_is_what_the_provider_hands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Provider:
        ep_name = device.CUDA_PROVIDER

        def memory_info(self, kind: object) -> str:
            assert kind == onnxruntime.OrtDeviceMemoryType.HOST_ACCESSIBLE
            return "pinned"

    real = onnxruntime.OrtValue.ortvalue_from_shape_and_type
    handed_out: list[int] = []

    def allocate(shape: Any, dtype: Any, *, memory_info: str) -> onnxruntime.OrtValue:
        assert memory_info == "pinned"
        value = real(shape, dtype)
        handed_out.append(value.data_ptr())
        return value

    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: [Provider()])
    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", allocate)
    block = page_locked((4, 2), np.uint8)
    assert block.shape == (4, 2)
    assert [block.ctypes.data] == handed_out, "a copy of it"

    def none_left(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA failure 2: out of memory")

    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", none_left)
    assert page_locked((4, 2), np.uint8).shape == (4, 2)


def test_a_file_that_is_no_graph_is_named(tmp_path: Any) -> None:
    path = tmp_path / "image_head.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(BundleDamaged, match=r"image_head\.onnx is no ONNX graph"):
        Graph(path, "cpu")


def test_a_graph_takes_the_cores_that_the_process_has(
    starter: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "usable_cores", lambda: 3)
    options = Graph(starter.file(RETRIEVAL), "cpu").session.get_session_options()
    assert options.intra_op_num_threads == 3


@pytest.mark.parametrize("which", ["cpu", "cuda"])
def test_a_batch_suits_the_memory_that_is_free(which: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def free(bytes_free: int | None) -> Callable[[], int | None]:
        return lambda: bytes_free

    seam = "available_memory" if which == "cpu" else "_cuda_memory"
    for bytes_free, expected in (
        (None, BATCH_SIZE[which]),
        (2**40, BATCH_SIZE[which]),
        (3 * 2 * BATCH_BYTES_PER_PHOTO, 3),
        (0, 1),
    ):
        monkeypatch.setattr(device, seam, free(bytes_free))
        assert choose_batch_size(which) == expected


def test_the_next_batch_is_encoded_while_the_caller_has_the_last(
    starter: Bundle, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threading import Event

    from PIL import Image

    paths = []
    for number in range(6):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.new("RGB", (32, 32), (number, 0, 0)).save(paths[-1])
    encoders = Encoders(starter, "cpu", "fp32", batch_size=2, decode=DecodeOptions(), say=lambda text: None)
    encode = encoders.image_encoder
    second = Event()
    calls = 0

    def watched(pixels: Any, rows: int) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            second.set()
        return encode(pixels, rows)

    monkeypatch.setattr(encoders, "image_encoder", watched)
    batches = encoders.images(iter(paths), exif=False)
    first = next(batches)
    assert [image.photo for image in first] == paths[:2]
    assert second.wait(30), "the second batch waits for the caller"
    assert [image.photo for batch in batches for image in batch] == paths[2:]
