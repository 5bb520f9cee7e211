"""What goes between the program and a decoder process: frames of fixed form, read with suspicion.

A decoder that a hostile photo has taken over can write whatever it likes. So nothing that comes from one is
a pickle, no length that it states is believed, and every number is held against its range. It can still lie
about the photos that it is given; it cannot make the program run or hold anything.

A request is the length of a path and its bytes. An answer is one byte and a body: of a photo, facts of fixed
size and the pixels; of a failure, a length and a text.
"""

from __future__ import annotations

import math
import struct
from datetime import datetime
from typing import BinaryIO

import numpy as np

from geolocate.decoded_item import DecodedItem
from geolocate.exif import MAX_UTC_OFFSET_MINUTES, NOTE_ESTIMATE, NOTE_ZERO, ExifFacts
from geolocate.records import Position

#: What a decoder process says when it is ready.
GREETING = b"geolocate decoder 1\n"
#: Bytes of an error message that are taken.
MAX_ERROR_BYTES = 1000

_LENGTH = struct.Struct("<I")
_PHOTO, _ERROR = b"P", b"E"
#: Which of them there are; latitude, longitude; year to second; offset from UTC in minutes.
_FACTS = struct.Struct("<B2d6Hh")
_HAS_FACTS, _HAS_POSITION, _HAS_TIME, _HAS_OFFSET = 1, 2, 4, 8
_NOTES = {16: NOTE_ZERO, 32: NOTE_ESTIMATE}


class BadFrame(Exception):
    """The other end did not write what it should, or has gone."""


def write_request(stream: BinaryIO, path: bytes) -> None:
    """Asks for a photo by its path."""
    _write(stream, _LENGTH.pack(len(path)) + path)


def read_request(stream: BinaryIO) -> bytes | None:
    """The path that is asked for; None where nobody asks any more."""
    try:
        return bytes(_read(stream, _LENGTH.unpack(_read(stream, _LENGTH.size))[0]))
    except BadFrame:
        return None


def write_answer(stream: BinaryIO, item: DecodedItem) -> None:
    """Answers with what came of a photo; its path is not repeated."""
    if item.pixels is None:
        text = (item.error or "").encode("utf-8", "replace")[:MAX_ERROR_BYTES]
        _write(stream, _ERROR + _LENGTH.pack(len(text)) + text)
    else:
        _write(stream, _PHOTO + facts_to_bytes(item.facts))
        _write(stream, item.pixels.tobytes())


def read_answer(stream: BinaryIO, photo: str, size: int) -> DecodedItem:
    """The answer about a photo of `size` x `size` pixels.

    Raises:
        BadFrame: it is none, or breaks off.
    """
    kind = bytes(_read(stream, 1))
    if kind == _ERROR:
        length = _LENGTH.unpack(_read(stream, _LENGTH.size))[0]
        if not 0 < length <= MAX_ERROR_BYTES:
            raise BadFrame("an error of no length that is sent")
        text = bytes(_read(stream, length)).decode("utf-8", "replace")
        return DecodedItem(photo, error="".join(c if c.isprintable() else " " for c in text))
    if kind != _PHOTO:
        raise BadFrame("neither a photo nor an error")
    facts = facts_from_bytes(_read(stream, _FACTS.size))
    pixels = np.empty((size, size, 3), dtype=np.uint8)
    _fill(stream, pixels.data.cast("B"))
    return DecodedItem(photo, pixels, facts)


def read_greeting(stream: BinaryIO) -> None:
    """Waits until a decoder process is ready.

    Raises:
        BadFrame: it says something else, or ends.
    """
    if _read(stream, len(GREETING)) != GREETING:
        raise BadFrame("not the greeting of a decoder")


def write_greeting(stream: BinaryIO) -> None:
    """Says that this decoder process is ready."""
    _write(stream, GREETING)


def facts_to_bytes(facts: ExifFacts | None) -> bytes:
    """EXIF facts in a fixed number of bytes; times to the second."""
    if facts is None:
        return bytes(_FACTS.size)
    flags, position, taken = _HAS_FACTS, (0.0, 0.0), (0,) * 6
    if facts.position is not None:
        flags |= _HAS_POSITION
        position = facts.position.latitude, facts.position.longitude
    if facts.taken is not None:
        flags |= _HAS_TIME
        taken = facts.taken.timetuple()[:6]
    if facts.utc_offset_minutes is not None:
        flags |= _HAS_OFFSET
    for flag, note in _NOTES.items():
        flags |= flag if note in facts.notes else 0
    return _FACTS.pack(flags, *position, *taken, facts.utc_offset_minutes or 0)


def facts_from_bytes(data: bytes | bytearray) -> ExifFacts | None:
    """The inverse of :func:`facts_to_bytes`.

    Raises:
        BadFrame: they hold what EXIF cannot say.
    """
    flags, latitude, longitude, *taken, offset = _FACTS.unpack(data)
    if not flags & _HAS_FACTS:
        return None
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        raise BadFrame("a position of no numbers")
    if abs(latitude) > 90 or abs(longitude) > 180 or abs(offset) > MAX_UTC_OFFSET_MINUTES:
        raise BadFrame("a position or a time zone that the Earth does not have")
    try:
        time = datetime(*taken) if flags & _HAS_TIME else None
    except ValueError as error:
        raise BadFrame("no time") from error
    return ExifFacts(
        Position(latitude, longitude) if flags & _HAS_POSITION else None,
        time,
        offset if flags & _HAS_OFFSET else None,
        tuple(note for flag, note in _NOTES.items() if flags & flag),
    )


def _write(stream: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]


def _read(stream: BinaryIO, size: int) -> bytearray:
    data = bytearray(size)
    _fill(stream, memoryview(data))
    return data


def _fill(stream: BinaryIO, rest: memoryview) -> None:
    """Reads exactly so many bytes; a stream without a buffer gives what a pipe has."""
    while rest:
        count = stream.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            raise BadFrame("it ended")
        rest = rest[count:]
