"""One graph out of three: pixels to the backbone's input, the ONNX backbone, and the heads from torch."""

from __future__ import annotations

import numpy as np
import onnx.compose
import onnxscript.optimizer
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper, version_converter

from geolocate.errors import WeightsError
from geolocate_export.onnx_backbone import OnnxTower, parse_graph

#: In front of every name of the backbone's graph, so that none meets one of the heads'.
PREFIX = "backbone/"


def with_onnx_backbone(
    tower: OnnxTower, mean: NDArray[np.float32], std: NDArray[np.float32], head: ModelProto
) -> ModelProto:
    """`pixels` uint8 (N, S, S, 3) to the outputs of `head`, scaling inside.

    Args:
        mean, std: float32 (3,) on the scale of pixels.
        head: graph from `features` (N, c); its operator set is that of the result.

    Raises:
        WeightsError: the backbone cannot be brought to the operator set of the heads.
    """
    config = tower.config
    backbone = _converted(tower, next(o.version for o in head.opset_import if not o.domain)).graph
    before = [
        helper.make_node("Cast", ["pixels"], ["pixels/float"], to=TensorProto.FLOAT),  # (N, S, S, 3)
        helper.make_node("Sub", ["pixels/float", "pixels/mean"], ["pixels/centred"]),
        helper.make_node("Div", ["pixels/centred", "pixels/std"], ["pixels/normalised"]),
    ]
    constants = {"pixels/mean": mean.reshape(1, 1, 1, 3), "pixels/std": std.reshape(1, 1, 1, 3)}
    last = "pixels/normalised"
    if config.mode == "BGR":
        constants["pixels/bgr"] = np.array([2, 1, 0], np.int64)
        before.append(helper.make_node("Gather", [last, "pixels/bgr"], ["pixels/swapped"], axis=3))
        last = "pixels/swapped"
    if config.layout == "NCHW":
        before.append(helper.make_node("Transpose", [last], ["pixels/nchw"], perm=[0, 3, 1, 2]))
        last = "pixels/nchw"
    before.append(helper.make_node("Identity", [last], [PREFIX + config.input]))
    # (N, c), also where the backbone leaves two sides of 1
    between = helper.make_node("Flatten", [PREFIX + config.output], ["features"], axis=1)
    side = config.image_size
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", side, side, 3])
    graph = helper.make_graph(
        [*before, *backbone.node, between, *head.graph.node],
        "image_encoder",
        [pixels],
        list(head.graph.output),
        [
            *(numpy_helper.from_array(value, name) for name, value in constants.items()),
            *backbone.initializer,
            *head.graph.initializer,
        ],
        sparse_initializer=list(backbone.sparse_initializer),
    )
    return helper.make_model(graph, opset_imports=list(head.opset_import))


def _converted(tower: OnnxTower, opset: int) -> ModelProto:
    """The backbone in another operator set, with the one output that is used, every name prefixed."""
    config = tower.config
    model = parse_graph(tower.content, config.file)
    kept = [value for value in model.graph.output if value.name == config.output]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    _drop_constant_inputs(model.graph)
    try:
        onnxscript.optimizer.remove_unused_nodes(model)
        model = version_converter.convert_version(model, opset)
        return onnx.compose.add_prefix(model, PREFIX)
    except Exception as error:  # the converter's exceptions have no common base
        reason = str(error).strip().splitlines()[0]
        raise WeightsError(f"{config.file} cannot be brought to operator set {opset}: {reason}") from error


def _drop_constant_inputs(graph: GraphProto) -> None:
    """Old graphs list their constants as inputs too."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
