"""The image encoder's graph in other operators, for `cpu_variants.py`: the same function of its pixels.

What is rewritten is what torch's exporter writes of `torch.nn.MultiheadAttention`, and what
`geolocate_export.quantise` writes of a product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from geolocate_export.fused_attention import CONTRIBUTED, Attention, fuse_attention

#: The first version of ONNX's operators with `Attention`, and the file format that it came with.
ATTENTION_OPSET, ATTENTION_IR_VERSION = 23, 11


def standard(inputs: list[str], output: str, heads: int) -> list[NodeProto]:
    """ONNX's own `Attention`."""
    return [helper.make_node("Attention", inputs, [output], q_num_heads=heads, kv_num_heads=heads)]


def batch_first(inputs: list[str], output: str, heads: int) -> list[NodeProto]:
    """Products and softmax one by one, the batch in front throughout."""
    nodes = []
    for source, order in zip(inputs, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True):
        nodes += [
            helper.make_node("Reshape", [source, "to_heads"], [f"{source}.heads"]),
            helper.make_node("Transpose", [f"{source}.heads"], [f"{source}.turned"], perm=order),
        ]
    query, key, value = (f"{source}.turned" for source in inputs)
    return [
        *nodes,
        helper.make_node("MatMul", [query, key], [f"{output}.products"]),
        helper.make_node("Mul", [f"{output}.products", "head_scale"], [f"{output}.logits"]),
        helper.make_node("Softmax", [f"{output}.logits"], [f"{output}.weights"], axis=-1),
        helper.make_node("MatMul", [f"{output}.weights", value], [f"{output}.heads"]),
        helper.make_node("Transpose", [f"{output}.heads"], [f"{output}.turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [f"{output}.turned", "from_heads"], [output]),
    ]


def with_attention(model: ModelProto, attention: Attention, width: int, heads: int) -> ModelProto:
    """A float32 graph with the attention of each block done that way, batch first."""
    copy = ModelProto()
    copy.CopyFrom(model)
    shapes: dict[str, NDArray[Any]] = {
        "to_heads": np.array([0, 0, heads, width // heads], np.int64),
        "from_heads": np.array([0, 0, width], np.int64),
        "head_scale": np.array((width // heads) ** -0.5, np.float32),
    }
    copy.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in shapes.items())
    fuse_attention(copy, attention)
    if attention is standard:
        copy.opset_import[0].version, copy.ir_version = ATTENTION_OPSET, ATTENTION_IR_VERSION
    return copy


def without_gemm(model: ModelProto) -> ModelProto:
    """A float32 graph with products and sums in place of `Gemm`: quantisers fail on transposed weights."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    added: dict[str, NDArray[Any]] = {}
    nodes = []
    for node in model.graph.node:
        if node.op_type != "Gemm":
            nodes.append(node)
            continue
        turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        (output,), weight = node.output, numpy_helper.to_array(constants[node.input[1]])
        added[f"{output}.weight"] = (weight.T if turned else weight).copy()
        nodes += [
            helper.make_node("MatMul", [node.input[0], f"{output}.weight"], [f"{output}.product"]),
            helper.make_node("Add", [f"{output}.product", node.input[2]], [output]),
        ]
    copy = ModelProto()
    copy.CopyFrom(model)
    _finish(copy, nodes, added)
    return copy


def with_fused_scales(model: ModelProto) -> ModelProto:
    """An int8 graph with `MatMulIntegerToFloat` in place of product, cast and the scale of the channels."""

    def rewritten(nodes: list[NodeProto]) -> Iterator[NodeProto]:
        products = {node.output[0]: node for node in nodes if node.op_type == "MatMulInteger"}
        casts = {node.output[0]: node for node in nodes if node.input and node.input[0] in products}
        for node in nodes:
            if node.op_type == "Mul" and node.input[0] in casts:
                rows, weight, zero, _ = products[casts[node.input[0]].input[0]].input
                inputs = [rows, weight, "int8_one", node.input[1], zero]
                yield helper.make_node("MatMulIntegerToFloat", inputs, node.output, domain=CONTRIBUTED)
            else:
                yield node

    return _rewritten(model, rewritten)


def with_magnitudes_by_ends(model: ModelProto) -> ModelProto:
    """An int8 graph that takes a row's magnitude from its largest and its least value, without `Abs`."""

    def rewritten(nodes: list[NodeProto]) -> Iterator[NodeProto]:
        sizes = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Abs"}
        largest: dict[str, str] = {}
        for node in nodes:
            if node.op_type == "ReduceMax" and node.input[0] in sizes:
                source, axes = sizes[node.input[0]], node.input[1]
                largest[node.output[0]] = f"{source}.negated"
                yield helper.make_node("ReduceMax", [source, axes], node.output, keepdims=1)
                yield helper.make_node("ReduceMin", [source, axes], [f"{source}.least"], keepdims=1)
                yield helper.make_node("Neg", [f"{source}.least"], [f"{source}.negated"])
            elif node.op_type == "Max" and node.input[0] in largest:
                yield helper.make_node("Max", [*node.input, largest[node.input[0]]], node.output)
            else:
                yield node

    return _rewritten(model, rewritten)


def _rewritten(model: ModelProto, rewrite: Callable[[list[NodeProto]], Iterator[NodeProto]]) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    _finish(copy, list(rewrite(list(copy.graph.node))), {})
    return copy


def _finish(model: ModelProto, nodes: list[NodeProto], added: dict[str, NDArray[Any]]) -> None:
    """Puts in nodes and constants, and leaves out those that nothing needs."""
    graph = model.graph
    needed = {output.name for output in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    constants = [numpy_helper.from_array(value, name) for name, value in added.items()]
    tensors = [
        TensorProto.FromString(tensor.SerializeToString())
        for tensor in [*graph.initializer, *constants]
        if tensor.name in needed
    ]
    kept = [NodeProto.FromString(node.SerializeToString()) for node in reversed(kept)]
    for field, values in ((graph.node, kept), (graph.initializer, tensors)):
        del field[:]
        field.extend(values)
    del graph.value_info[:]
    if any(node.domain == CONTRIBUTED for node in kept):
        model.opset_import.append(helper.make_opsetid(CONTRIBUTED, 1))
