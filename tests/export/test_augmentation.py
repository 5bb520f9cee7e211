"""Augmented views: drawn from the photo's content alone, with the ranges that they claim."""

from __future__ import annotations

import hashlib

import numpy as np

from geolocate_export import augmentation
from geolocate_export.augmentation import augmented
from geolocate_export.parity import generated_photos

SIZE = 24
PICTURE = generated_photos(1, augmentation.SOURCE_SIDES * SIZE)[0]


def view(number: int, content: bytes = b"photo") -> np.ndarray:
    return augmented(PICTURE, SIZE, hashlib.sha256(content).digest(), number)


def test_a_view_is_drawn_from_content_and_number_alone() -> None:
    first = view(1)
    assert first.shape == (SIZE, SIZE, 3)
    assert first.dtype == np.uint8
    view(2)
    np.random.default_rng(0).random()
    np.testing.assert_array_equal(view(1), first)
    assert not np.array_equal(view(2), first)
    assert not np.array_equal(view(1, b"another"), first)


def test_a_fifth_of_the_views_is_grey_and_half_are_flipped() -> None:
    views = np.stack([view(number) for number in range(1000)])
    grey = (np.ptp(views, axis=3) == 0).all(axis=(1, 2))
    assert 0.16 < grey.mean() < 0.24
    ramp = np.tile(np.linspace(0, 255, 2 * SIZE).astype(np.uint8)[None, :, None], (2 * SIZE, 1, 3))
    digest = hashlib.sha256(b"ramp").digest()
    flipped = [augmented(ramp, SIZE, digest, number)[:, :, 0].astype(float) for number in range(1000)]
    assert 0.45 < np.mean([picture[:, 0].mean() > picture[:, -1].mean() for picture in flipped]) < 0.55


def test_crops_stay_inside_and_span_areas_and_shapes() -> None:
    boxes = np.array([augmentation._crop(np.random.default_rng(n), 200, 200) for n in range(2000)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert boxes.min() >= 0
    assert boxes.max() <= 200
    share, ratio = width * height / 200**2, width / height
    assert 0.07 < share.min() < 0.12
    assert 0.95 < share.max() <= 1.0
    assert 0.73 < ratio.min() < 0.78
    assert 1.28 < ratio.max() < 1.36


def test_colours_move_as_far_as_they_claim_and_no_further() -> None:
    grey = np.full((2 * SIZE, 2 * SIZE, 3), 100, np.uint8)  # neither colour, contrast nor hue change it
    levels = np.array([augmented(grey, SIZE, b"grey".ljust(32), n).mean() for n in range(1000)])
    assert 59.0 <= levels.min() < 62.0
    assert 138.0 < levels.max() <= 140.0
    assert 0.17 < (levels == 100).mean() < 0.24
    red = np.zeros((2 * SIZE, 2 * SIZE, 3), np.uint8)
    red[..., 0] = 200
    views = np.stack([augmented(red, SIZE, b"red".ljust(32), n)[0, 0].astype(float) for n in range(1000)])
    coloured = views[np.ptp(views, axis=1) > 0]
    assert (coloured.argmax(axis=1) == 0).all(), "a tenth of the circle from red is still mostly red"
    assert 0.3 < (coloured[:, 1] > coloured[:, 2]).mean() < 0.7, "towards yellow as often as towards purple"
