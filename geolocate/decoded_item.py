"""One photo on its way to the encoder: how it is decoded, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import PhotoError
from geolocate.exif import ExifFacts, read_exif
from geolocate.photos import DEFAULT_MAX_PIXELS, decode_photo
from geolocate.sources.limits import FetchLimits
from geolocate.sources.urls import is_url, public_name

#: A photo of the largest size that is decoded takes a few seconds.
PHOTO_TIME_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How photos are decoded.

    Attributes:
        workers: threads that decode, with `isolate` processes; None takes one per core.
        max_pixels: larger photos are errors.
        allow_truncated: decode what there is of a truncated file.
        exact: decode JPEG at full scale instead of the next that is large enough.
        isolate: decode in processes of their own, so that a decoder that crashes or hangs costs one photo.
        time_limit_s: seconds that one photo may take; held only with `isolate`, for no thread can be stopped.
        fetch: how much and how long photos at URLs and in archives may take to come.
    """

    workers: int | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS
    allow_truncated: bool = False
    exact: bool = False
    isolate: bool = False
    time_limit_s: float = PHOTO_TIME_LIMIT_S
    fetch: FetchLimits = field(default_factory=FetchLimits)


class FileState(NamedTuple):
    """What tells a file from another, and from itself after a change."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class FoundFile(NamedTuple):
    """A file as it was when it was found; the state is None for what is no regular file."""

    path: str
    state: FileState | None


@dataclass(frozen=True, slots=True)
class SeenPhoto:
    """A photo, and whether it came before.

    Attributes:
        file: of the photo.
        original: the file as which it came first, of which this is a link or a copy; None for a new one.
        at_hand: whether what came of that is still at hand, so that this one need not be decoded.
    """

    file: FoundFile
    original: FoundFile | None = None
    at_hand: bool = False


@dataclass(frozen=True, slots=True)
class DecodedItem:
    """One photo: pixels uint8 (S, S, 3) and EXIF facts, or the error; neither where it is at hand.

    Attributes:
        seen: whether it came before, where that was asked.
    """

    photo: str
    pixels: NDArray[np.uint8] | None = None
    facts: ExifFacts | None = None
    error: str | None = None
    seen: SeenPhoto | None = None


def decode_item(photo: str, size: int, options: DecodeOptions, exif: bool) -> DecodedItem:
    """Decodes one photo here and now, fetched where it is at a URL; what is wrong with it is in the item."""
    if is_url(photo):
        return fetch_item(photo, options, lambda path: decode_item(path, size, options, exif))
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
    return DecodedItem(photo, decoded.pixels, read_exif(decoded.exif) if exif else None)


def fetch_item(photo: str, options: DecodeOptions, decode: Callable[[str], DecodedItem]) -> DecodedItem:
    """Fetches a photo at a URL and has it decoded; the item names it without its secrets.

    Args:
        decode: what decodes a file of this machine.
    """
    from geolocate.sources.fetch import fetched  # servers and archives are not for every run

    name = public_name(photo)
    try:
        with fetched(photo, options.fetch) as path:
            return replace(decode(path), photo=name)
    except PhotoError as error:
        return DecodedItem(name, error=str(error))
