"""Augmented views of a photo, as GeoCLIP was trained with, from the photo's own numbers.

RandomResizedCrop(S), horizontal flip, ColorJitter(.4, .4, .4, .1) with probability .8, grayscale .2: the
operations and ranges of torchvision. The draws are seeded by the photo's content and the view's number, so
that a view is the same whatever was computed before it, in whatever thread. Cut from the square that
inference sees: what lies beyond it, no prediction ever sees.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

#: Changes with anything below that changes a view.
RECIPE = "square-2S, crop .08-1 3/4-4/3 bicubic, flip .5, jitter .4 .4 .4 .1 p .8, grey p .2; 1"
#: Side of the picture that views are cut from, in sides of a view.
SOURCE_SIDES = 2
#: Share of the area, and width over height, of the part that is cut out.
CROP_AREA = (0.08, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
CROP_ATTEMPTS = 10
FLIP_PROBABILITY = 0.5
JITTER_PROBABILITY = 0.8
#: Brightness, contrast and colour become up to so much more or less; hue turns by a share of the circle.
JITTER, HUE_JITTER = 0.4, 0.1
GREY_PROBABILITY = 0.2

_ENHANCERS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


def augmented(picture: NDArray[np.uint8], size: int, digest: bytes, view: int) -> NDArray[np.uint8]:
    """View `view` of a photo.

    Args:
        picture: uint8 (T, T, 3), the photo's square at SOURCE_SIDES times the side of a view.
        size: S, side of the view in pixels.
        digest: SHA-256 of the photo's content.

    Returns:
        uint8 (S, S, 3).
    """
    seed = hashlib.sha256(digest + view.to_bytes(4, "little")).digest()
    draw = np.random.default_rng(int.from_bytes(seed[:16], "little"))
    image = Image.fromarray(picture)
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=_crop(draw, *image.size))
    if draw.random() < FLIP_PROBABILITY:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if draw.random() < JITTER_PROBABILITY:
        image = _jittered(draw, image)
    if draw.random() < GREY_PROBABILITY:
        image = image.convert("L").convert("RGB")
    return np.asarray(image)


def _crop(draw: np.random.Generator, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a part of the picture; all of it where none fits."""
    for _ in range(CROP_ATTEMPTS):
        area = width * height * draw.uniform(*CROP_AREA)
        ratio = math.exp(draw.uniform(math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            left = int(draw.integers(width - across + 1))
            top = int(draw.integers(height - down + 1))
            return left, top, left + across, top + down
    return 0, 0, width, height


def _jittered(draw: np.random.Generator, image: Image.Image) -> Image.Image:
    """Brightness, contrast, colour and hue changed, in an order drawn as well."""
    factors = draw.uniform(1 - JITTER, 1 + JITTER, size=len(_ENHANCERS))
    turn = round(draw.uniform(-HUE_JITTER, HUE_JITTER) * 256)
    for step in draw.permutation(len(_ENHANCERS) + 1):
        if step < len(_ENHANCERS):
            image = _ENHANCERS[step](image).enhance(float(factors[step]))
        else:
            hue, saturation, value = image.convert("HSV").split()
            hue = hue.point([(level + turn) % 256 for level in range(256)])
            image = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    return image
