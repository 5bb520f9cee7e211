"""Our bundle beside the geoclip package, on the same photos and CLIP weights: what is equal and what is not.

    python benchmarks/against_geoclip.py --clip-weights DIR --bundle DIR PHOTO_OR_FOLDER...

DIR of the weights is laid out as openai/clip-vit-large-patch14; the bundle was built from it. geoclip's
`forward`, softmax and top-k are the reference, once on the pixels that our decoder gives, once on its own
decoding: at full scale, colour profiles and EXIF orientation left out.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peers import gallery_locations, load_geoclip
from PIL import Image

from geolocate.bundle import load_bundle
from geolocate.decoding import DecodeOptions
from geolocate.errors import PhotoError
from geolocate.geolocator import Geolocator
from geolocate.photos import decode_photo, find_photos
from geolocate.ranking import RANKINGS
from geolocate.sphere import great_circle_km, unit_vectors

TOP_K = 5
#: Logits closer than this may change places.
LOGIT_TOLERANCE = 0.02
PROBABILITY_TOLERANCE = 0.02


def reference(theirs: Any, image: Image.Image, locations: torch.Tensor) -> NDArray[np.float64]:
    """geoclip's logits over its gallery rows (R,); `locations` (R, d) are its own, embedded once."""
    with torch.inference_mode():
        pixels = theirs.image_encoder.preprocess_image(image)
        embedding = torch.nn.functional.normalize(theirs.image_encoder(pixels), dim=1)
        logits: NDArray[np.float64] = (theirs.logit_scale.exp() * embedding @ locations.T)[0].double().numpy()
    return logits


def compare(
    theirs_logits: NDArray[np.float64], rows: NDArray[np.float64], candidates: Any
) -> tuple[bool, float, float]:
    """(top-k equal up to LOGIT_TOLERANCE, worst relative difference of probability, km between the top-1)."""
    shifted = np.exp(theirs_logits - theirs_logits.max())
    probability = shifted / shifted.sum()
    order = np.argsort(-theirs_logits, kind="stable")[:TOP_K]
    equal, worst = True, 0.0
    for rank, candidate in enumerate(candidates):
        here = np.array([candidate.position.latitude, candidate.position.longitude])
        row = int(np.abs(rows - here).sum(axis=1).argmin())
        assert np.abs(rows[row] - here).max() < 1e-5, "a candidate is no row of geoclip's gallery"
        equal &= abs(theirs_logits[row] - theirs_logits[order[rank]]) < LOGIT_TOLERANCE
        worst = max(worst, abs(candidate.probability / probability[row] - 1))
    first = unit_vectors(*rows[order[:1]].T)
    best = candidates[0].position
    km = float(great_circle_km(first, unit_vectors(best.latitude, best.longitude)[0])[0])
    return equal, worst, km


def photos(paths: list[str], size: int) -> Iterator[tuple[str, Image.Image, Image.Image]]:
    """(path, as geoclip opens it, as our decoder hands it over)."""
    for path in find_photos(paths, on_warning=print):
        try:
            pixels = decode_photo(path, size=size).pixels
        except PhotoError as error:
            print(f"left out: {path}: {error}")
            continue
        yield path, Image.open(path).convert("RGB"), Image.fromarray(pixels)


def main() -> None:
    """Prints a row for each setting."""
    parser = argparse.ArgumentParser(description="Compares a bundle with the geoclip package.")
    parser.add_argument("--clip-weights", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("paths", nargs="+")
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle)
    theirs = load_geoclip(arguments.clip_weights)
    locations = gallery_locations(theirs)
    rows = theirs.gps_gallery.double().numpy()
    size = bundle.manifest.image.size
    same_pixels, own_pixels, paths = [], [], []
    for path, original, decoded in photos(arguments.paths, size):
        paths.append(path)
        same_pixels.append(reference(theirs, decoded, locations))
        own_pixels.append(reference(theirs, original, locations))
    print(f"{len(paths)} photos, geoclip's gallery of {len(rows):,} rows, top-{TOP_K}")
    settings = [("fp32", False, ranking) for ranking in RANKINGS] + [("fp32", True, "published")]
    if "int8" in bundle.manifest.precisions:
        settings.append(("int8", False, "published"))
    for precision, exact, ranking in settings:
        ours = Geolocator(
            bundle, device="cpu", precision=precision, decode=DecodeOptions(exact=exact), say=lambda _: None
        )
        found = list(ours.locate(paths, top_k=TOP_K, ranking=ranking))
        for label, logits in (("same pixels", same_pixels), ("own decoding", own_pixels)):
            if exact and label == "same pixels":
                continue
            results = [compare(row, rows, p.candidates) for row, p in zip(logits, found, strict=True)]
            equal = sum(result[0] for result in results)
            kilometres = sorted(result[2] for result in results)
            head = f"{precision}{' exact decode' if exact else ''}, {ranking}, {label}"
            moved = (
                f"top-1 moved {sum(km > 0.01 for km in kilometres)} times, {kilometres[-1]:,.0f} km at most"
            )
            if ranking == "merged":  # its probabilities are sums and its order is theirs
                print(f"{head}: {moved}")
                continue
            print(
                f"{head}: top-{TOP_K} equal {equal}/{len(results)}, "
                f"probability off by {max(result[1] for result in results):.2%} at most, "
                f"{statistics.median(result[1] for result in results):.2%} in the median; {moved}"
            )


if __name__ == "__main__":
    main()
