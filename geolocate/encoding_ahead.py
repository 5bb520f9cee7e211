"""Encoding ahead: batches of photos through the image encoder, in threads of its own and in order.

While the caller ranks, names and writes the photos of one batch, the next is encoded. Photos that came before
take the image that is at hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from geolocate.decoded_item import DecodedItem, FoundFile, SeenPhoto
from geolocate.duplicates import NOTE_DUPLICATE, REMEMBERED_IMAGES, Recent, file_state
from geolocate.encoded_image import EncodedImage
from geolocate.session import Embedded

Decode: TypeAlias = Callable[[Iterator[str | SeenPhoto]], Generator[list[DecodedItem], None, None]]
Encode: TypeAlias = Callable[[Sequence[NDArray[np.uint8]]], Embedded]
_Encoded: TypeAlias = tuple[EncodedImage, SeenPhoto | None]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The image of a photo, kept for others of the same content, and the file that it was made from."""

    image: EncodedImage
    file: FoundFile

    def is_of_its_file(self) -> bool:
        """Whether the file is still as it was when it was found: so it was when it was decoded."""
        return self.file.state is not None and file_state(self.file.path) == self.file.state


def encode_batches(
    photos: Iterator[str | SeenPhoto], decode: Decode, encode: Encode, in_flight: int
) -> Generator[list[EncodedImage], None, None]:
    """Photos in order, by batch; one that fails has an error and stops no other.

    Args:
        photos: as :func:`geolocate.duplicates.told_apart` gives them.
        decode: photos to batches of decoded ones; an empty batch says that none is ready yet.
        encode: squares (S, S, 3) to what the graph gives for them; called in threads.
        in_flight: batches that are encoded at the same time.
    """
    pending: deque[Future[list[_Encoded]]] = deque()
    fault: Exception | None = None
    recent: Recent[_Kept] = Recent(REMEMBERED_IMAGES)

    def finished() -> list[EncodedImage]:
        return [_resolved(*each, recent, decode, encode) for each in pending.popleft().result()]

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


def _encoded(batch: list[DecodedItem], encode: Encode) -> list[_Encoded]:
    """Every photo of a batch, those that were not decoded included."""
    pixels = [item.pixels for item in batch if item.pixels is not None]
    rows = rows_of(encode(pixels)) if pixels else iter(())
    images = (
        EncodedImage(item.photo, facts=item.facts, error=item.error)
        if item.pixels is None
        else EncodedImage(item.photo, *next(rows), facts=item.facts)
        for item in batch
    )
    return [(image, item.seen) for image, item in zip(images, batch, strict=True)]


def _resolved(
    image: EncodedImage, seen: SeenPhoto | None, recent: Recent[_Kept], decode: Decode, encode: Encode
) -> EncodedImage:
    """The image of a photo, which for one that is at hand is that of the first; to be called in order."""
    if seen is None:
        return image
    content = seen.original or seen.file
    if seen.at_hand:
        kept = recent[content]
        if not kept.is_of_its_file():  # it changed or went away, perhaps before it was decoded
            kept = _Kept(_once_more(seen.file.path, decode, encode), seen.file)
    else:
        kept = _Kept(image, seen.file)
    recent.put(content, kept)
    if seen.original is None:
        return image
    return replace(kept.image, photo=seen.file.path, notes=(*kept.image.notes, NOTE_DUPLICATE))


def _once_more(photo: str, decode: Decode, encode: Encode) -> EncodedImage:
    with closing(decode(iter([photo]))) as batches:
        ((image, _),) = (each for batch in batches for each in _encoded(batch, encode))
    return image


def rows_of(embedded: Embedded) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
    """Embedding and concept scores of each photo."""
    for row, embedding in enumerate(embedded.embeddings):
        yield embedding, None if embedded.concept_scores is None else embedded.concept_scores[row]
