"""Builders of EXIF blocks, good and bad, byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL, DOUBLE = 2, 3, 4, 5, 7, 10, 12


@dataclass(frozen=True)
class Value:
    """An entry's value; `count` may lie about `data`."""

    type: int
    count: int
    data: bytes


def ascii_text(text: bytes) -> Value:
    return Value(ASCII, len(text) + 1, text + b"\0")


def short(number: int, order: str = "<") -> Value:
    return Value(SHORT, 1, struct.pack(order + "H", number))


def rationals(*pairs: tuple[int, int], order: str = "<") -> Value:
    return Value(RATIONAL, len(pairs), b"".join(struct.pack(order + "II", *pair) for pair in pairs))


def doubles(*numbers: float, order: str = "<") -> Value:
    return Value(DOUBLE, len(numbers), struct.pack(f"{order}{len(numbers)}d", *numbers))


@dataclass
class Block:
    """Three directories; `build` lays them out one after the other."""

    order: str = "<"
    image: Mapping[int, Value] = field(default_factory=dict)
    exif: Mapping[int, Value] = field(default_factory=dict)
    gps: Mapping[int, Value] = field(default_factory=dict)

    def build(self) -> bytes:
        def size(entries: int) -> int:
            return 2 + 12 * entries + 4

        exif_at = 8 + size(len(self.image) + 2)
        gps_at = exif_at + size(len(self.exif))
        data_at = gps_at + size(len(self.gps))
        pointers = {
            0x8769: Value(LONG, 1, struct.pack(self.order + "I", exif_at)),
            0x8825: Value(LONG, 1, struct.pack(self.order + "I", gps_at)),
        }
        head, data = bytearray(header(self.order)), bytearray()
        for directory in ({**self.image, **pointers}, self.exif, self.gps):
            head += struct.pack(self.order + "H", len(directory))
            for tag, value in sorted(directory.items()):
                head += struct.pack(self.order + "HHI", tag, value.type, value.count)
                if len(value.data) <= 4:
                    head += value.data.ljust(4, b"\0")
                else:
                    head += struct.pack(self.order + "I", data_at + len(data))
                    data += value.data
            head += bytes(4)
        return b"Exif\0\0" + bytes(head + data)


def header(order: str = "<") -> bytes:
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)


def position_block(
    latitude: Value,
    longitude: Value,
    north: bytes | None = b"N",
    east: bytes | None = b"E",
    order: str = "<",
) -> bytes:
    gps = {2: latitude, 4: longitude}
    if north is not None:
        gps[1] = ascii_text(north)
    if east is not None:
        gps[3] = ascii_text(east)
    return Block(order, gps=gps).build()


def degrees(*parts: float, order: str = "<") -> Value:
    """Each part as a rational with four decimals."""
    return rationals(*((round(part * 10_000), 10_000) for part in parts), order=order)


def cyclic() -> bytes:
    """Every directory pointer leads back to the first directory, which is its own successor."""
    entries = [(0x8769, 8), (0x8825, 8), (0x014A, 8), (0xA005, 8)]
    block = header() + struct.pack("<H", len(entries))
    for tag, offset in entries:
        block += struct.pack("<HHII", tag, LONG, 1, offset)
    return b"Exif\0\0" + block + struct.pack("<I", 8)


def huge_counts() -> bytes:
    """A MakerNote, a latitude and a time that claim 10^9 values each."""
    lie = 1_000_000_000
    return Block(
        image={0x010F: ascii_text(b"Canon")},
        exif={0x927C: Value(UNDEFINED, lie, b"\0" * 64), 0x9003: Value(ASCII, lie, b"2020:01:01 00:00:00")},
        gps={1: ascii_text(b"N"), 2: Value(RATIONAL, lie, b"\1" * 24), 3: ascii_text(b"E"), 4: degrees(5.0)},
    ).build()


def widest() -> bytes:
    """One MiB of entries of 999 values each, all of which are GPS pointers to the same directory."""
    count = 65_535
    entry = struct.pack("<HHII", 0x8825, RATIONAL, 999, 8)
    return header() + struct.pack("<H", count) + entry * count


def chained(directories: Sequence[int] = range(20_000)) -> bytes:
    """Empty directories, each the successor of the one before."""
    block = bytearray(header())
    for _ in directories:
        block += struct.pack("<HI", 0, len(block) + 6)
    return bytes(block)
