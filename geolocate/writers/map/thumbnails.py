"""Small pictures of the photos, made as the program decodes all photos: bounded, and isolated where asked.

A thumbnail is the square that the model sees, smaller. It is drawn from pixels alone, so that it holds
nothing of the photo's metadata.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing

from PIL import Image

from geolocate.decoding import DecodeOptions, decode_batches

#: Side of a thumbnail in pixels.
THUMBNAIL_PX = 160
JPEG_QUALITY = 60
#: Bytes of all thumbnails of a page together; photos after that get none. Some 15,000 fit.
MAX_THUMBNAIL_BYTES = 64 * 2**20
_BATCH = 32


def thumbnails(
    photos: Iterator[tuple[int, str]], options: DecodeOptions
) -> Generator[tuple[int, bytes], None, None]:
    """Yields a JPEG for each photo that can be decoded, by its number, in order.

    Args:
        photos: numbers and paths; asked in a thread, a bounded number ahead.

    Raises:
        DecoderError: with isolation, no decoder process can be started.
    """
    numbers: deque[int] = deque()

    def paths() -> Iterator[str]:
        for number, path in photos:
            numbers.append(number)
            yield path

    left = MAX_THUMBNAIL_BYTES
    with closing(decode_batches(paths(), THUMBNAIL_PX, _BATCH, options, exif=False)) as batches:
        for batch in batches:
            for item in batch:
                number = numbers.popleft()
                if item.pixels is None:
                    continue
                picture = io.BytesIO()
                Image.fromarray(item.pixels).save(picture, "JPEG", quality=JPEG_QUALITY, optimize=True)
                left -= picture.tell()
                if left < 0:
                    return
                yield number, picture.getvalue()
