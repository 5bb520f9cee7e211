"""The geoclip package as its README shows it, and the same with its gallery's embeddings kept by hand.

Nothing of it is changed but where CLIP's weights come from: a folder on this machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from turns import Way


def load_geoclip(clip_weights: Path) -> Any:
    """The package's own model over weights in a local folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import geoclip
        import transformers

        # The folder may lack the tokeniser, which geoclip loads and never uses.
        processor = transformers.CLIPImageProcessor()
        transformers.AutoProcessor.from_pretrained = classmethod(lambda *_, **__: processor)
        return geoclip.GeoCLIP(clip_path=str(clip_weights)).eval()


def gallery_locations(theirs: Any) -> torch.Tensor:
    """Normalised embeddings of geoclip's gallery rows (R, d)."""
    with torch.inference_mode():
        blocks = [theirs.location_encoder(part) for part in theirs.gps_gallery.split(4096)]
    return torch.nn.functional.normalize(torch.cat(blocks), dim=1)


def first_guess(theirs: Any, photo: Path) -> tuple[float, float]:
    """Latitude and longitude that `predict` gives first."""
    coordinates, _ = theirs.predict(str(photo), top_k=1)
    latitude, longitude = (float(value) for value in coordinates[0])
    return latitude, longitude


class CachedGeoclip:
    """geoclip with its gallery embedded once: what a careful user would write around it.

    Args:
        theirs: of :func:`load_geoclip`.
    """

    def __init__(self, theirs: Any) -> None:
        self.theirs = theirs
        self.locations = gallery_locations(theirs)

    def first_guess(self, photo: Path) -> tuple[float, float]:
        """Latitude and longitude, as :func:`first_guess`: the same steps but for the gallery's embeddings."""
        with torch.inference_mode(), Image.open(photo) as image:
            pixels = self.theirs.image_encoder.preprocess_image(image.convert("RGB"))
            embedding = torch.nn.functional.normalize(self.theirs.image_encoder(pixels), dim=1)
            logits = self.theirs.logit_scale.exp() * embedding @ self.locations.T
            best = logits.softmax(dim=-1).topk(1, dim=1).indices[0, 0]
        latitude, longitude = (float(value) for value in self.theirs.gps_gallery[best])
        return latitude, longitude


def encode_pixels(encoder: Any, pixels: torch.Tensor) -> Way:
    """geoclip's image encoder over preprocessed photos (N, 3, 224, 224), in their dtype."""

    def encode() -> float:
        with torch.inference_mode():
            encoder(pixels)
        return len(pixels)

    return encode


def preprocessed(theirs: Any, photos: Sequence[Path]) -> torch.Tensor:
    """Photos as geoclip's image encoder takes them, float32 (N, 3, 224, 224)."""
    rows = []
    for photo in photos:
        with Image.open(photo) as image:
            rows.append(theirs.image_encoder.preprocess_image(image.convert("RGB")))
    return torch.cat(rows)
