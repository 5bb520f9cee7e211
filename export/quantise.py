"""Precisions beside float32: int8 for the CPU, float16 for the GPU.

int8: weights per output channel, activations per row (a token of a transformer, a pixel of a 1 x 1
convolution), the scale taken as the photo comes. A row's scale is its own, so a photo never depends on
its batch mates, nothing needs calibrating, and the sums are exact whole numbers. ONNX's own
DynamicQuantizeLinear takes one scale over the whole batch, and is three times as far off where a channel
stands out. Rows behind a ReLU use all 256 steps, others 255 about zero.

float16: ONNX Runtime's CPU provider crashes on such graphs; they are for CUDA only and are not opened
here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from geolocate_export.fused_attention import fuse_attention

#: Products with fewer weights gain nothing.
MIN_WEIGHTS = 256
#: The last products of the graph stay in float32: the tower's projection and the two of the head see one row
#: a photo, cost nothing, and their error would go straight into the embedding.
LAST_PRODUCTS_KEPT = 3
#: Behind them, where the graph has them, the three products of the concept scores.
CONCEPT_OUTPUT, CONCEPT_PRODUCTS = "concept_scores", 3
#: Largest magnitude of a symmetric int8 value.
INT8_MAX = 127.0
#: uint8 that stands for zero in rows of either sign; rows that are never negative start at 0.
ZERO_POINT = 128
UINT8_MAX = 255.0
#: Rows of nothing but zeros have this magnitude, so that nothing is divided by zero.
SMALLEST_MAGNITUDE = 1e-12

_SHARED: dict[str, NDArray[np.generic]] = {
    "int8_zero_point": np.array(ZERO_POINT, np.uint8),
    "int8_zero": np.array(0, np.uint8),
    "int8_one": np.array(1.0, np.float32),
    "int8_step": np.array(1.0 / INT8_MAX, np.float32),
    "int8_full_step": np.array(1.0 / UINT8_MAX, np.float32),
    "int8_smallest": np.array(SMALLEST_MAGNITUDE, np.float32),
    "int8_last_axis": np.array([-1], np.int64),
}


def to_int8(model: ModelProto) -> ModelProto:
    """A graph whose large products run in int8; inputs, outputs and everything else stay float32.

    Args:
        model: float32; left as it is.

    Raises:
        ValueError: it has no product that could run in int8.
    """
    quantised = ModelProto()
    quantised.CopyFrom(model)
    unfold_half(quantised)
    graph = quantised.graph
    writer = _Writer({tensor.name: tensor for tensor in graph.initializer})
    products = [node.output[0] for node in graph.node if writer.weight(node) is not None]
    scored = any(value.name == CONCEPT_OUTPUT for value in graph.output)
    chosen = set(products[: len(products) - LAST_PRODUCTS_KEPT - scored * CONCEPT_PRODUCTS])
    if not chosen:
        raise ValueError("the graph has no product with constant weights that could run in int8")
    for node in graph.node:
        if node.output[0] in chosen:
            writer.product(node)
        else:
            writer.copy(node)
    del graph.node[:]
    graph.node.extend(writer.nodes)
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    added = [
        numpy_helper.from_array(value, name)
        for name, value in (_SHARED | writer.added).items()
        if name in used
    ]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *added])
    del graph.value_info[:]
    onnx.checker.check_model(quantised)
    return quantised


def unfold_half(model: ModelProto) -> None:
    """Weights stored as float16 behind a Cast become float32 again, in place; the values stay the same."""
    graph = model.graph
    halves = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT16}
    casts = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Cast" and n.input[0] in halves}
    for name, half in casts.items():
        values = numpy_helper.to_array(halves[half]).astype(np.float32)
        halves[half].CopyFrom(numpy_helper.from_array(values, name))
    nodes = [node for node in graph.node if node.output[0] not in casts]
    del graph.node[:]
    graph.node.extend(nodes)


@dataclass
class _Writer:
    """Collects the new graph's nodes and weights.

    Attributes:
        constants: the float32 graph's weights by name; read one at a time: they fill gigabytes.
        rows: inputs quantised so far, with the names of their uint8 values, scales and zero point.
        never_negative: outputs of a ReLU of some kind, and what only moves them.
    """

    constants: dict[str, TensorProto]
    nodes: list[NodeProto] = field(default_factory=list)
    added: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    rows: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    never_negative: set[str] = field(default_factory=set)

    def weight(self, node: NodeProto) -> NDArray[np.float32] | None:
        """Weights (in, out) of a product of rows with constant weights; None where a node is none."""
        if node.op_type not in ("MatMul", "Gemm", "Conv") or node.input[1] not in self.constants:
            return None
        tensor = self.constants[node.input[1]]
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < MIN_WEIGHTS:
            return None
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        weight: NDArray[np.float32] = numpy_helper.to_array(tensor)
        if node.op_type == "MatMul":
            return weight if weight.ndim == 2 else None
        if node.op_type == "Gemm":
            plain = attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0
            if not plain or attributes.get("transA", 0):
                return None
            return weight.T if attributes.get("transB", 0) else weight
        pointwise = weight.ndim == 4 and weight.shape[2:] == (1, 1) and attributes.get("group", 1) == 1
        moves = set(attributes.get("strides", [1])) | {1 + pad for pad in attributes.get("pads", [0])}
        return weight[:, :, 0, 0].T if pointwise and moves == {1} else None

    def copy(self, node: NodeProto) -> None:
        """Takes a node over as it is."""
        self.nodes.append(node)
        clips_at_zero = node.op_type == "Clip" and len(node.input) > 1 and self._lowest(node.input[1]) >= 0
        if node.op_type == "Relu" or clips_at_zero:
            self.never_negative.add(node.output[0])

    def _lowest(self, name: str) -> float:
        """The value of a scalar constant, minus infinity where it is none."""
        tensor = self.constants.get(name)
        value = None if tensor is None else numpy_helper.to_array(tensor)
        if value is None:
            for node in self.nodes:
                if node.op_type == "Constant" and node.output[0] == name:
                    value = numpy_helper.to_array(helper.get_attribute_value(node.attribute[0]))
        return -np.inf if value is None or value.size != 1 else float(value.reshape(()))

    def product(self, node: NodeProto) -> None:
        """Writes one product in int8, with its bias."""
        weight, name = self.weight(node), node.output[0]
        assert weight is not None
        scale = np.maximum(np.abs(weight).max(axis=0), SMALLEST_MAGNITUDE) / INT8_MAX  # (out,)
        self.added[f"{name}.weight"] = np.rint(weight / scale).astype(np.int8)  # (in, out)
        self.added[f"{name}.zero"] = np.zeros(weight.shape[1], np.int8)
        self.added[f"{name}.scale"] = scale.astype(np.float32)
        source, result = node.input[0], name
        if node.op_type == "Conv":  # (N, C, H, W): pixels become rows
            source, result = self._pixels(source), f"{name}.pixels"
        rows, row_scale, zero_point = self._rows(source)
        bias = node.input[2] if len(node.input) > 2 and node.input[2] else None
        total = f"{name}.total" if bias else result
        self.nodes += [
            helper.make_node(
                "MatMulInteger",
                [rows, f"{name}.weight", zero_point, f"{name}.zero"],
                [f"{name}.integer"],
            ),
            helper.make_node("Cast", [f"{name}.integer"], [f"{name}.cast"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.cast", f"{name}.scale"], [f"{name}.channels"]),
            helper.make_node("Mul", [f"{name}.channels", row_scale], [total]),
        ]
        if bias:
            self.nodes.append(helper.make_node("Add", [total, bias], [result]))
        if node.op_type == "Conv":
            self.nodes.append(helper.make_node("Transpose", [result], [name], perm=[0, 3, 1, 2]))

    def _pixels(self, source: str) -> str:
        """Name of (N, C, H, W) turned to (N, H, W, C), written once however many products read it."""
        name = f"{source}.turned"
        if not any(name in node.output for node in self.nodes):
            self.nodes.append(helper.make_node("Transpose", [source], [name], perm=[0, 2, 3, 1]))
            if source in self.never_negative:
                self.never_negative.add(name)
        return name

    def _rows(self, source: str) -> tuple[str, str, str]:
        """Names of the uint8 rows of `source` (..., in), their scales (..., 1) and their zero point."""
        if source not in self.rows:
            positive = source in self.never_negative
            step, zero = ("int8_full_step", "int8_zero") if positive else ("int8_step", "int8_zero_point")
            names = {
                part: f"{source}.{part}" for part in ("size", "largest", "safe", "scale", "unit", "uint8")
            }
            if not positive:
                self.nodes.append(helper.make_node("Abs", [source], [names["size"]]))
            size = source if positive else names["size"]
            self.nodes += [
                helper.make_node("ReduceMax", [size, "int8_last_axis"], [names["largest"]], keepdims=1),
                helper.make_node("Max", [names["largest"], "int8_smallest"], [names["safe"]]),
                helper.make_node("Mul", [names["safe"], step], [names["scale"]]),
                helper.make_node("Div", [source, names["scale"]], [names["unit"]]),
                helper.make_node("QuantizeLinear", [names["unit"], "int8_one", zero], [names["uint8"]]),
            ]
            self.rows[source] = names["uint8"], names["scale"], zero
        return self.rows[source]


def to_float16(model: ModelProto) -> ModelProto:
    """A float16 graph with inputs and outputs of the float32 one; float32 from the final normalisation on.

    Attention is fused, which is what float16 is fast with. Not opened here (see the module's docstring), only
    checked.

    Args:
        model: float32, an encoder that ends in an L2 norm and the division by it; left as it is.

    Raises:
        ValueError: it does not end so.
    """
    half = ModelProto()
    half.CopyFrom(model)
    unfold_half(half)
    fuse_attention(half)
    graph = half.graph
    norm = next((index for index, node in enumerate(graph.node) if node.op_type == "ReduceL2"), None)
    if norm is None:
        raise ValueError("the graph does not end in an L2 norm")
    used = {name for node in graph.node[:norm] for name in node.input}
    for tensor in graph.initializer:
        if tensor.name in used:  # what follows the embedding, the concept scores, stays float32
            _halve(tensor)
    for node in graph.node[:norm]:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                _halve(attribute.t)
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
    raw, wide = graph.node[norm].input[0], "float32_embedding"
    final = list(graph.node[norm:])
    for node in final:
        node.input[:] = [wide if name == raw else name for name in node.input]
    before = list(graph.node[:norm])
    del graph.node[:]
    graph.node.extend([*before, helper.make_node("Cast", [raw], [wide], to=TensorProto.FLOAT), *final])
    del graph.value_info[:]
    onnx.checker.check_model(half, full_check=True)
    return half


def _halve(tensor: TensorProto) -> None:
    """Rounds a float32 tensor to float16, in place; what float16 cannot hold becomes its largest value."""
    if tensor.data_type != TensorProto.FLOAT:
        return
    largest = np.finfo(np.float16).max
    values = np.clip(numpy_helper.to_array(tensor), -largest, largest).astype(np.float16)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
