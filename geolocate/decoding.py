"""Decoding ahead: photos through threads, a bounded number before the encoder, in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import PhotoError
from geolocate.exif import ExifFacts, read_exif
from geolocate.photos import DEFAULT_MAX_PIXELS, decode_photo


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How photos are decoded.

    Attributes:
        workers: threads that decode; None takes one per core.
        max_pixels: larger photos are errors.
        allow_truncated: decode what there is of a truncated file.
        exact: decode JPEG at full scale instead of the next that is large enough.
    """

    workers: int | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS
    allow_truncated: bool = False
    exact: bool = False


@dataclass(frozen=True, slots=True)
class DecodedItem:
    """One photo after its thread: pixels uint8 (S, S, 3) and EXIF facts, or the error."""

    photo: str
    pixels: NDArray[np.uint8] | None = None
    facts: ExifFacts | None = None
    error: str | None = None


def decode_batches(
    photos: Iterator[str], size: int, batch_size: int, options: DecodeOptions, *, exif: bool
) -> Iterator[list[DecodedItem]]:
    """Photos in order, in lists of at most `batch_size` decoded ones and any number of failures.

    Args:
        photos: asked for no further ahead than two batches and a photo for each worker.
        size: side S of the pixels.
        exif: read the EXIF facts as well.
    """
    batch: list[DecodedItem] = []
    decoded = 0
    for item in _decode_ahead(photos, size, batch_size, options, exif):
        batch.append(item)
        decoded += item.pixels is not None
        if decoded == batch_size or len(batch) == 16 * batch_size:
            yield batch
            batch, decoded = [], 0
    if batch:
        yield batch


def _decode_ahead(
    photos: Iterator[str], size: int, batch_size: int, options: DecodeOptions, exif: bool
) -> Iterator[DecodedItem]:
    workers = options.workers or os.cpu_count() or 1
    ahead: deque[Future[DecodedItem]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for photo in photos:
            ahead.append(pool.submit(_decode, photo, size, options, exif))
            if len(ahead) >= 2 * batch_size + workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _decode(photo: str, size: int, options: DecodeOptions, exif: bool) -> DecodedItem:
    try:
        decoded = decode_photo(
            photo,
            size=size,
            max_pixels=options.max_pixels,
            allow_truncated=options.allow_truncated,
            exact=options.exact,
        )
    except PhotoError as error:
        return DecodedItem(photo, error=str(error))
    except MemoryError:
        return DecodedItem(photo, error="not enough memory to decode it")
    return DecodedItem(photo, decoded.pixels, read_exif(decoded.exif) if exif else None)
