"""Decoding one photo: opened without surprises, its format told by content, at reduced scale where possible.

Everything that can be wrong with a file is a :class:`geolocate.errors.PhotoError` with a short message that
does not repeat the path.
"""

from __future__ import annotations

import io
import logging
import os
import re
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from geolocate.errors import (
    PhotoDamaged,
    PhotoError,
    PhotoExtraMissing,
    PhotoFormatRefused,
    PhotoNotFound,
    PhotoNotReadable,
    PhotoTooLarge,
)
from geolocate.exif_block import MAX_BLOCK_BYTES, distil, orientation
from geolocate.photos import libtiff
from geolocate.photos.bounds import BoundedFile, check_bounds
from geolocate.photos.identify import HEADER_BYTES, identify
from geolocate.photos.resize import OVERSAMPLING, to_square
from geolocate.regular_file import open_at_once

#: Where Pillow refuses a picture as long as nobody changes `Image.MAX_IMAGE_PIXELS`, 2 * 89,478,485.
DEFAULT_MAX_PIXELS = 178_956_970
#: Some decoders read the whole file at once.
MAX_FILE_BYTES = 2 * 2**30

#: The decoders that may run, and no other: Pillow's list would run Ghostscript for some.
_DECODERS = (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

#: What Pillow's decoders are seen to raise on broken files; anything else is a fault of ours and must show.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    AssertionError,
    BufferError,
    struct.error,
    zlib.error,
)

# Pillow logs some of what it then raises, which would be said twice on standard error.
logging.getLogger("PIL").addHandler(logging.NullHandler())


_limit_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class DecodedPhoto:
    """A photo as the image encoder takes it.

    Attributes:
        pixels: uint8 (S, S, 3), RGB, upright.
        exif: the EXIF block as the decoder hands it over, at most 1 MiB; of a TIFF file, what
            :func:`geolocate.exif_block.distil` reads out of it; None without one.
        width, height: of the stored picture, in pixels.
    """

    pixels: NDArray[np.uint8]
    exif: bytes | None
    width: int
    height: int


def decode_photo(
    path: str | os.PathLike[str],
    *,
    size: int,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    allow_truncated: bool = False,
    exact: bool = False,
) -> DecodedPhoto:
    """Decodes a photo to the square that the image encoder takes; safe to call from any number of threads.

    Args:
        size: side S of the square, in pixels.
        max_pixels: larger photos are refused by their header, before anything is decoded. More than
            the default also raises Pillow's limit, `Image.MAX_IMAGE_PIXELS`, which the whole process shares.
        allow_truncated: take what there is of a JPEG, PNG, BMP or TIFF that breaks off; the rest stays black.
        exact: decode JPEG at full scale instead of at a reduced scale of at least 5 S.

    Raises:
        PhotoError: one of its subclasses, for anything that can be wrong with the file.
    """
    if max_pixels > DEFAULT_MAX_PIXELS:
        _raise_pillow_limit(max_pixels)
    with open_bounded(path) as file, quiet_decoders():
        try:
            return _decode(file, size, max_pixels, allow_truncated, exact)
        except PhotoError:
            raise
        except Image.DecompressionBombError:  # by Pillow's limit, which an application may have lowered
            limit = min(max_pixels, 2 * (Image.MAX_IMAGE_PIXELS or max_pixels))
            raise PhotoTooLarge(f"more pixels than the limit of {limit:,}") from None
        except MemoryError:
            raise PhotoTooLarge("not enough memory to decode it") from None
        except DECODER_ERRORS as error:
            raise PhotoDamaged(f"damaged: {reason_of(error)}") from error


def read_exif_block(path: str | os.PathLike[str]) -> bytes | None:
    """The EXIF block of a photo as :class:`DecodedPhoto` has it, without decoding a pixel; None without one.

    Of a PNG only a block before the pixels is found.

    Raises:
        PhotoError: one of its subclasses, for what is wrong with the file up to there.
    """
    with open_bounded(path) as file, quiet_decoders():
        try:
            file_format = identify(file.read(HEADER_BYTES))
            if file_format == "TIFF":
                return _distil_tiff(file)
            with open_image(file, file_format, pixels=False) as image:
                return _exif_block(image)
        except PhotoError:
            raise
        except (Image.DecompressionBombError, MemoryError):
            raise PhotoTooLarge("more pixels than the limit") from None
        except DECODER_ERRORS as error:
            raise PhotoDamaged(f"damaged: {reason_of(error)}") from error


def _decode(
    file: BoundedFile, size: int, max_pixels: int, allow_truncated: bool, exact: bool
) -> DecodedPhoto:
    file_format = identify(file.read(HEADER_BYTES))
    with open_image(file, file_format) as image:
        width, height = image.size
        if width < 1 or height < 1:
            raise PhotoDamaged("damaged: it has no pixels")
        if width * height > max_pixels:
            raise PhotoTooLarge(f"{width} x {height} pixels are more than the limit of {max_pixels:,}")
        full = None
        if not exact and isinstance(image, JpegImagePlugin.JpegImageFile):
            image.draft(None, (OVERSAMPLING * size, OVERSAMPLING * size))
            full = width, height
        complete = _load(image, allow_truncated)
        exif = _distil_tiff(file) if file_format == "TIFF" else _exif_block(image)
        # pillow-heif turns pictures upright, and so does Pillow with a TIFF, but only with a complete one.
        upright = file_format == "HEIF" or (file_format == "TIFF" and complete)
        pixels = to_square(image, size, 1 if upright else orientation(exif), full)
    return DecodedPhoto(pixels, exif, width, height)


def _raise_pillow_limit(max_pixels: int) -> None:
    """Lets Pillow open pictures of so many pixels: it refuses those of twice its limit."""
    with _limit_lock:
        if Image.MAX_IMAGE_PIXELS is not None:
            Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, -(-max_pixels // 2))


def open_bounded(path: str | os.PathLike[str]) -> BoundedFile:
    """Opens a regular file and nothing else; a FIFO or a device is not even opened.

    Raises:
        PhotoNotFound, PhotoNotReadable, PhotoTooLarge: as they say.
    """
    try:
        _check_regular(os.stat(path))
        # Between the two the file can change: then a FIFO is not waited for.
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        descriptor = open_at_once(os.fspath(path), flags)
        try:
            _check_regular(os.fstat(descriptor))
            return BoundedFile(io.FileIO(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
    except (FileNotFoundError, NotADirectoryError):
        raise PhotoNotFound("no such file") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PhotoNotReadable(f"cannot be opened: {reason}") from None
    except ValueError:  # a NUL character, or characters that no file name can have
        raise PhotoNotFound("no such file") from None


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise PhotoNotReadable("a folder, not a photo")
    if not stat.S_ISREG(status.st_mode):
        raise PhotoNotReadable("not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise PhotoTooLarge(f"the file is larger than {MAX_FILE_BYTES / 2**30:g} GiB")


def open_image(file: BoundedFile, file_format: str, pixels: bool = True) -> Image.Image:
    """The picture in a file of a known format, its header held against the bounds, no pixel decoded yet.

    Args:
        pixels: False where only metadata are wanted.

    Raises:
        PhotoError: what is wrong with the header; and DECODER_ERRORS, which are to be caught.
    """
    if file_format == "HEIF":
        _register_heif()
    elif file_format == "TIFF":
        libtiff.silence()
    check_bounds(file, file_format, pixels)
    file.opening = True
    try:
        return Image.open(file, formats=(file_format,))
    except UnidentifiedImageError:  # its text holds the path
        if file_format == "BMP":  # two letters are no proof that it is one
            raise PhotoFormatRefused("not a photo: the content is no image format that is decoded") from None
        raise PhotoDamaged(f"damaged: the header of the {file_format} file makes no sense") from None
    finally:
        file.opening = False


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError:
        raise PhotoExtraMissing("HEIC photos need", "heic") from None
    if "HEIF" not in Image.OPEN:
        pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def _load(image: Image.Image, allow_truncated: bool) -> bool:
    """Decodes the pixels of the first frame; returns whether all of them were there.

    Pillow's own switch for truncated files is one global of the process, and it does no more than not raise.
    The part that was decoded is in the image all the same, so it can be kept for this photo alone.
    """
    try:
        image.load()
    except DECODER_ERRORS:
        if not allow_truncated or getattr(image, "_im", None) is None:
            raise
        cast(Any, image).tile = []  # nothing left to decode
        return False
    return True


def _exif_block(image: Image.Image) -> bytes | None:
    block = image.info.get("exif")
    if block is None and isinstance(profile := image.info.get("Raw profile type exif"), str):
        try:  # how ImageMagick stored EXIF in PNG before there was a chunk for it: name, length, hex digits
            block = bytes.fromhex("".join(profile.split("\n")[3:]))
        except ValueError:
            return None
    if not isinstance(block, bytes) or len(block) > MAX_BLOCK_BYTES:
        return None
    return block or None


def _distil_tiff(file: BinaryIO) -> bytes | None:
    try:
        return distil(file)
    except OSError:  # the disk fails: the pixels are here, the metadata is not worth an error
        return None


def reason_of(error: BaseException) -> str:
    """What a decoder says of a file, on one line."""
    text = str(error.args[-1]) if isinstance(error, OSError) and error.args else str(error)
    line = "".join(character if character.isprintable() else " " for character in text).strip()
    return line[:120] or type(error).__name__


_quiet_lock = threading.Lock()
_quiet_depth = 0
_QUIET_FILTER = ("ignore", None, Warning, re.compile(r"(PIL|pillow_heif)\b"), 0)


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Ignores the warnings of the decoders' modules while any thread is decoding.

    `warnings.catch_warnings` saves and restores the filters of the whole process, which threads undo for each
    other. This adds one filter, which speaks of the decoders' modules alone, and takes that one away again.
    """
    global _quiet_depth
    with _quiet_lock:
        _quiet_depth += 1
        filters = cast(list[Any], warnings.filters)
        if filters[:1] != [_QUIET_FILTER]:
            filters.insert(0, _QUIET_FILTER)
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                filters = cast(list[Any], warnings.filters)
                filters[:] = [entry for entry in filters if entry is not _QUIET_FILTER]
