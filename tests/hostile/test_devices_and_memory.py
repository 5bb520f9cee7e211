"""Devices that are not there or do not work, and memory that does not suffice."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hostile import pictures
from hostile.program import rows, run
from numpy.typing import NDArray

from geolocate.device import CPU_PROVIDER, CUDA_PROVIDER
from geolocate.session import Embedded, ImageEncoder

Pixels = Sequence[NDArray[np.uint8]]


def encoder_that(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Pixels, Callable[[], Embedded]], Embedded]
) -> None:
    """Replaces what the image encoder does with a batch."""
    encode = ImageEncoder.__call__

    def changed(self: ImageEncoder, photos: Pixels, **more: Any) -> Embedded:
        return change(photos, lambda: encode(self, photos, **more))

    monkeypatch.setattr(ImageEncoder, "__call__", changed)


@pytest.mark.row(35)
def test_a_batch_too_large_for_memory_is_halved_and_that_is_said_once(
    tree: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        (tree / f"{number:02}.jpg").write_bytes(pictures.photo(quality=60 + number))
    expected = run(tree, "--device", "cpu").stdout
    sizes: list[int] = []

    def limited(photos: Pixels, encode: Callable[[], Embedded]) -> Embedded:
        if len(photos) > 2:
            raise MemoryError
        sizes.append(len(photos))
        return encode()

    encoder_that(monkeypatch, limited)
    done = run(tree, "--device", "cpu", "--batch-size", "16")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("not enough memory for a batch") == 1
    assert done.stdout == expected
    assert sum(sizes) == 20


@pytest.mark.row(35)
def test_memory_that_suffices_for_no_photo_at_all_is_one_line(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(photos: Pixels, encode: Callable[[], Embedded]) -> Embedded:
        raise MemoryError

    encoder_that(monkeypatch, none_left)
    done = run(good, "--device", "cpu")
    assert done.exit_code == 1
    assert "out of memory" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.row(36)
def test_cuda_without_a_device_fails_with_the_cause(
    good: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU_PROVIDER])
    done = run(good, "--device", "cuda", "--csv", tree / "out.csv")
    assert done.exit_code == 1
    assert "CUDA does not work here: this onnxruntime wheel has no CUDA provider" in done.stderr
    assert list(tree.iterdir()) == []


@pytest.mark.row(36)
def test_cuda_that_is_listed_but_cannot_be_loaded_fails_with_the_cause(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = ctypes.CDLL

    def without_driver(name: Any, *more: Any, **options: Any) -> ctypes.CDLL:
        if "cuda" in str(name):
            raise OSError(f"{name}: cannot open shared object file")
        return load(name, *more, **options)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA_PROVIDER, CPU_PROVIDER])
    monkeypatch.setattr(ctypes, "CDLL", without_driver)
    done = run(good, "--device", "cuda")
    assert done.exit_code == 1
    assert "no NVIDIA driver" in done.stderr
    fallen = run(good)
    assert fallen.exit_code == 0
    assert fallen.stderr.count("running on the CPU: no NVIDIA driver") == 1


@pytest.mark.row(37)
def test_both_wheels_of_onnx_runtime_are_told_with_the_fix(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
    monkeypatch.setattr("geolocate.runtime_wheels.installed_wheels", lambda: both)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU_PROVIDER])
    refused = run(good, "--device", "cuda")
    assert refused.exit_code == 1
    fallen = run(good)
    assert fallen.exit_code == 0
    for message in (refused.stderr, fallen.stderr):
        assert "both onnxruntime and onnxruntime-gpu are installed" in message
        assert message.count("pip uninstall -y") == 1


@pytest.mark.row(40)
def test_a_photo_for_which_the_model_gives_nan_is_a_row_and_the_rest_of_its_batch_is_kept(
    tree: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        (tree / f"{number}.jpg").write_bytes(pictures.photo(quality=60 + number))
    expected = rows(run(tree, "--device", "cpu").stdout)

    def with_nan(photos: Pixels, encode: Callable[[], Embedded]) -> Embedded:
        found = encode()
        found.embeddings[1:2] = np.nan
        return found

    encoder_that(monkeypatch, with_nan)
    done = run(tree, "--device", "cpu", "--batch-size", "4")
    assert done.exit_code == 3
    found = rows(done.stdout)
    assert found[1]["error"] == "the model gave no number for this photo"
    assert [found[row] for row in (0, 2, 3)] == [expected[row] for row in (0, 2, 3)]
