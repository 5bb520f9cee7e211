"""The text side of a bundle: encoder, tokeniser, and the means that close the modality gap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from geolocate.bundle import MODALITY_MEANS, TEXT_ENCODER, TOKENIZER, Manifest
from geolocate.errors import ParityError, PhotoError, UsageError
from geolocate.photos.decode import decode_photo
from geolocate.photos.find import find_photos
from geolocate.places import PlaceIndex
from geolocate.text import ModalityMeans, Tokenizer
from geolocate_export import graphs
from geolocate_export.clip_weights import ClipWeights
from geolocate_export.model import GeoModel
from geolocate_export.parity import Agreement, cpu_session
from geolocate_export.to_onnx import NewBundle
from geolocate_export.tokenizer import write_tokenizer

#: What photos of the world show; with the names of all countries they give the mean of text.
SCENES = (
    "a beach", "a busy market", "a castle", "a church", "a city street at night", "a crowd at a festival",
    "a desert", "a farm", "a fishing harbour", "a football match", "a forest", "a glacier", "a house",
    "a lake", "a mosque", "a mountain village", "a museum", "a palm grove", "a park", "a political rally",
    "a railway station", "a rice field", "a river with boats", "a road through hills", "a school", "a shop",
    "a skyscraper", "a snowy street", "a temple", "a town square", "a vineyard", "a waterfall",
    "people at dinner",
    "a flooded street", "an airport", "an old bridge", "an island seen from the air", "traffic in the rain",
)  # fmt: skip
#: So few photos say where photos lie, and so many are enough.
MIN_PHOTOS, MAX_PHOTOS = 16, 256
#: Texts whose features are compared between torch and ONNX Runtime.
PARITY_TEXTS = 16
BATCH = 4


def prompts() -> list[str]:
    """Texts of the kind that people ask with: scenes, and every country by name."""
    countries = sorted(set(PlaceIndex.load().country_names))
    return [f"a photo of {scene}" for scene in SCENES] + [f"a photo taken in {name}" for name in countries]


def add_text(
    new: NewBundle,
    clip: ClipWeights,
    model: GeoModel,
    photos: Path | None,
    parity_limit: float,
    *,
    say: Callable[[str], None] = lambda message: None,
) -> tuple[Manifest, NDArray[np.float32] | None]:
    """Adds `text_encoder.onnx`, the tokeniser and, where there are photos, `modality_means.npz`.

    Args:
        photos: folder of photos for the means, at least :data:`MIN_PHOTOS`; without it text vectors go into
            the image head as they are.
        parity_limit: largest difference of L2-normalised text features between torch and ONNX Runtime.

    Returns:
        The manifest, and the mean embedding (d,) of the photos: what the average photo shows.

    Raises:
        UsageError: the folder has too few photos that can be read.
        ParityError: the text encoder is past the limit.
    """
    assert clip.text is not None, "the caller asks whether there is a text tower"
    say("exporting the text encoder")
    tower = clip.text_tower()
    graph = graphs.store_as_half(graphs.text_encoder_graph(tower, clip.text.context_length))
    write_tokenizer(new.folder / TOKENIZER)
    tokenizer = Tokenizer((new.folder / TOKENIZER).read_bytes(), clip.text.context_length)
    tokens = tokenizer(prompts()).ids  # (P, T)
    with torch.inference_mode():
        texts = torch.cat([tower(part) for part in _parts(tokens)])  # (P, c)
    session = cpu_session(graph)
    found = np.concatenate([session.run(None, {"token_ids": row[None]})[0] for row in tokens[:PARITY_TEXTS]])
    agreement = Agreement.of(_unit(texts[:PARITY_TEXTS]), _unit(torch.from_numpy(found)))
    if not agreement.max_abs_difference <= parity_limit:  # also where it is NaN
        raise ParityError(
            f"text_encoder differs from torch by up to {agreement.max_abs_difference:.3g}, "
            f"more than the parity limit {parity_limit:g}; nothing was written"
        )
    (new.folder / TEXT_ENCODER).write_bytes(graphs.graph_bytes(graph))
    mean_embedding = None
    if photos is not None:
        say(f"measuring where the photos of {photos} lie")
        pixels = _read_photos(photos, model.config.image.image_size)  # (M, S, S, 3)
        with torch.inference_mode():
            images = torch.cat([model.image_encoder.features(part) for part in _parts(pixels)])  # (M, c)
            mean_embedding = model.image_encoder.head(images).mean(dim=0).numpy()  # (d,)
        ModalityMeans.of(texts.numpy(), images.numpy()).save(new.folder / MODALITY_MEANS)
    else:
        say("no folder of photos was given: queries are answered without closing the modality gap")
    parity = {**new.manifest.parity, "text_encoder": asdict(agreement)}
    return replace(new.manifest, parity=parity), mean_embedding


def _parts(rows: NDArray[np.generic]) -> list[torch.Tensor]:
    return [torch.from_numpy(rows[at : at + BATCH]) for at in range(0, len(rows), BATCH)]


def _unit(rows: torch.Tensor) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = functional.normalize(rows, dim=1).numpy()
    return unit


def _read_photos(folder: Path, size: int) -> NDArray[np.uint8]:
    """The first photos of a folder that can be read, uint8 (M, S, S, 3)."""
    read: list[NDArray[np.uint8]] = []
    for path in find_photos([str(folder)], on_warning=lambda text: None):
        try:
            read.append(decode_photo(path, size=size).pixels)
        except PhotoError:
            continue
        if len(read) == MAX_PHOTOS:
            break
    if len(read) < MIN_PHOTOS:
        raise UsageError(
            f"{folder} has {len(read)} photos that can be read; at least {MIN_PHOTOS} are needed"
        )
    return np.stack(read)
