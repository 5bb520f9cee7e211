"""Reduced-scale decoding: what it changes of embeddings and of places, against decoding at full scale.

    python benchmarks/reduced_scale.py PHOTO_OR_FOLDER... [--backbone mobilenet_v2.onnx] [--photos N]

Small photos are never reduced, so each is enlarged to a camera's size first, with noise of natural statistics
as the detail that enlarging cannot bring. The sizes are those of common cameras and one that is just large
enough for the next scale, which leaves the fewest pixels. Two measures:

- the cosine of a backbone's embeddings (NCHW input, (value - 127) / 127.5 as MobileNetV2 takes it) with the
  mean embedding taken off, for all photos look alike to a bare cosine;
- the starter's candidates over its gallery: how far logits move, and how often the first place becomes
  another. A flip counts where the two best logits were farther apart than logits moved.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from natural_photos import JPEG_QUALITY, natural_photo
from numpy.typing import NDArray
from PIL import Image

from geolocate.errors import PhotoError
from geolocate.geolocator import Geolocator
from geolocate.photos import decode_photo, find_photos

Floats = NDArray[np.float32]

#: 4000 x 3000, 6000 x 4500, and 2992 x 2244, of which a half is just 5 times SIDE.
MEGAPIXELS = (12.0, 27.0, 6.71)
#: Share of the noise in an enlarged photo; the rest is the photo, whose own detail ends at its pixels.
NOISE = 0.15
#: Input side of the backbone.
SIDE = 224
#: Least cosine that a reduced scale may leave, with the mean taken off.
LEAST_COSINE = 0.999


def enlarged(paths: Sequence[str], folder: Path, megapixels: float) -> Iterator[Path]:
    """Each photo at a camera's size, written as JPEG."""
    noise = np.asarray(natural_photo(megapixels), dtype=np.float32) - 128.0  # (H, W, 3)
    height, width = noise.shape[:2]
    for number, path in enumerate(paths):
        with Image.open(path) as photo:
            large = photo.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        moved = np.roll(noise, (97 * number, 61 * number), axis=(0, 1))
        pixels = np.clip(np.asarray(large, dtype=np.float32) + NOISE * moved, 0, 255).astype(np.uint8)
        target = folder / f"{number:04}.jpg"
        Image.fromarray(pixels).save(target, quality=JPEG_QUALITY)
        yield target


def backbone_embeddings(session: onnxruntime.InferenceSession, photos: Sequence[Path], exact: bool) -> Floats:
    """(N, c)."""
    rows = []
    for photo in photos:
        pixels = decode_photo(photo, size=SIDE, exact=exact).pixels.astype(np.float32)
        image = (pixels.transpose(2, 0, 1)[None] - 127.0) / 127.5
        rows.append(session.run(["embedding"], {session.get_inputs()[0].name: image})[0][0])
    return np.stack(rows)


def centred_cosines(first: Floats, second: Floats) -> Floats:
    """Cosines (N,) of rows with the mean of `first` taken off both."""
    mean = first.mean(axis=0)
    a, b = first - mean, second - mean
    cosines: Floats = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return cosines


def logits(photos: Sequence[Path], exact: bool) -> NDArray[np.float64]:
    """The starter's over its gallery (N, M), up to a constant a photo."""
    from geolocate.decoding import DecodeOptions

    starter = Geolocator.load(
        "starter", device="cpu", precision="fp32", decode=DecodeOptions(exact=exact), say=lambda text: None
    )
    images = list(starter.encode_images(photos))
    embeddings = np.stack([image.embedding for image in images if image.embedding is not None])
    factor = starter.bundle.manifest.logit_factor
    cosines = embeddings.astype(np.float64) @ starter.gallery.embeddings.astype(np.float64).T
    return factor * cosines + starter.gallery.log_weights


def report_backbone(path: Path, photos: Sequence[Path]) -> None:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    exact, reduced = (backbone_embeddings(session, photos, way) for way in (True, False))
    cosines = centred_cosines(exact, reduced)
    below = int((cosines < LEAST_COSINE).sum())
    print(
        f"  {path.stem}: cosine with the mean taken off {cosines.min():.5f} at least, "
        f"{np.median(cosines):.5f} in the median; {below} of {len(cosines)} below {LEAST_COSINE}"
    )


def report_starter(photos: Sequence[Path]) -> None:
    exact, reduced = logits(photos, True), logits(photos, False)
    rows = np.arange(len(exact))
    first, then = exact.argmax(axis=1), reduced.argmax(axis=1)
    gap = np.sort(exact, axis=1)[:, -1] - np.sort(exact, axis=1)[:, -2]
    moved = np.abs((exact - reduced) - (exact - reduced).mean(axis=1, keepdims=True)).max(axis=1)
    flips = first != then
    counted = int((flips & (gap > 2 * moved)).sum())
    print(
        f"  starter: logits move by {moved.max():.4f} at most, {np.median(moved):.4f} in the median; "
        f"the first place changes for {int(flips.sum())} of {len(rows)} photos, "
        f"{counted} times by more than that explains"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", metavar="PHOTO_OR_FOLDER")
    parser.add_argument("--backbone", type=Path, help="an ONNX image encoder with an output `embedding`")
    parser.add_argument("--photos", type=int, default=60, help="at most so many")
    arguments = parser.parse_args()
    found = list(find_photos(arguments.paths, on_warning=print))
    chosen = []
    for path in found[:: max(1, len(found) // arguments.photos)]:
        try:
            decode_photo(path, size=SIDE)
        except PhotoError as error:
            print(f"left out: {path}: {error}")
        else:
            chosen.append(path)
    chosen = chosen[: arguments.photos]
    for megapixels in MEGAPIXELS:
        with tempfile.TemporaryDirectory() as folder:
            photos = list(enlarged(chosen, Path(folder), megapixels))
            with Image.open(photos[0]) as photo:
                print(f"{len(photos)} photos enlarged to {photo.width} x {photo.height}")
            if arguments.backbone is not None:
                report_backbone(arguments.backbone, photos)
            report_starter(photos)


if __name__ == "__main__":
    main()
