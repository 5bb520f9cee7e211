"""Builders of picture files: small good ones, and bad ones that no camera writes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def scene(width: int = 320, height: int = 240, seed: int = 1) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): smooth random colours with detail, different in each corner."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    pixels: NDArray[np.uint8] = np.clip(smooth + random.integers(-12, 13, smooth.shape), 0, 255).astype(
        np.uint8
    )
    return pixels


def photo(file_format: str = "JPEG", width: int = 320, height: int = 240, **options: Any) -> bytes:
    return encoded(Image.fromarray(scene(width, height)), file_format, **options)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return PNG_SIGNATURE + header + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")


def png_text_bomb(inflated_mib: int = 400, chunks: int = 4) -> bytes:
    """A small picture whose text chunks inflate a thousandfold."""
    deflate = zlib.compressobj(9)
    text = b"".join(deflate.compress(bytes(2**20)) for _ in range(inflated_mib)) + deflate.flush()
    start, rest = photo("PNG", 8, 8)[:33], photo("PNG", 8, 8)[33:]
    return start + png_chunk(b"zTXt", b"Comment\0\0" + text) * chunks + rest


def gif_frames(count: int) -> bytes:
    """A GIF of 1 x 1 pixels with that many frames, the first of them red."""
    header = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\xff\0\0\0\xff\0"
    frames = (
        b"\x21\xf9\x04\0\x0a\0\0\0\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02" + pixel + b"\0"
        for pixel in (b"\x44\x01", *[b"\x4c\x01"] * (count - 1))
    )
    return header + b"".join(frames) + b"\x3b"


def webp_frames(count: int, side: int = 64) -> bytes:
    """A WebP with that many frames, all of them red."""
    still = encoded(Image.new("RGB", (side, side), "red"), "WEBP", lossless=True)
    picture = still[12:]  # its VP8L chunk
    size = struct.pack("<I", side - 1)[:3] * 2
    frame = bytes(6) + size + bytes(3) + b"\0" + picture
    chunks = _riff(b"VP8X", b"\x02\0\0\0" + size) + _riff(b"ANIM", bytes(6)) + _riff(b"ANMF", frame) * count
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def tiff_frames(count: int) -> bytes:
    """A TIFF with that many directories, each one red pixel."""
    block, pixel_at = bytearray(b"II*\0" + struct.pack("<I", 12) + b"\xff\0\0\0"), 8
    entries = (
        (256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, pixel_at),
        (277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 1, 3),
    )  # fmt: skip
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    for number in range(count):
        following = len(block) + 2 + len(table) + 4 if number + 1 < count else 0
        block += struct.pack("<H", len(entries)) + table + struct.pack("<I", following)
    return bytes(block)


def _riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
