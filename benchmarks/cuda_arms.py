"""The arm of `performance.py` that needs an NVIDIA GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from figures import Figure
from ours import encoder_alone, end_to_end, open_locator
from setting import NotHere, Setting
from this_machine import best_cuda_product
from turns import Spread, Way, in_turn

from geolocate.bundle import load_bundle
from geolocate.photos import decode_photo

ENCODER_GOAL, END_TO_END_GOAL = 0.5, 0.9
#: Photos in one turn, shrunk before: their decoding shall not be what is measured.
PHOTOS, SHRUNK_MEGAPIXELS = 2048, 0.08
#: Photos of full size, decoded to find out how many cores a GPU needs.
WHOLE_PHOTOS = 24


def cuda(setting: Setting) -> list[Figure]:
    """On the GPU, in float16: the encoder against the best product, the whole program on small photos."""
    if setting.device != "cuda":
        raise NotHere("it needs --device cuda")
    model = setting.large_model
    bundle = load_bundle(model)
    precision = next((name for name in ("fp16", "fp32") if name in bundle.manifest.precisions), "fp32")
    photos = setting.photos(PHOTOS, megapixels=SHRUNK_MEGAPIXELS)
    whole = setting.photos(WHOLE_PHOTOS)
    size = bundle.manifest.image.size
    ways: dict[str, Way] = {
        "product": best_cuda_product(),
        "encoder": encoder_alone(model, precision, photos, device="cuda"),
        "end to end": end_to_end(open_locator(model, precision, device="cuda"), photos, setting.scratch),
        "decoding": decode_on_one_core(whole, size),
    }
    turns = in_turn(ways, setting.turns)
    cores = [a / b for a, b in zip(turns.rates["encoder"], turns.rates["decoding"], strict=True)]
    return [
        Figure("ceiling: best float16 product", turns.rate("product"), "photos/s"),
        Figure(f"{precision}, image encoder alone", turns.rate("encoder"), "photos/s"),
        Figure(f"{precision} / ceiling", turns.ratio("encoder", "product"), goal=ENCODER_GOAL),
        Figure(f"{precision}, end to end, small photos", turns.rate("end to end"), "photos/s"),
        Figure(
            f"{precision}, end to end / image encoder alone",
            turns.ratio("end to end", "encoder"),
            goal=END_TO_END_GOAL,
        ),
        Figure("decoding on one core", turns.rate("decoding"), "photos/s"),
        Figure("cores that decode as fast as the GPU encodes", Spread.of(cores), "cores"),
    ]


def decode_on_one_core(photos: Sequence[Path], size: int) -> Way:
    """Decoding, one photo after the other in one thread."""

    def decode() -> float:
        for photo in photos:
            decode_photo(photo, size=size)
        return len(photos)

    return decode
