"""ONNX graphs: the encoders out of torch, and retrieval; self-contained, without a trace of the machine."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
import onnxscript.optimizer
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from geolocate_export.concept_alignment import ConceptAlignment
from geolocate_export.model import ImageEncoder, LocationEncoder
from geolocate_export.onnx_backbone import OnnxTower
from geolocate_export.onnx_merge import with_onnx_backbone

OPSET = 20
#: IR version that OPSET was released with; helper would write the newest, which older runtimes refuse.
IR_VERSION = 9
#: Weights smaller than this gain nothing from being stored as float16.
HALF_STORAGE_MIN_VALUES = 1024
#: Protocol buffers end here; larger graphs would need a side file.
MAX_GRAPH_BYTES = 2**31 - 1
#: Rows of the example that an encoder is traced with; the exported graph takes any number.
TRACE_ROWS = 2


class _ImageHead(nn.Module):
    """The image encoder's head as a module of its own."""

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, features: Tensor) -> Tensor:
        """Raw features (N, c) to L2-normalised embeddings (N, d)."""
        return self.encoder.head(features)  # (N, d)


class _WithConcepts(nn.Module):
    """An image encoder or its head, and the concept scores of what it gives."""

    def __init__(self, embed: nn.Module, concepts: ConceptAlignment) -> None:
        super().__init__()
        self.embed, self.concepts = embed, concepts

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """To L2-normalised embeddings (N, d) and concept scores (N, K)."""
        x_img = self.embed(rows)  # (N, d)
        return x_img, self.concepts(x_img)  # (N, d), (N, K)


def image_encoder_graph(
    encoder: ImageEncoder, image_size: int, concepts: ConceptAlignment | None = None
) -> ModelProto:
    """`pixels` uint8 (N, S, S, 3) to `image_embedding` float32 (N, d).

    With a concept module there is a second output, `concept_scores` float32 (N, K), L2-normalised.
    """
    if isinstance(encoder.backbone, OnnxTower):
        head = image_head_graph(encoder, encoder.config.feature_dim, concepts)
        mean, std = encoder.pixel_mean.numpy(), encoder.pixel_std.numpy()
        return _finish(with_onnx_backbone(encoder.backbone, mean, std, head))
    pixels = torch.zeros((TRACE_ROWS, image_size, image_size, 3), dtype=torch.uint8)
    return _export_image(encoder, concepts, pixels, "pixels")


def image_head_graph(
    encoder: ImageEncoder, feature_dim: int, concepts: ConceptAlignment | None = None
) -> ModelProto:
    """`features` float32 (N, c), raw, to the outputs of :func:`image_encoder_graph`."""
    return _export_image(_ImageHead(encoder), concepts, torch.zeros(TRACE_ROWS, feature_dim), "features")


def _export_image(
    embed: nn.Module, concepts: ConceptAlignment | None, example: Tensor, input_name: str
) -> ModelProto:
    if concepts is None:
        return _export(embed, example, input_name, "image_embedding")
    return _export(_WithConcepts(embed, concepts), example, input_name, "image_embedding", "concept_scores")


def text_encoder_graph(tower: nn.Module, context_length: int) -> ModelProto:
    """`token_ids` int64 (N, T) to `features` float32 (N, c), raw."""
    tokens = torch.zeros((TRACE_ROWS, context_length), dtype=torch.int64)
    return _export(tower, tokens, "token_ids", "features")


def location_encoder_graph(encoder: LocationEncoder) -> ModelProto:
    """`coordinates` float32 (N, 2), Equal Earth, to `location_embedding` float32 (N, d)."""
    return _export(encoder, torch.zeros(TRACE_ROWS, 2), "coordinates", "location_embedding")


def retrieval_graph(embedding_dim: int) -> ModelProto:
    """Embeddings against a gallery: the posterior over its points and the strongest of them.

    Inputs `image_embedding` (N, d), `gallery` (M, d), `log_prior` (M,), `logit_factor` (), all float32, and
    `top` int64 (1,). Outputs `posterior` (N, M), softmax(logit_factor * image_embedding @ gallery^T +
    log_prior), `top_probability` (N, top) and `top_index` int64 (N, top), strongest first.
    """
    floats, ints = TensorProto.FLOAT, TensorProto.INT64
    nodes = [
        helper.make_node("Transpose", ["gallery"], ["gallery_t"], perm=[1, 0]),  # (d, M)
        helper.make_node("MatMul", ["image_embedding", "gallery_t"], ["cosine"]),  # (N, M)
        helper.make_node("Mul", ["cosine", "logit_factor"], ["logit"]),  # (N, M)
        helper.make_node("Add", ["logit", "log_prior"], ["log_joint"]),  # (N, M)
        helper.make_node("Softmax", ["log_joint"], ["posterior"], axis=-1),  # (N, M)
        helper.make_node("TopK", ["posterior", "top"], ["top_probability", "top_index"], axis=-1),  # (N, top)
    ]
    inputs = [
        helper.make_tensor_value_info("image_embedding", floats, ["N", embedding_dim]),
        helper.make_tensor_value_info("gallery", floats, ["M", embedding_dim]),
        helper.make_tensor_value_info("log_prior", floats, ["M"]),
        helper.make_tensor_value_info("logit_factor", floats, []),
        helper.make_tensor_value_info("top", ints, [1]),
    ]
    outputs = [
        helper.make_tensor_value_info("posterior", floats, ["N", "M"]),
        helper.make_tensor_value_info("top_probability", floats, ["N", "top_count"]),
        helper.make_tensor_value_info("top_index", ints, ["N", "top_count"]),
    ]
    graph = helper.make_graph(nodes, "retrieval", inputs, outputs)
    return _finish(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)]))


def _export(module: nn.Module, example: Tensor, input_name: str, *output_names: str) -> ModelProto:
    """Traces `module` with torch.export; the first dimension stays free."""
    with _quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            input_names=[input_name],
            output_names=list(output_names),
            dynamic_shapes=({0: torch.export.Dim("N")},),
            opset_version=OPSET,
            dynamo=True,
            # Its optimiser would fold batch norms into the weights, which float16 then no longer holds.
            # Constants are folded below instead; ONNX Runtime folds the norms when it loads the graph.
            optimize=False,
            verbose=False,
        )
        if program is None:
            raise RuntimeError("torch.onnx.export returned no program")
        onnxscript.optimizer.fold_constants(program.model)
        onnxscript.optimizer.remove_unused_nodes(program.model)
    model = program.model_proto
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return _finish(model)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keeps the exporter's own deprecation warnings and progress from the user, who cannot mend them."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _finish(model: ModelProto) -> ModelProto:
    """Strips what the exporter notes of the machine (stack traces with paths), and checks the graph."""
    model.producer_name, model.producer_version = "geolocate", ""
    model.ir_version = max(IR_VERSION, onnx.helper.OP_SET_ID_VERSION_MAP[("ai.onnx", OPSET)])
    model.doc_string = ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string = ""
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        part.doc_string = ""
        del part.metadata_props[:]
    onnx.checker.check_model(model)
    return model


def store_as_half(model: ModelProto) -> ModelProto:
    """Stores weights that float16 holds exactly as float16, with a Cast to float32 in front of their use.

    Lossless, and half the size: ONNX Runtime folds the casts when it loads the graph. Weights that float16
    would round stay as they are. Changes `model` and returns it.
    """
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size < HALF_STORAGE_MIN_VALUES or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def graph_bytes(model: ModelProto) -> bytes:
    """The file's content; equal for equal graphs.

    Raises:
        ValueError: 2 GB or more, which one file cannot hold.
    """
    if model.ByteSize() >= MAX_GRAPH_BYTES:
        raise ValueError("the graph is 2 GB or larger and does not fit into one file")
    content: bytes = model.SerializeToString(deterministic=True)
    return content
