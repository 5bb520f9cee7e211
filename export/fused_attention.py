"""Attention in one operator, for the GPU: ONNX Runtime's `MultiHeadAttention` runs there as one kernel.

torch's exporter writes `torch.nn.MultiheadAttention` as products, a softmax and some forty operators about
shapes, time first. On the CPU fusing them gains next to nothing (`benchmarks/cpu_variants.py`), so float32
stays in the operators of the ONNX standard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

#: Operators of ONNX Runtime's own, outside the ONNX standard.
CONTRIBUTED = "com.microsoft"

#: Names of query, key and value (N, T, d), the name of the output, and heads, to the nodes that attend.
Attention: TypeAlias = Callable[[list[str], str, int], list[NodeProto]]

#: From the softmax of a block down to its output.
_CHAIN = ["MatMul", "Transpose", "Reshape", "Gemm", "Reshape", "Transpose"]


def multi_head_attention(inputs: list[str], output: str, heads: int) -> list[NodeProto]:
    """ONNX Runtime's own operator; it scales by one over the root of a head's width."""
    return [helper.make_node("MultiHeadAttention", inputs, [output], domain=CONTRIBUTED, num_heads=heads)]


def fuse_attention(model: ModelProto, attention: Attention = multi_head_attention) -> int:
    """Rewrites the attention of each block of a float32 graph, in place; returns how many blocks.

    Batch first throughout: x (N, T, d) -> joined projection (N, T, 3 d) -> attention (N, T, d) -> projection.
    What is not written as torch's exporter writes it stays as it is.
    """
    graph = model.graph
    maker = {output: node for node in graph.node for output in node.output}
    user = {name: node for node in reversed(graph.node) for name in node.input}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    joined = [node for node in graph.node if _is_joined_bias(node)]
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    if len(joined) != len(softmaxes):
        return 0
    added: list[TensorProto] = []
    written: dict[str, list[NodeProto]] = {}  # by the output that they take the place of
    for number, (bias, softmax) in enumerate(zip(joined, softmaxes, strict=True)):
        chain, node = [], softmax
        for _ in _CHAIN:
            node = user.get(node.output[0], NodeProto())
            chain.append(node)
        if [node.op_type for node in chain] != _CHAIN:
            continue
        projection, end = chain[3], chain[5].output[0]
        product = maker[bias.input[0]]
        product.input[0] = maker[product.input[0]].input[0]  # what was turned to time first
        weight = numpy_helper.to_array(constants[projection.input[1]])  # (d, d), of the output first
        name = f"block{number}"
        sizes, turned = f"{name}.thirds", f"{name}.weight"
        parts = [f"{name}.{part}" for part in ("query", "key", "value")]
        added += [
            numpy_helper.from_array(np.full(3, len(weight), np.int64), sizes),
            numpy_helper.from_array(np.ascontiguousarray(weight.T), turned),
        ]
        written[end] = [
            helper.make_node("Split", [bias.output[0], sizes], parts, axis=2),
            *attention(parts, f"{name}.attended", _heads(softmax, maker, constants, len(weight))),
            helper.make_node("MatMul", [f"{name}.attended", turned], [f"{name}.projected"]),
            helper.make_node("Add", [f"{name}.projected", projection.input[2]], [end]),
        ]
    if written:
        graph.initializer.extend(added)
        _replace(model, [new for node in graph.node for new in written.get(node.output[0], [node])])
    return len(written)


def _is_joined_bias(node: NodeProto) -> bool:
    return node.op_type == "Add" and any(name.endswith("attn.in_proj_bias") for name in node.input)


def _heads(
    softmax: NodeProto, maker: dict[str, NodeProto], constants: dict[str, TensorProto], width: int
) -> int:
    """Query and key are each scaled by the fourth root of one over a head's width."""
    scaled = maker[maker[softmax.input[0]].input[0]]
    scale = next(numpy_helper.to_array(constants[name]) for name in scaled.input if name in constants)
    return width // round(float(scale.item()) ** -4)


def _replace(model: ModelProto, nodes: list[NodeProto]) -> None:
    """Puts in nodes, and leaves out nodes and constants that nothing needs."""
    graph = model.graph
    needed = {output.name for output in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(NodeProto.FromString(node.SerializeToString()))
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in needed:
            del graph.initializer[index]
    del graph.value_info[:]
    if any(node.domain == CONTRIBUTED for node in kept):
        model.opset_import.append(helper.make_opsetid(CONTRIBUTED, 1))
