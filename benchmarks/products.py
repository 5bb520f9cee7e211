"""One product of the transformer in several operators, for `cpu_variants.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from turns import Way

#: Tokens of a photo, and the sizes of the first layer of a block's perceptron.
TOKENS, INPUTS, OUTPUTS = 257, 1024, 4096
BLOCKS = (32, 128, 256)
#: Products of one turn.
REPEATS = 8

Constants = dict[str, NDArray[Any]]
Open = Callable[[Path], Any]


def product_ways(opened: Open, folder: Path) -> dict[str, Way]:
    """float32 first, then int8 operators over the same weights; a unit is one product."""
    random = np.random.default_rng(0)
    weight = random.standard_normal((INPUTS, OUTPUTS), dtype=np.float32)
    rows = random.standard_normal((TOKENS, INPUTS), dtype=np.float32)
    scale = np.abs(weight).max(axis=0) / 127
    whole = np.rint(weight / scale).astype(np.int8)
    one: Constants = {
        "w": whole,
        "scale": scale,
        "one": np.array(1 / 127, np.float32),
        "zero": np.array(128, np.uint8),
        "zeros": np.zeros(OUTPUTS, np.int8),
    }
    rounded = _node("QuantizeLinear", ["x", "one", "zero"], "rounded")
    graphs: dict[str, tuple[list[NodeProto], Constants]] = {
        "product in fp32": ([_node("MatMul", ["x", "w"], "y")], {"w": weight}),
        "MatMulInteger": (
            [
                rounded,
                _node("MatMulInteger", ["rounded", "w", "zero", "zeros"], "whole"),
                _node("Cast", ["whole"], "cast", to=TensorProto.FLOAT),
                _node("Mul", ["cast", "scale"], "y"),
            ],
            one,
        ),
        "DynamicQuantizeMatMul": (
            [_node("DynamicQuantizeMatMul", ["x", "w", "scale"], "y", domain="com.microsoft")],
            {"w": whole, "scale": scale},
        ),
    }
    for block in BLOCKS:
        graphs[f"MatMulNBits, 8 bits, blocks of {block}"] = _in_blocks(weight, block)
    return {
        name: _runs(opened(_written(folder / f"product{number}.onnx", *graph)), rows)
        for number, (name, graph) in enumerate(graphs.items())
    }


def _in_blocks(weight: NDArray[np.float32], block: int) -> tuple[list[NodeProto], Constants]:
    """A scale for each block of inputs of each output."""
    blocks = weight.T.reshape(OUTPUTS, INPUTS // block, block)
    scale = np.abs(blocks).max(axis=2) / 127
    whole = (np.rint(blocks / scale[:, :, None]) + 128).astype(np.uint8)
    node = _node(
        "MatMulNBits",
        ["x", "w", "scale"],
        "y",
        domain="com.microsoft",
        K=INPUTS,
        N=OUTPUTS,
        bits=8,
        block_size=block,
        accuracy_level=4,
    )
    return [node], {"w": whole, "scale": scale.astype(np.float32)}


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs, [output], **attributes)


def _written(path: Path, nodes: list[NodeProto], constants: Constants) -> Path:
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", OUTPUTS])],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used],
    )
    versions = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def _runs(session: Any, rows: NDArray[np.float32]) -> Way:
    def run() -> float:
        for _ in range(REPEATS):
            session.run(None, {"x": rows})
        return REPEATS

    return run
