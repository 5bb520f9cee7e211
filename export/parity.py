"""Parity: how far the exported graphs are from the torch encoders, measured before a bundle is let out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from PIL import Image, ImageDraw, ImageFilter

from geolocate.equal_earth import project
from geolocate.errors import ParityError
from geolocate.ranking import MERGE_RADIUS_KM
from geolocate.sphere import great_circle_km, unit_vectors
from geolocate_export.graphs import graph_bytes
from geolocate_export.model import GeoModel

#: Largest difference between an embedding from torch and from ONNX Runtime that an export may have.
DEFAULT_PARITY_LIMIT = 1e-5
#: The fewest photos that parity is measured on.
PARITY_PHOTOS = 16
#: Coordinates that the location encoder is measured on, at most.
PARITY_COORDINATES = 2048
PARITY_SEED = 2309_16020

Embeddings = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Torch against ONNX Runtime over `n` rows of one graph's output.

    Attributes:
        max_abs_difference: over all values.
        min_cosine: the worst row's.
    """

    n: int
    max_abs_difference: float
    min_cosine: float

    @classmethod
    def of(cls, torch_rows: Embeddings, onnx_rows: Embeddings) -> Agreement:
        """Compares two (N, d) arrays of L2-normalised rows."""
        a, b = torch_rows.astype(np.float64), onnx_rows.astype(np.float64)  # (N, d), (N, d)
        cosines = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))  # (N,)
        return cls(len(a), float(np.abs(a - b).max()), float(cosines.min()))


def cpu_session(model: ModelProto) -> onnxruntime.InferenceSession:
    """A session on the CPU, where parity is measured, over a graph in memory."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors reach the user as exceptions
    return onnxruntime.InferenceSession(graph_bytes(model), options, providers=["CPUExecutionProvider"])


def run_batched(session: onnxruntime.InferenceSession, rows: NDArray[Any], batch: int) -> Embeddings:
    """All rows through a graph of one input, `batch` at a time; its first output."""
    return run_outputs(session, rows, batch)[0]


def run_outputs(session: onnxruntime.InferenceSession, rows: NDArray[Any], batch: int) -> list[Embeddings]:
    """All rows through a graph of one input, `batch` at a time; all its outputs."""
    name = session.get_inputs()[0].name
    blocks = [session.run(None, {name: rows[at : at + batch]}) for at in range(0, len(rows), batch)]
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


def generated_photos(count: int, size: int, seed: int = PARITY_SEED) -> NDArray[np.uint8]:
    """Pictures with about the statistics of photos, uint8 (count, size, size, 3), the same for the same seed.

    Each is noise whose amplitude falls with frequency, as in nature, under a gradient of light, with a few
    sharp shapes; brightness and contrast differ from picture to picture.
    """
    generator = np.random.default_rng(seed)
    return np.stack([_generated_photo(generator, size) for _ in range(count)])


def _generated_photo(generator: np.random.Generator, size: int) -> NDArray[np.uint8]:
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :])  # (S, S)
    amplitude = 1.0 / np.maximum(frequency, 1.0 / size) ** generator.uniform(0.8, 1.4)  # (S, S)
    spectrum = np.fft.fft2(generator.normal(size=(3, size, size))) * amplitude  # (3, S, S)
    noise = np.fft.ifft2(spectrum).real  # (3, S, S)
    noise /= np.abs(noise).max(axis=(1, 2), keepdims=True)
    top, bottom = (float(value) for value in generator.uniform(-0.6, 0.6, size=2))
    light = np.linspace(top, bottom, size)[None, :, None]  # (1, S, 1)
    scene = generator.uniform(60, 190, size=(3, 1, 1)) + generator.uniform(30, 120) * (
        noise + light
    )  # (3, S, S)
    picture = Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8).transpose(1, 2, 0))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(generator.integers(2, 8))):
        x, y = generator.integers(0, size, size=2)
        width, height = generator.integers(max(2, size // 16), max(3, size // 2), size=2)
        red, green, blue = (int(value) for value in generator.integers(0, 256, size=3))
        shape = draw.ellipse if generator.random() < 0.5 else draw.rectangle
        shape((int(x), int(y), int(x + width), int(y + height)), fill=(red, green, blue))
    picture = picture.filter(ImageFilter.GaussianBlur(float(generator.uniform(0, size / 200))))
    return np.asarray(picture, dtype=np.uint8)


def measure_parity(
    model: GeoModel,
    graphs: Mapping[str, onnxruntime.InferenceSession],
    photos: NDArray[np.uint8],
    coordinates: NDArray[np.float64],
    gallery_embeddings: Embeddings,
) -> dict[str, Any]:
    """Runs torch and the exported graphs over the same inputs.

    Args:
        graphs: sessions of "image_encoder", "image_head" and "location_encoder".
        photos: uint8 (N, S, S, 3), at least PARITY_PHOTOS of them.
        coordinates: float64 (M, 2), the gallery in degrees.
        gallery_embeddings: float32 (M, d), by the exported location encoder.

    Returns:
        What `parity` of the manifest records: an :class:`Agreement` by graph, and for the concept scores of
        image graphs that give them; and `top1_drift_km`, how far the best gallery point of a photo lies from
        torch's at most.

    Raises:
        ValueError: too few photos.
    """
    if len(photos) < PARITY_PHOTOS:
        raise ValueError(f"parity needs at least {PARITY_PHOTOS} photos, not {len(photos)}")
    with torch.inference_mode():
        pixels = torch.from_numpy(photos)  # (N, S, S, 3)
        features = torch.cat(
            [model.image_encoder.features(pixels[at : at + 4]) for at in range(0, len(pixels), 4)]
        )  # (N, c)
        x_img = model.image_encoder.head(features)  # (N, d)
        torch_images = (
            [x_img.numpy()] if model.concepts is None else [x_img.numpy(), model.concepts(x_img).numpy()]
        )
        projected = torch.from_numpy(project(coordinates).astype(np.float32))  # (M, 2)
        torch_gallery = torch.cat(
            [model.location_encoder(projected[at : at + 1024]) for at in range(0, len(projected), 1024)]
        ).numpy()  # (M, d)
    onnx_images = run_outputs(graphs["image_encoder"], photos, 4)  # (N, d), (N, K) with concepts
    onnx_heads = run_outputs(graphs["image_head"], features.numpy(), 4)  # the same
    chosen = np.linspace(0, len(coordinates) - 1, min(len(coordinates), PARITY_COORDINATES)).astype(int)
    agreements = {
        f"{graph}{output}": Agreement.of(expected, rows)
        for graph, found in (("image_encoder", onnx_images), ("image_head", onnx_heads))
        for output, expected, rows in zip(("", ".concept_scores"), torch_images, found, strict=False)
    }
    agreements["location_encoder"] = Agreement.of(torch_gallery[chosen], gallery_embeddings[chosen])
    torch_best = (torch_images[0] @ torch_gallery.T).argmax(1)  # (N,)
    onnx_best = (onnx_images[0] @ gallery_embeddings.T).argmax(1)  # (N,)
    vectors = unit_vectors(*coordinates.T)  # (M, 3)
    drift = max(
        float(great_circle_km(vectors[b : b + 1], vectors[a])[0]) if a != b else 0.0
        for a, b in zip(torch_best, onnx_best, strict=True)
    )
    return {
        **{name: asdict(agreement) for name, agreement in agreements.items()},
        "top1_drift_km": drift,
    }


def enforce_parity(parity: Mapping[str, Any], limit: float) -> None:
    """Refuses a measurement past the limit.

    Raises:
        ParityError: a value differs by more than `limit` or is not a number, or a photo's best place is
            another one.
    """
    for name, agreement in parity.items():
        if name == "top1_drift_km":
            continue
        difference = float(agreement["max_abs_difference"])
        if not difference <= limit:  # also where it is NaN
            raise ParityError(
                f"{name} differs from torch by up to {difference:.3g}, more than the parity limit {limit:g}; "
                "nothing was written"
            )
    drift = float(parity["top1_drift_km"])
    if not drift <= MERGE_RADIUS_KM:
        raise ParityError(
            f"the best place of a photo lies {drift:.0f} km from torch's, although the embeddings agree; "
            "nothing was written"
        )
