"""The structure of EXIF blocks: a bounded walk that keeps the few entries that anybody here reads.

An EXIF block is a small TIFF file, and its offsets and counts are whatever its writer liked. Three
directories are looked at (the first one, EXIF, GPS), each once, each up to a limit of entries, and no value
longer than a limit: so neither cycles nor counts of 10^9 cost anything. :func:`distil` writes what is left as
a new, small, well-formed block.

Source: EXIF 3.0 (CIPA DC-008), sections 4.5 and 4.6; TIFF 6.0, section 2.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

#: A larger block is not read: cameras write up to 64 KiB, and MakerNotes stay far below.
MAX_BLOCK_BYTES = 2**20
#: Cameras write fewer than 100 entries into a directory.
MAX_ENTRIES = 2_000
#: Coordinates take 24 bytes, times 20.
MAX_VALUE_BYTES = 256

_ORIENTATION = 0x0112
_EXIF_POINTER = 0x8769
_GPS_POINTER = 0x8825

_IMAGE_TAGS = frozenset((_ORIENTATION, 0x0132))  # DateTime
_EXIF_TAGS = frozenset((0x9003, 0x9004, 0x9010, 0x9011, 0x9012))  # two times, three offsets
_GPS_TAGS = frozenset(
    (1, 2, 3, 4, 27)
)  # latitude and longitude, each with its hemisphere; how they came about

#: Size in bytes of one value, by field type.
_VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I"}


@dataclass(frozen=True, slots=True)
class _Entry:
    tag: int
    type: int
    count: int
    value: bytes


class _Reader:
    """Directories of a TIFF structure; reads past its end are short, never an error."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        header = self._read(0, 8)
        self.order = {b"II*\0": "<", b"MM\0*": ">"}.get(header[:4], "")
        self.first: int = struct.unpack(self.order + "I", header[4:])[0] if self.order and header[7:] else 0

    def _read(self, offset: int, size: int) -> bytes:
        self._stream.seek(offset)
        return self._stream.read(size)

    def entries(self, offset: int) -> Iterator[_Entry]:
        """The entries of one directory that are short enough and wholly there."""
        if not offset:
            return
        head = self._read(offset, 2)
        count = struct.unpack(self.order + "H", head)[0] if len(head) == 2 else 0
        table = self._read(offset + 2, 12 * min(count, MAX_ENTRIES))
        for start in range(0, len(table) - 11, 12):
            tag, kind, values = struct.unpack_from(self.order + "HHI", table, start)
            size = values * _VALUE_BYTES.get(kind, MAX_VALUE_BYTES + 1)
            if not 0 < size <= MAX_VALUE_BYTES:
                continue
            value = table[start + 8 : start + 8 + size]
            if size > 4:
                value = self._read(struct.unpack_from(self.order + "I", table, start + 8)[0], size)
            if len(value) == size:
                yield _Entry(tag, kind, values, value)

    def integer(self, entry: _Entry) -> int:
        """The first value of an entry, 0 where it is no integer."""
        code = _INTEGERS.get(entry.type)
        return int(struct.unpack_from(self.order + code, entry.value)[0]) if code else 0


def orientation(block: bytes | None) -> int:
    """The orientation 1 to 8 that a block states; 1 (upright) where it states none that exists."""
    if not block or len(block) > MAX_BLOCK_BYTES:
        return 1
    reader = _Reader(io.BytesIO(_without_marker(block)))
    for entry in reader.entries(reader.first):
        if entry.tag == _ORIENTATION:
            value = reader.integer(entry)
            return value if 1 <= value <= 8 else 1
    return 1


def distil(source: bytes | BinaryIO) -> bytes | None:
    """What matters of an EXIF block, as a new block of at most a few kilobytes.

    Args:
        source: the block, with or without its "Exif" marker; or a TIFF file, which has the same structure.

    Returns:
        A well-formed TIFF structure with orientation, times and position, or None where there is none.
    """
    reader = _Reader(io.BytesIO(_without_marker(source)) if isinstance(source, bytes) else source)
    image, pointers = _select(reader, reader.first, _IMAGE_TAGS)
    exif, _ = _select(reader, pointers.get(_EXIF_POINTER, 0), _EXIF_TAGS)
    gps, _ = _select(reader, pointers.get(_GPS_POINTER, 0), _GPS_TAGS)
    if not (image or exif or gps):
        return None
    return _write(reader.order, image, exif, gps)


def _without_marker(block: bytes) -> bytes:
    return block.removeprefix(b"Exif\0\0")


def _select(reader: _Reader, offset: int, tags: frozenset[int]) -> tuple[list[_Entry], dict[int, int]]:
    """The wanted entries of a directory, each tag once, and where its EXIF and GPS directories are."""
    wanted: dict[int, _Entry] = {}
    pointers: dict[int, int] = {}
    for entry in reader.entries(offset):
        if entry.tag in (_EXIF_POINTER, _GPS_POINTER):
            pointers.setdefault(entry.tag, reader.integer(entry))
        elif entry.tag in tags:
            wanted.setdefault(entry.tag, entry)
    return [wanted[tag] for tag in sorted(wanted)], pointers


def _write(order: str, image: list[_Entry], exif: list[_Entry], gps: list[_Entry]) -> bytes:
    image_at = 8
    exif_at = image_at + _directory_bytes(len(image) + 2)
    gps_at = exif_at + _directory_bytes(len(exif))
    values_at = gps_at + _directory_bytes(len(gps))
    pointers = [
        _Entry(_EXIF_POINTER, 4, 1, struct.pack(order + "I", exif_at)),
        _Entry(_GPS_POINTER, 4, 1, struct.pack(order + "I", gps_at)),
    ]
    head = bytearray((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", image_at))
    values = bytearray()
    for directory in ([*image, *pointers], exif, gps):
        head += struct.pack(order + "H", len(directory))
        for entry in directory:
            head += struct.pack(order + "HHI", entry.tag, entry.type, entry.count)
            if len(entry.value) <= 4:
                head += entry.value.ljust(4, b"\0")
            else:
                head += struct.pack(order + "I", values_at + len(values))
                values += entry.value + b"\0" * (len(entry.value) % 2)
        head += bytes(4)
    return bytes(head + values)


def _directory_bytes(entries: int) -> int:
    return 2 + 12 * entries + 4
