"""Numbers of photos in a listing, packed into the text of a manifest: about a byte for each."""

from __future__ import annotations

import base64
import binascii
import zlib
from array import array
from collections.abc import Iterable

#: In place of the number of a photo that is in no listing: it went away after it was located.
GONE = -1
#: Of a packed number: seven bits a byte, and one for the sign.
_MAX_BYTES = 10


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


def unpack(text: str, count: int) -> array[int]:
    """So many numbers out of the text that :func:`pack` made.

    Raises:
        ValueError: it holds another number of them, or is none.
    """
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(
            base64.b64decode(text.encode("ascii"), validate=True), _MAX_BYTES * count + 1
        )
    except (UnicodeEncodeError, binascii.Error, zlib.error) as error:
        raise ValueError("no packed numbers") from error
    ordinals = array("q")
    before, rest, shift = -1, 0, 0
    for byte in data:
        rest |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift > 63:
                raise ValueError("no packed numbers")
            continue
        before += -((rest + 1) >> 1) if rest & 1 else rest >> 1
        if not GONE <= before < 2**62:
            raise ValueError("no packed numbers")
        ordinals.append(before)
        rest = shift = 0
    if shift or len(ordinals) != count or not unpacking.eof or unpacking.unused_data:
        raise ValueError(f"{len(ordinals):,} packed numbers, not {count:,}")
    return ordinals
