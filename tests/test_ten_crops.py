"""Ten-crop evaluation: the right ten views, and the mean of their logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geolocate import Geolocator
from geolocate.decoding import DecodeOptions, decode_batches
from geolocate.encoding import TEN_CROP_SCALE, ten_crops


def test_the_views_are_corners_centre_and_their_mirror_images() -> None:
    square = np.arange(6 * 6 * 3, dtype=np.uint8).reshape(6, 6, 3)
    crops = ten_crops(square, 4)
    starts = [crop[0, 0].tolist() for crop in crops[:5]]
    assert starts == [square[y, x].tolist() for y, x in ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1))]
    for crop, mirrored in zip(crops[:5], crops[5:], strict=True):
        assert crop.shape == (4, 4, 3)
        assert (mirrored == crop[:, ::-1]).all()


def test_the_logits_of_ten_crops_are_the_means_of_each_ones(drawn_photos: Path) -> None:
    starter = Geolocator.load("starter", device="cpu", precision="fp32", geocoder="none", say=lambda _: None)
    paths = sorted(map(str, drawn_photos.iterdir()))[:2]
    size = starter.bundle.manifest.image.size
    larger = round(size * TEN_CROP_SCALE)
    (batch,) = decode_batches(iter(paths), larger, 8, DecodeOptions(), exif=False)
    for item, image in zip(batch, starter.encode_images(paths, ten_crops=True), strict=True):
        assert item.pixels is not None
        assert image.embedding is not None
        crops = starter._encoders.image_encoder(np.stack(ten_crops(item.pixels, size))).embeddings
        logits = (crops @ starter.gallery.embeddings.T).mean(axis=0)  # (M,)
        assert image.embedding @ starter.gallery.embeddings.T == pytest.approx(logits, abs=1e-4)
