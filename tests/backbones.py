"""Tiny ONNX image encoders for tests, with their JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Side of their input in pixels, and width of their features.
SIDE, WIDTH = 32, 12


def tiny_graph(
    layout: str = "NCHW",
    *,
    opset: int = 17,
    batch: str | int = "N",
    flat: bool = True,
    node: onnx.NodeProto | None = None,
    seed: int = 0,
) -> onnx.ModelProto:
    """Two convolutions and a mean; `node` comes between them, from "x" to "y"."""
    draw = np.random.default_rng(seed)
    weights = {
        "first": draw.normal(0, 0.3, (16, 3, 3, 3)).astype(np.float32),
        "second": draw.normal(0, 0.3, (WIDTH, 16, 3, 3)).astype(np.float32),
        "unused": draw.normal(size=(WIDTH, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2])
        if layout == "NHWC"
        else helper.make_node("Identity", ["image"], ["nchw"]),
        helper.make_node("Conv", ["nchw", "first"], ["c"], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["x"]),
        node or helper.make_node("Identity", ["x"], ["y"]),
        helper.make_node("Conv", ["y", "second"], ["e"], strides=[2, 2]),
        helper.make_node("Relu", ["e"], ["f"]),
        helper.make_node("GlobalAveragePool", ["f"], ["pooled"]),
        helper.make_node("Flatten" if flat else "Identity", ["pooled"], ["embedding"]),
        helper.make_node("Flatten", ["pooled"], ["rows"]),
        helper.make_node("MatMul", ["rows", "unused"], ["logits"]),
    ]
    sides = [3, SIDE, SIDE] if layout == "NCHW" else [SIDE, SIDE, 3]
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", floats, [batch, *sides])],
        [
            helper.make_tensor_value_info("embedding", floats, ["N", WIDTH] if flat else ["N", WIDTH, 1, 1]),
            helper.make_tensor_value_info("logits", floats, ["N", 3]),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def write_backbone(folder: Path, model: onnx.ModelProto | None = None, **changes: Any) -> Path:
    """Writes `tiny.onnx` and `tiny.json`; a change to None drops the key."""
    described = {
        "file": "tiny.onnx",
        "input": "image",
        "layout": "NCHW",
        "size": [SIDE, SIDE],
        "mode": "RGB",
        "resize": "shortest side, bicubic, centre crop",
        "offset": 127,
        "scale": 1 / 128,
        "output": "embedding",
        "dim": WIDTH,
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny.onnx"
    path.write_bytes((tiny_graph() if model is None else model).SerializeToString())
    kept = {key: value for key, value in described.items() if value is not None}
    (folder / "tiny.json").write_text(json.dumps(kept), encoding="utf-8")
    return path
