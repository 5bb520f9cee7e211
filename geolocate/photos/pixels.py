"""What a picture shows, as one digest: the same before and after somebody wrote metadata into its file."""

from __future__ import annotations

import hashlib
import os

from PIL import Image, ImageSequence

from geolocate.errors import PhotoDamaged, PhotoError, PhotoTooLarge
from geolocate.photos.decode import (
    DECODER_ERRORS,
    DEFAULT_MAX_PIXELS,
    open_bounded,
    open_image,
    quiet_decoders,
    reason_of,
)
from geolocate.photos.identify import HEADER_BYTES, identify


def pixel_digest(path: str | os.PathLike[str]) -> bytes:
    """SHA-256 over every pixel of every frame, as they are stored: neither turned nor scaled.

    Raises:
        PhotoError: one of its subclasses, for anything that keeps the picture from being decoded; also more
            pixels in all frames together than DEFAULT_MAX_PIXELS.
    """
    digest = hashlib.sha256()
    pixels = 0
    with open_bounded(path) as file, quiet_decoders():
        try:
            with open_image(file, identify(file.read(HEADER_BYTES))) as image:
                for frame in ImageSequence.Iterator(image):
                    pixels += frame.width * frame.height
                    if pixels > DEFAULT_MAX_PIXELS:
                        raise PhotoTooLarge(f"more pixels than the limit of {DEFAULT_MAX_PIXELS:,}")
                    digest.update(f"{frame.mode} {frame.size} {frame.getpalette()}".encode("ascii"))
                    digest.update(frame.tobytes())
        except PhotoError:
            raise
        except (Image.DecompressionBombError, MemoryError):
            raise PhotoTooLarge("not enough memory to decode it") from None
        except DECODER_ERRORS as error:
            raise PhotoDamaged(f"damaged: {reason_of(error)}") from error
    return digest.digest()
