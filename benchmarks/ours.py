"""geolocate's own ways, one by one: the image encoder alone, decoding alone, and everything end to end."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from turns import Way

from geolocate import Geolocator
from geolocate.bundle import load_bundle
from geolocate.decoding import DecodeOptions
from geolocate.device import BATCH_SIZE
from geolocate.exif import read_exif
from geolocate.gallery import Gallery
from geolocate.geocoding import open_namer
from geolocate.machine import usable_cpus
from geolocate.photos import decode_photo
from geolocate.session import ImageEncoder
from geolocate.writers.csv import CsvWriter
from geolocate.writers.target import open_target


def silent(text: str) -> None:
    """Takes the place of messages."""


def precisions(model: str) -> list[str]:
    """Those of a bundle that run on the CPU."""
    return [name for name in ("fp32", "int8") if name in load_bundle(model).manifest.precisions]


def open_locator(
    model: str, precision: str, device: str = "cpu", gallery: Gallery | None = None, exact: bool = False
) -> Geolocator:
    """As the program opens it: offline names, defaults everywhere else."""
    return Geolocator(
        load_bundle(model),
        device=device,  # type: ignore[arg-type]
        precision=precision,
        gallery=gallery,
        decode=DecodeOptions(exact=exact),
        namer=open_namer("offline", warn=silent),
        say=silent,
    )


def end_to_end(locator: Geolocator, photos: Sequence[Path], folder: Path, top_k: int = 1) -> Way:
    """Photos to a finished CSV in `folder`: EXIF, places and concepts as the program does by default."""
    runs = itertools.count()

    def run() -> float:
        writer = CsvWriter(open_target(folder / f"rows{next(runs)}.csv"))
        count = 0
        for prediction in locator.locate(photos, top_k=top_k):
            if prediction.error is not None:
                raise RuntimeError(f"{prediction.photo}: {prediction.error}")
            writer.write(prediction)
            count += 1
        writer.close()
        return count

    return run


def encoder_alone(
    model: str, precision: str, photos: Sequence[Path], device: str = "cpu", batch: int = 0
) -> Way:
    """The image encoder over photos that are decoded already.

    Args:
        batch: photos in one call; 0 takes as many as the program does.
    """
    bundle = load_bundle(model)
    pixels = [decode_photo(photo, size=bundle.manifest.image.size).pixels for photo in photos]
    encoder = ImageEncoder(bundle, device, precision)  # type: ignore[arg-type]
    step = batch or BATCH_SIZE[device]  # type: ignore[index]

    def encode() -> float:
        for start in range(0, len(pixels), step):
            encoder(pixels[start : start + step])
        return len(pixels)

    return encode


def decoding_alone(model: str, photos: Sequence[Path]) -> Way:
    """Decoding and EXIF, a thread for each processor that the program may use, and nothing else."""
    size = load_bundle(model).manifest.image.size

    def decode(photo: Path) -> None:
        read_exif(decode_photo(photo, size=size).exif)

    def decode_all() -> float:
        with ThreadPoolExecutor(usable_cpus()) as pool:
            return len(list(pool.map(decode, photos)))

    return decode_all
