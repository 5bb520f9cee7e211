"""Encoding ahead: batches of photos through the image encoder, in threads of its own and in order.

While the caller ranks, names and writes the photos of one batch, the next is encoded. Photos that came before
take the image that is at hand.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from geolocate.decoded_item import Copy, DecodedItem
from geolocate.duplicates import NOTE_DUPLICATE, REMEMBERED_IMAGES, Recent
from geolocate.encoded_image import EncodedImage
from geolocate.session import Embedded

Decode: TypeAlias = Callable[[Iterator[str | Copy]], Generator[list[DecodedItem], None, None]]
Encode: TypeAlias = Callable[[Sequence[NDArray[np.uint8]]], Embedded]


def encode_batches(
    photos: Iterator[str | Copy], decode: Decode, encode: Encode, in_flight: int
) -> Generator[list[EncodedImage], None, None]:
    """Photos in order, by batch; one that fails has an error and stops no other.

    Args:
        photos: as :func:`geolocate.duplicates.told_apart` gives them.
        decode: photos to batches of decoded ones; an empty batch says that none is ready yet.
        encode: squares (S, S, 3) to what the graph gives for them; called in threads.
        in_flight: batches that are encoded at the same time.
    """
    pending: deque[Future[list[EncodedImage]]] = deque()
    fault: Exception | None = None
    recent: Recent[EncodedImage] = Recent(REMEMBERED_IMAGES)

    def finished() -> list[EncodedImage]:
        return [_resolved(image, recent, decode, encode) for image in pending.popleft().result()]

    pool = ThreadPoolExecutor(in_flight, thread_name_prefix="encode")
    batches = decode(photos)
    try:
        while True:
            while pending and pending[0].done():
                yield finished()
            try:
                batch = next(batches, None)
            except Exception as error:  # of the source of paths: first what came before it
                batch, fault = None, error
            if batch:
                pending.append(pool.submit(_encoded, batch, encode))
            # Where nothing comes, the source pauses or has ended: what is at hand does not wait for it.
            while len(pending) > (in_flight if batch else 0):
                yield finished()
            if fault is not None:
                raise fault
            if batch is None:
                return
    finally:
        batches.close()
        pool.shutdown(wait=False, cancel_futures=True)


def _encoded(batch: list[DecodedItem], encode: Encode) -> list[EncodedImage]:
    """Every photo of a batch, those that were not decoded included."""
    pixels = [item.pixels for item in batch if item.pixels is not None]
    rows = rows_of(encode(pixels)) if pixels else iter(())
    return [
        EncodedImage(item.photo, facts=item.facts, error=item.error, same_as=item.same_as)
        if item.pixels is None
        else EncodedImage(item.photo, *next(rows), facts=item.facts, same_as=item.same_as)
        for item in batch
    ]


def _resolved(
    image: EncodedImage, recent: Recent[EncodedImage], decode: Decode, encode: Encode
) -> EncodedImage:
    """The image of a photo, which for one that came before is that of the first; to be called in order."""
    original = image.same_as or image.photo
    if image.same_as is not None:
        if image.embedding is None and image.error is None:
            found = recent[original]
            if found.error is not None and not os.path.exists(original):
                found = _once_more(image.photo, decode, encode)  # it went away: that says nothing of its copy
            image = replace(found, photo=image.photo, same_as=original)
        if NOTE_DUPLICATE not in image.notes:
            image = replace(image, notes=(*image.notes, NOTE_DUPLICATE))
    recent.put(original, image)
    return image


def _once_more(photo: str, decode: Decode, encode: Encode) -> EncodedImage:
    with closing(decode(iter([photo]))) as batches:
        (image,) = (image for batch in batches for image in _encoded(batch, encode))
    return image


def rows_of(embedded: Embedded) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
    """Embedding and concept scores of each photo."""
    for row, embedding in enumerate(embedded.embeddings):
        yield embedding, None if embedded.concept_scores is None else embedded.concept_scores[row]
