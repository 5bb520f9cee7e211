"""What a student tower learns from: fixed augmented views of photos, and what the teacher says of each.

Student and teacher see the same pixels, each at its own input size; a view is fixed, so the teacher runs once
(Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent", arXiv 2106.05237).

P photos in V views, S side of the student's input, G side of its grid of features, c width of the teacher's
features, k of the student's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from geolocate.errors import WeightsError
from geolocate_export.onnx_backbone import PIXEL_MAX, parse_graph, read_onnx_backbone

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

#: Shares of a photo's area, and ratios of width to height, that a cropped view takes.
CROP_AREA, CROP_RATIO = (0.15, 1.0), (3 / 4, 4 / 3)
#: How far brightness, contrast and saturation move, as factors round 1.
COLOUR_CHANGE = 0.3
GREY_SHARE = 0.1
#: From this view on, every second one is blended with another photo's.
FIRST_BLENDED_VIEW = 2


class Teacher:
    """A frozen ONNX image encoder that ends in an average over its last grid of features.

    Its preprocessing is in the JSON beside it, see :mod:`geolocate_export.onnx_backbone`.

    Raises:
        WeightsError: as :func:`read_onnx_backbone`, or the graph has no average over a grid at its end.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        tower = read_onnx_backbone(path)
        self.config = tower.config
        model = parse_graph(tower.content, path.name)
        averages = [node for node in model.graph.node if node.op_type == "GlobalAveragePool"]
        if not averages:
            raise WeightsError(f"{path} has no GlobalAveragePool: it has no grid of features to learn from")
        self._grid = averages[-1].input[0]
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(self._grid))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # errors reach the user as exceptions
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, pixels: Pixels) -> tuple[Floats, Floats]:
        """uint8 (N, T, T, 3) to features (N, c) and the grid that they are the average of, (N, c, H, W)."""
        config = self.config
        mean, std = np.array([config.mean, config.std], np.float32) * PIXEL_MAX  # (3,), (3,)
        x = (pixels.astype(np.float32) - mean) / std  # (N, T, T, 3)
        if config.mode == "BGR":
            x = x[..., ::-1]
        if config.layout == "NCHW":
            x = x.transpose(0, 3, 1, 2)
        feed = {config.input: np.ascontiguousarray(x, np.float32)}
        features, grid = self._session.run([config.output, self._grid], feed)
        return features.reshape(len(pixels), -1), grid


@dataclass(frozen=True)
class Targets:
    """Views with the teacher's word on each, memory-mapped; rows are photo by photo, view by view.

    Attributes:
        pixels: uint8 (P V, S, S, 3).
        features: float16 (P V, c), the teacher's, raw.
        grids: float16 (P V, G G, c), the same before the average, coarsened to the student's grid.
    """

    pixels: Pixels
    features: NDArray[np.float16]
    grids: NDArray[np.float16]


@dataclass(frozen=True)
class Components:
    """The teacher's principal components, k of them, found on the training photos.

    Attributes:
        mean: (c,), of the teacher's features.
        axes: (c, k), orthonormal columns, by falling variance.
        scale: (k,), what a coordinate along each axis is multiplied with.
    """

    mean: Floats
    axes: Floats
    scale: Floats

    @classmethod
    def of(cls, features: Floats, count: int, whitening: float) -> Components:
        """The `count` strongest components of features (N, c); their total variance is scaled to 1."""
        mean = features.mean(0)  # (c,)
        variances, vectors = np.linalg.eigh(np.cov((features - mean).T.astype(np.float64)))  # (c,), (c, c)
        strongest = np.argsort(-variances)[:count]
        kept = variances[strongest]  # (k,)
        scale = np.maximum(kept, 1e-12) ** -whitening  # (k,)
        scale /= math.sqrt(float((kept * scale**2).sum()))
        return cls(mean, vectors[:, strongest].astype(np.float32), scale.astype(np.float32))

    def of_features(self, features: NDArray[np.floating[Any]]) -> Floats:
        """Teacher's features (..., c) to what the student learns (..., k)."""
        coordinates = (features.astype(np.float32) - self.mean) @ self.axes * self.scale
        return coordinates.astype(np.float32, copy=False)

    def to_features(self, coordinates: Floats) -> Floats:
        """The way back, (..., k) to (..., c): what the student says of the teacher's features."""
        features = (coordinates / self.scale) @ self.axes.T + self.mean
        return features.astype(np.float32, copy=False)


def make_targets(
    paths: Sequence[Path],
    teacher: Teacher,
    folder: Path,
    *,
    views: int,
    side: int,
    grid: int,
    seed: int,
    progress: Callable[[int], None] = lambda rows: None,
) -> Targets:
    """Draws `views` of each photo and asks the teacher; a finished set is found again in `folder`.

    Args:
        side, grid: S and G of the student.
        progress: told the number of rows done.

    Raises:
        OSError: a photo cannot be read, or there is no room.
    """
    rows = len(paths) * views
    recipe = json.dumps([[str(path) for path in paths], views, side, grid, seed])
    finished = folder / "recipe.json"
    names = [folder / f"{name}.npy" for name in ("pixels", "features", "grids")]
    if not finished.exists() or finished.read_text(encoding="utf-8") != recipe:
        folder.mkdir(parents=True, exist_ok=True)
        finished.unlink(missing_ok=True)
        arrays = None
        for at in range(len(paths)):
            drawn = np.stack(
                [_view(paths, at, view, teacher.config.image_size, seed) for view in range(views)]
            )  # (V, T, T, 3)
            features, maps = teacher(drawn)
            if arrays is None:
                width = features.shape[1]
                shapes = [(rows, side, side, 3), (rows, width), (rows, grid * grid, width)]
                dtypes = [np.uint8, np.float16, np.float16]
                arrays = [
                    open_memmap(name, "w+", dtype, shape)
                    for name, dtype, shape in zip(names, dtypes, shapes, strict=True)
                ]
            part = slice(at * views, (at + 1) * views)
            arrays[0][part] = [_resized(Image.fromarray(view), side) for view in drawn]
            arrays[1][part] = features
            arrays[2][part] = _coarse(maps, grid)
            progress(part.stop)
        finished.write_text(recipe, encoding="utf-8")
    return Targets(*(np.load(name, mmap_mode="r", allow_pickle=False) for name in names))


def _coarse(maps: Floats, grid: int) -> Floats:
    """(N, c, H, W) to (N, grid * grid, c): each cell the average over its share of the finer ones."""
    weights = []
    for fine in maps.shape[2:]:
        edges = np.linspace(0, fine, grid + 1)
        cells = np.arange(fine)
        overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)  # (G, H)
        weights.append(np.maximum(overlap, 0) * grid / fine)
    coarse = np.einsum("nchw,gh,kw->ngkc", maps, *weights, optimize=True)  # (N, G, G, c)
    result: Floats = coarse.reshape(len(maps), grid * grid, -1).astype(np.float32)
    return result


def _view(paths: Sequence[Path], at: int, view: int, size: int, seed: int) -> Pixels:
    """A photo's view (size, size, 3): number 0 as inference sees it, the others drawn from `seed`."""
    if view == 0:
        return _centre(paths[at], size)
    generator = np.random.default_rng((seed, at, view))
    picture = _cropped(paths[at], size, generator)
    if view >= FIRST_BLENDED_VIEW and view % 2:
        other = _cropped(paths[int(generator.integers(len(paths)))], size, generator)
        share = generator.uniform(0.3, 0.7)
        return np.rint(share * picture + (1 - share) * other).astype(np.uint8)
    return picture


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _centre(path: Path, size: int) -> Pixels:
    image = _open(path)
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return _resized(image, size, (left, top, left + side, top + side))


def _cropped(path: Path, size: int, generator: np.random.Generator) -> Pixels:
    image = _open(path)
    area = image.width * image.height * generator.uniform(*CROP_AREA)
    ratio = np.exp(generator.uniform(*np.log(CROP_RATIO)))
    width = min(image.width, np.sqrt(area * ratio))
    height = min(image.height, np.sqrt(area / ratio))
    left = generator.uniform(0, image.width - width)
    top = generator.uniform(0, image.height - height)
    cut = Image.fromarray(_resized(image, size, (left, top, left + width, top + height)))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        cut = enhance(cut).enhance(generator.uniform(1 - COLOUR_CHANGE, 1 + COLOUR_CHANGE))
    if generator.random() < GREY_SHARE:
        cut = cut.convert("L").convert("RGB")
    picture = np.asarray(cut)
    return picture[:, ::-1] if generator.random() < 0.5 else picture


def _resized(image: Image.Image, size: int, box: tuple[float, float, float, float] | None = None) -> Pixels:
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box))
