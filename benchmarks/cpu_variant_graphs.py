"""The encoder's graphs and their sessions, for the groups of `cpu_variants.py`."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from graph_rewrites import (
    batch_first,
    standard,
    with_attention,
    with_fused_scales,
    with_magnitudes_by_ends,
    without_gemm,
)
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime import quantization
from turns import Way

from geolocate.graph import LOG_FATAL
from geolocate_export.fused_attention import multi_head_attention
from geolocate_export.graphs import graph_bytes, image_encoder_graph
from geolocate_export.model import ImageConfig, ImageEncoder
from geolocate_export.quantise import to_int8, unfold_half

WIDTH, HEADS, SIDE, EMBEDDING_DIM = 1024, 16, 224, 512
CALIBRATED_PHOTOS = 4

#: What a variant changes of a session's options.
Change = Callable[[onnxruntime.SessionOptions], object]


class Graphs:
    """Graphs of the encoder as files, each made when it is first asked for.

    Args:
        folder: where the files go.
        layers: of the transformer.
    """

    def __init__(self, folder: Path, layers: int) -> None:
        self.folder = folder
        torch.manual_seed(0)
        sizes = {"layers": layers, "width": WIDTH, "head_width": 64, "patch_size": 14, "image_size": SIDE}
        config = ImageConfig(sizes, 768, quick_gelu=True)
        self._float32 = image_encoder_graph(ImageEncoder(config, EMBEDDING_DIM).eval(), SIDE)
        unfold_half(self._float32)
        attention = partial(with_attention, self._float32, width=WIDTH, heads=HEADS)
        self._makers: dict[str, Callable[[], ModelProto]] = {
            "fp32": lambda: self._float32,
            "fp32 without Gemm": lambda: without_gemm(self._float32),
            "int8": lambda: to_int8(self._float32),
            "fused scales": lambda: with_fused_scales(to_int8(self._float32)),
            "magnitudes by ends": lambda: with_magnitudes_by_ends(to_int8(self._float32)),
        }
        for name, way in (
            ("MultiHeadAttention", multi_head_attention),
            ("Attention", standard),
            ("batch first", batch_first),
        ):
            self._makers[f"fp32 {name}"] = partial(attention, attention=way)
            self._makers[f"int8 {name}"] = lambda way=way: to_int8(attention(attention=way))  # type: ignore[misc]

    def path(self, name: str) -> Path:
        """The file of a graph."""
        path = self.folder / f"{name.replace(' ', '-')}.onnx"
        if not path.exists():
            path.write_bytes(graph_bytes(self._makers[name]()))
        return path

    def dynamic(self) -> Path:
        """int8 by ONNX Runtime's own quantiser: one scale over all that a product reads."""
        path = self.folder / "dynamic.onnx"
        with quiet():
            quantization.quantize_dynamic(self.path("fp32 without Gemm"), path, per_channel=True)
        return path

    def static(self) -> Path:
        """int8 by ONNX Runtime's own quantiser with scales of activations calibrated before, as QDQ."""
        path = self.folder / "static.onnx"
        photos = iter([{"pixels": pixels(1, seed)} for seed in range(CALIBRATED_PHOTOS)])

        class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
            def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
                return next(photos, None)

        with quiet():
            quantization.quantize_static(
                self.path("fp32 without Gemm"),
                path,
                Reader(),
                per_channel=True,
                op_types_to_quantize=["MatMul"],
            )
        return path


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the advice of ONNX Runtime's quantiser."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def pixels(photos: int, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 (N, S, S, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (photos, SIDE, SIDE, 3), dtype=np.uint8)


def opened(path: Path, *changes: Change, threads: int = 1) -> Any:
    """A session with ONNX Runtime's defaults, but for its threads and what `changes` do."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = LOG_FATAL
    options.intra_op_num_threads = threads
    for change in changes:
        change(options)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def runs(session: Any, photos: int = 1) -> Way:
    """The session over that many photos at once."""
    batch = pixels(photos)

    def run() -> float:
        session.run(None, {"pixels": batch})
        return photos

    return run
