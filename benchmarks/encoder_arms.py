"""Arms of `performance.py` about the image encoder alone, on the CPU."""

from __future__ import annotations

import torch
from figures import Figure
from ours import encoder_alone, precisions
from peers import encode_pixels, preprocessed
from setting import Setting
from this_machine import VIT_L_14_FLOP, best_product
from turns import Spread, Way, in_turn

#: Goals: ratio to the machine's floor, and to the peer's image encoder.
FLOOR_GOALS = {"fp32": 0.88, "int8": 2.5}
ENCODER_GOALS = {"fp32": 1.1, "int8": 3.0}
#: Photos in one call of the encoder, where sizes of a batch are compared.
BATCHES = (1, 2, 4, 8)


def encoder(setting: Setting) -> list[Figure]:
    """The image encoder against the machine's best matrix product, and against torch."""
    model = setting.large_model
    photos = setting.photos(setting.photos_a_turn)
    ways: dict[str, Way] = {"floor": best_product()}
    for precision in precisions(model):
        ways[precision] = encoder_alone(model, precision, photos)
    ours = list(ways)[1:]
    if setting.clip_weights is not None:
        pixels = preprocessed(setting.theirs, photos)[:1]  # one at a time, as `predict` does
        ways["torch fp32"] = encode_pixels(setting.theirs.image_encoder, pixels)
        # A second copy, of the image side alone: `to` would change the first one.
        half = CopyOfImageEncoder(setting.theirs.image_encoder)
        ways["torch bf16"] = encode_pixels(half, pixels.bfloat16())
    turns = in_turn(ways, setting.turns)
    figures = [
        Figure("floor: best float32 matrix product", turns.rate("floor"), "photos/s"),
        Figure(
            "floor, as operations",
            Spread(*(getattr(turns.rate("floor"), part) * VIT_L_14_FLOP / 1e9 for part in Spread.__slots__)),
            "GFLOP/s",
        ),
        *(Figure(f"image encoder, {way}", turns.rate(way), "photos/s") for way in ways if way != "floor"),
        *(Figure(f"{way} / floor", turns.ratio(way, "floor"), goal=FLOOR_GOALS[way]) for way in ours),
    ]
    if "torch fp32" in ways:
        figures += [
            Figure("torch fp32 / floor", turns.ratio("torch fp32", "floor")),
            *(
                Figure(f"{way} / torch fp32", turns.ratio(way, "torch fp32"), goal=ENCODER_GOALS[way])
                for way in ours
            ),
            *(Figure(f"{way} / torch bf16", turns.ratio(way, "torch bf16")) for way in ours),
        ]
    return figures


def batches(setting: Setting) -> list[Figure]:
    """The image encoder in batches of several sizes, against one photo at a time."""
    model = setting.large_model
    photos = setting.photos(max(BATCHES))
    figures = []
    for precision in precisions(model):
        ways = {f"{size}": encoder_alone(model, precision, photos, batch=size) for size in BATCHES}
        turns = in_turn(ways, setting.turns)
        figures += [
            Figure(f"{precision}, batches of {size} / one at a time", turns.ratio(size, "1"))
            for size in ways
            if size != "1"
        ]
    return figures


class CopyOfImageEncoder:
    """geoclip's image encoder in bfloat16; the original stays as it is."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        import copy

        text = encoder.CLIP.text_model
        encoder.CLIP.text_model = torch.nn.Identity()  # 0.5 GB that no photo needs
        try:
            self.module = copy.deepcopy(encoder).bfloat16()
        finally:
            encoder.CLIP.text_model = text

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.module(pixels)  # type: ignore[no-any-return]
