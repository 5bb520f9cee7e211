"""Any frozen ONNX image encoder as the backbone: FILE.onnx with its preprocessing in FILE.json beside it.

The JSON says how pixels become the graph's input, by the keys of :data:`KEYS`, for example:

    {"file": "mobilenet_v2.onnx", "input": "image", "layout": "NCHW", "size": [224, 224], "mode": "RGB",
     "resize": "shortest side, bicubic, centre crop", "offset": 127, "scale": 0.0078431377,
     "output": "embedding", "dim": 1280}

The input is (pixel - offset) * scale, or (pixel / 255 - mean) / std; each is one number or one by channel, in
the order of `mode`. The graph is one float32 input with a free batch, and one float32 output of (N, dim), or
that with two sides of 1; standard operators only, and all of its weights inside the file.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnx.inliner
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto
from torch import Tensor, nn

from geolocate.bundle import sha256_of
from geolocate.device import CPU_PROVIDER, CUDA_PROVIDER, cuda_problem
from geolocate.errors import WeightsError
from geolocate.graph_check import STANDARD_DOMAINS, GraphRefused, check_graph
from geolocate.manifest import MAX_IMAGE_SIZE, MAX_WIDTH, RESIZE_RULE

#: Every key that the JSON may have; of the last two pairs one is given.
KEYS = (
    "file",
    "input",
    "output",
    "layout",
    "mode",
    "size",
    "resize",
    "dim",
    "offset",
    "scale",
    "mean",
    "std",
)
#: The one rule that photos are resized by, as the JSON may call it.
RESIZE_NAMES = ("shortest side, bicubic, centre crop", RESIZE_RULE)
MAX_JSON_BYTES = 2**16
MAX_GRAPH_BYTES = 2**31 - 1
PIXEL_MAX = 255.0
#: What a photo's features may differ by, as a share of their largest, when it stands in another batch.
MAX_BATCH_DIFFERENCE = 1e-3

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class OnnxImageConfig:
    """An ONNX image encoder and what it is fed, as a checkpoint's `config.json` has it.

    Attributes:
        file: name of the graph, beside the description and in checkpoints.
        sha256: of that file, in hex.
        input, output: names in the graph.
        layout: where the channels stand in the input.
        mode: their order.
        image_size: S, side of the square input in pixels.
        feature_dim: c, width of the output.
        mean, std: for red, green, blue on the scale 0 to 1.
    """

    file: str
    sha256: str
    input: str
    output: str
    layout: Literal["NCHW", "NHWC"]
    mode: Literal["RGB", "BGR"]
    image_size: int
    feature_dim: int
    mean: Triple
    std: Triple

    def __post_init__(self) -> None:
        """Raises ValueError where a value can be none of its kind: a configuration comes from anywhere."""
        if Path(self.file).name != self.file or not self.file.endswith(".onnx"):
            raise ValueError(f"{self.file!r} is not the name of an .onnx file")
        if self.layout not in ("NCHW", "NHWC") or self.mode not in ("RGB", "BGR"):
            raise ValueError(f"layout {self.layout!r}, mode {self.mode!r}: NCHW or NHWC, RGB or BGR")
        if not (1 <= self.image_size <= MAX_IMAGE_SIZE and 1 <= self.feature_dim <= MAX_WIDTH):
            raise ValueError(f"size {self.image_size} or dim {self.feature_dim} is out of range")
        values = np.array([self.mean, self.std], dtype=np.float64)  # (2, 3)
        if values.shape != (2, 3) or not np.isfinite(values).all() or not (values[1] > 0).all():
            raise ValueError("mean and std are three finite numbers each, std above 0")


class OnnxTower(nn.Module):
    """The backbone as a torch module without parameters; run by ONNX Runtime, so no gradient goes through."""

    def __init__(self, config: OnnxImageConfig) -> None:
        super().__init__()
        self.config = config
        self._content: bytes | None = None
        self._sessions: dict[bool, onnxruntime.InferenceSession] = {}  # by whether on CUDA

    @property
    def content(self) -> bytes:
        """The file's bytes.

        Raises:
            WeightsError: nothing was loaded yet.
        """
        if self._content is None:
            raise WeightsError(f"the backbone {self.config.file} has not been loaded")
        return self._content

    def load(self, path: Path) -> OnnxTower:
        """Reads the graph; it must be the one that the configuration describes.

        Raises:
            WeightsError: it cannot be read, its SHA-256 is another, or as :func:`parse_graph`.
        """
        content = _read(path, MAX_GRAPH_BYTES)
        if hashlib.sha256(content).hexdigest() != self.config.sha256:
            raise WeightsError(f"{path} is not the backbone that the model was trained on: another SHA-256")
        parse_graph(content, path.name)
        self._content, self._sessions = content, {}
        return self

    def save(self, folder: Path) -> None:
        """Writes the graph into a folder, under its name."""
        (folder / self.config.file).write_bytes(self.content)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pixels (N, 3, S, S), RGB, to features (N, c)."""
        pixels: NDArray[np.float32] = x.detach().cpu().numpy()  # (N, 3, S, S)
        if self.config.mode == "BGR":
            pixels = pixels[:, ::-1]
        if self.config.layout == "NHWC":
            pixels = pixels.transpose(0, 2, 3, 1)  # (N, S, S, 3)
        if x.is_cuda not in self._sessions:
            self._sessions[x.is_cuda] = _session(self.content, cuda=x.is_cuda)
        fed = {self.config.input: np.ascontiguousarray(pixels)}
        found = self._sessions[x.is_cuda].run([self.config.output], fed)[0]
        return torch.from_numpy(found.reshape(len(pixels), -1)).to(x.device)  # (N, c)

    def __getstate__(self) -> dict[str, Any]:
        """Copies open sessions of their own."""
        return {**self.__dict__, "_sessions": {}}


def read_onnx_backbone(path: Path) -> OnnxTower:
    """The backbone in an ONNX file, its preprocessing in the JSON of the same stem, checked and tried.

    Raises:
        WeightsError: one of the two cannot be read, the JSON lacks a key or has one of another kind, or the
            graph is not what it says, has operators of its own, data outside the file or a fixed batch.
    """
    described = path.with_suffix(".json")
    config = _config(_json(described), path, described)
    tower = OnnxTower(config).load(path)
    _check_graph(parse_graph(tower.content, path.name), config, path.name)
    _try(tower)
    return tower


def parse_graph(content: bytes, name: str) -> ModelProto:
    """The graph of a file, local functions inlined.

    Raises:
        WeightsError: it is no graph, has weights outside the file, loops, or operators that are not standard.
    """
    try:
        check_graph(content, STANDARD_DOMAINS)  # first of all: functions in functions would fill the memory
    except GraphRefused as error:
        raise WeightsError(f"{name} {error}") from error
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # DecodeError, of a library that only onnx knows
        raise WeightsError(f"{name} is no ONNX graph") from error
    try:
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{name} is no ONNX graph: {str(error).strip().splitlines()[0]}") from error
    return model


def _session(content: bytes, *, cuda: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors reach the user as exceptions
    providers = [CUDA_PROVIDER, CPU_PROVIDER] if cuda and cuda_problem() is None else [CPU_PROVIDER]
    return onnxruntime.InferenceSession(content, options, providers=providers)


def _read(path: Path, limit: int) -> bytes:
    try:
        if _size(path) > limit:
            raise WeightsError(f"{path} is larger than {limit:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error


def _size(path: Path) -> int:
    """In bytes; of what is no regular file nothing is read, since a FIFO would block."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise WeightsError(f"{path} is no file")
    return found.st_size


def _json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(_read(path, MAX_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise WeightsError(f"{path} is not a JSON object")
    return raw


def _config(raw: Mapping[str, Any], graph: Path, described: Path) -> OnnxImageConfig:
    try:
        if unknown := sorted(raw.keys() - set(KEYS)):
            raise ValueError(f"unknown keys: {', '.join(unknown)}")
        if (resize := _of(raw, "resize", str)) not in RESIZE_NAMES:
            raise ValueError(f"resize {resize!r}; the one rule is {RESIZE_NAMES[0]!r}")
        if (name := _of(raw, "file", str)) != graph.name:
            raise ValueError(f"file {name!r} is not {graph.name!r}")
        mode = _of(raw, "mode", str)
        _size(graph)
        mean, std = _normalisation(raw)
        return OnnxImageConfig(
            file=name,
            sha256=sha256_of(graph),
            input=_of(raw, "input", str),
            output=_of(raw, "output", str),
            layout=_of(raw, "layout", str),
            mode=mode,
            image_size=_side(raw),
            feature_dim=_of(raw, "dim", int),
            mean=mean[::-1] if mode == "BGR" else mean,
            std=std[::-1] if mode == "BGR" else std,
        )
    except (ValueError, OverflowError) as error:  # JSON's integers have no limit
        raise WeightsError(f"{described}: {error}") from error
    except OSError as error:
        raise WeightsError(f"{graph} cannot be read: {error.strerror or error}") from error


def _of(raw: Mapping[str, Any], key: str, kind: type) -> Any:
    value = raw.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} is missing" if key not in raw else f"{key} {value!r} is no {kind.__name__}")
    return value


def _side(raw: Mapping[str, Any]) -> int:
    size = raw.get("size")
    sides = size if isinstance(size, list) else [size, size]
    if len(sides) != 2 or sides[0] != sides[1] or not isinstance(sides[0], int) or isinstance(sides[0], bool):
        raise ValueError(f"size {size!r} is no square, such as [224, 224]")
    return sides[0]


def _normalisation(raw: Mapping[str, Any]) -> tuple[Triple, Triple]:
    """Mean and standard deviation on the scale 0 to 1, in the order of the channels."""
    pairs = [pair for pair in (("offset", "scale"), ("mean", "std")) if raw.keys() & set(pair)]
    if len(pairs) != 1:
        raise ValueError("either offset and scale, or mean and std are given")
    first, second = (_triple(raw, key) for key in pairs[0])
    if min(second) <= 0:
        raise ValueError(f"{pairs[0][1]} {raw[pairs[0][1]]!r} is not above 0")
    if pairs[0] == ("mean", "std"):
        return first, second
    mean = tuple(value / PIXEL_MAX for value in first)
    std = tuple(1.0 / (PIXEL_MAX * value) for value in second)
    return mean, std  # type: ignore[return-value]  # of three each


def _triple(raw: Mapping[str, Any], key: str) -> Triple:
    value = raw.get(key)
    values: list[Any] = value if isinstance(value, list) else [value] * 3
    if len(values) != 3 or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise ValueError(f"{key} {value!r} is neither a number nor three")
    red, green, blue = (float(v) for v in values)
    return red, green, blue


def _check_graph(model: ModelProto, config: OnnxImageConfig, name: str) -> None:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in constants}
    outputs = {value.name: value for value in model.graph.output}
    if list(inputs) != [config.input]:
        raise WeightsError(f"{name} has the inputs {', '.join(inputs)}; it may have {config.input} alone")
    if config.output not in outputs:
        raise WeightsError(f"{name} has no output {config.output}, only {', '.join(outputs)}")
    for value in (inputs[config.input], outputs[config.output]):
        if value.type.tensor_type.elem_type != TensorProto.FLOAT:
            raise WeightsError(f"{name}: {value.name} is not float32")
    shape = [dim.dim_value for dim in inputs[config.input].type.tensor_type.shape.dim]
    side = config.image_size
    expected = [3, side, side] if config.layout == "NCHW" else [side, side, 3]
    fits = len(shape) == 4 and all(
        found in (0, wanted) for found, wanted in zip(shape[1:], expected, strict=True)
    )
    if not fits:
        raise WeightsError(f"{name}: the input has the shape {shape}, not {['N', *expected]}")
    if shape[0]:
        raise WeightsError(f"{name} takes batches of {shape[0]} only; export it with a free batch dimension")


def _try(tower: OnnxTower) -> None:
    """Runs two pictures together and alone: width, finite numbers, no photo touched by its batch mates."""
    config = tower.config
    noise = np.random.default_rng(0).normal(size=(2, 3, config.image_size, config.image_size))
    x = torch.from_numpy(noise.astype(np.float32))  # (2, 3, S, S)
    try:
        together, alone = tower(x), torch.cat([tower(x[:1]), tower(x[1:])])  # (2, c), (2, c)
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        reason = str(error).strip().splitlines()[0]
        raise WeightsError(f"{config.file} cannot be run: {reason}") from error
    if together.shape != (2, config.feature_dim):
        raise WeightsError(
            f"{config.file} gives {together[0].numel()} values a photo, not {config.feature_dim}"
        )
    if not together.isfinite().all():
        raise WeightsError(f"{config.file} gives values that are not finite")
    if (together - alone).abs().max() > MAX_BATCH_DIFFERENCE * together.abs().max():
        raise WeightsError(f"{config.file} gives a photo other features beside another photo")
