"""Builders of files whose header asks a decoder for much work or memory."""

from __future__ import annotations

import struct

from hostile import pictures
from PIL import Image


def segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def jpeg_with(data: bytes) -> bytes:
    """A JPEG with that between its start and its other segments."""
    photo = pictures.photo()
    return photo[:2] + data + photo[2:]


def png_with(data: bytes) -> bytes:
    """A PNG with those chunks before its pixels."""
    photo = pictures.photo("PNG")
    return photo[:33] + data + photo[33:]


def gif_with(data: bytes) -> bytes:
    """A GIF of one pixel with that before its frame."""
    start, frame = pictures.gif_frames(1)[:19], pictures.gif_frames(1)[19:]
    return start + data + frame


def tiff_of_strips(count: int) -> bytes:
    """The directory of a grey TIFF of that many rows of one pixel, a strip each; pixels and tables follow."""
    entries = {
        256: (3, 1, 1), 257: (4, 1, count), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
        273: (4, count, 200),
        277: (3, 1, 1), 278: (3, 1, 1), 279: (4, count, 200),
    }  # fmt: skip
    table = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in entries.items())
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)).ljust(200, b"\0")


def jpeg_of_scans(side: int, count: int) -> bytes:
    """A progressive JPEG whose last scan is there that many times."""
    photo = pictures.encoded(Image.new("L", (side, side), "grey"), "JPEG", progressive=True)
    last = photo[photo.rindex(b"\xff\xda") : -2]
    return photo[:-2] + last * (count - 1) + photo[-2:]


def with_an_end_in_a_comment(photo: bytes) -> bytes:
    """What looks like the end of the picture stands in a comment before its second scan."""
    second = photo.index(b"\xff\xda", photo.index(b"\xff\xda") + 2)
    return photo[:second] + segment(0xFE, b"\xff\xd9") + photo[second:]


def bmp_of_runs(size: int) -> bytes:
    """A BMP of 13,000 x 13,000 pixels in runs of one."""
    head = struct.pack("<IiiHHIIiiII", 40, 13_000, 13_000, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078, 0, 0, 1078) + head + bytes(1024) + b"\1\0" * (size // 2)
