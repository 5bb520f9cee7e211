"""Numbers of photos in a listing, packed into the text of a manifest: about a byte for each."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

#: In place of the number of a photo that is in no listing: it went away after it was located.
GONE = -1
#: Above any of them.
LARGEST = 2**62
_MAX_SHIFT = 63
_BLOCK_BYTES = 2**16


def pack(ordinals: Iterable[int]) -> str:
    """Whole numbers as base64 of zlib of their differences, each zigzag and in LEB128.

    https://protobuf.dev/programming-guides/encoding/#signed-ints
    """
    data = bytearray()
    before = -1
    for ordinal in ordinals:
        difference, before = ordinal - before, ordinal
        rest = difference << 1 if difference >= 0 else (-difference << 1) - 1
        while rest > 0x7F:
            data.append(rest & 0x7F | 0x80)
            rest >>= 7
        data.append(rest)
    return base64.b64encode(zlib.compress(data, 6)).decode("ascii")


def unpack(text: str, count: int) -> Iterator[int]:
    """Yields so many numbers out of the text that :func:`pack` made; a block of them is held at once.

    Raises:
        ValueError: it is none, or holds another number of them; at the end, where it holds fewer.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError("no packed numbers") from error
    found, before, rest, shift = 0, -1, 0, 0
    for byte in chain.from_iterable(_unpacked(data)):
        rest |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift > _MAX_SHIFT:
                raise ValueError("no packed numbers")
            continue
        before += -((rest + 1) >> 1) if rest & 1 else rest >> 1
        found += 1
        if found > count or not GONE <= before < LARGEST:
            raise ValueError("no packed numbers")
        yield before
        rest = shift = 0
    if shift or found != count:
        raise ValueError(f"{found:,} packed numbers, not {count:,}")


def _unpacked(data: bytes) -> Iterator[bytes]:
    """What zlib packed, a block at a time. Raises ValueError where it did not."""
    unpacking = zlib.decompressobj()
    try:
        while not unpacking.eof:
            block = unpacking.decompress(data, _BLOCK_BYTES)
            if not block and not unpacking.unconsumed_tail and not unpacking.eof:
                raise ValueError("no packed numbers")
            yield block
            data = unpacking.unconsumed_tail
    except zlib.error as error:
        raise ValueError("no packed numbers") from error
    if unpacking.unused_data:
        raise ValueError("no packed numbers")
