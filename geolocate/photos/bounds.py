"""What a file may ask of its decoder: a header without end, or tables that no picture needs, are refused.

Decoders believe what a header says, and some work in Python: a file of 100 MB could keep one busy for minutes
or take gigabytes. These bounds are far above what cameras and editors write; each costs a look at the header,
and that on the scans of a JPEG one at the file.

Sources: ISO/IEC 10918-1, B.1 (JPEG); PNG 1.2, 5.3; TIFF 6.0, section 2, and BigTIFF; BITMAPINFOHEADER (BMP).
"""

from __future__ import annotations

import io
import os
import re
import struct
from typing import BinaryIO

from geolocate.errors import PhotoDamaged, PhotoTooLarge

#: What opening may read: all before the first pixel; of WebP, AVIF and HEIF, which are read whole, the file.
MAX_HEADER_BYTES = 128 * 2**20
#: Pieces that opening may read them in: Pillow skips JPEG's fill bytes one by one, a second for a million.
MAX_HEADER_READS = 500_000
#: EXIF of a JPEG, all segments together: Pillow joins them one by one, in time that grows with the square.
MAX_JPEG_EXIF_BYTES = 8 * 2**20
#: Scans that a JPEG of any size may have; encoders write about ten. 10^9 pixels take half a second.
MIN_SCANS = 16
#: Scans that the smallest JPEG may have.
MAX_SCANS = 2_000
#: Each scan goes over the whole picture: smaller ones may have more, up to so many pixels in all.
MAX_SCANNED_PIXELS = 2_000_000_000
#: Chunks of a PNG, which encoders make 8 KiB or larger.
MAX_PNG_CHUNKS = 200_000
#: One chunk of a PNG that is not pixels.
MAX_PNG_CHUNK_BYTES = 64 * 2**20
#: Numbers in the standard fields of a TIFF: offsets and sizes of 200,000 strips.
MAX_TIFF_NUMBERS = 400_000
#: A BMP of run lengths, which Pillow decodes in Python: four million runs take a second.
MAX_RUN_LENGTH_BYTES = 4 * 2**20

_BLOCK = 2**20
#: A marker amid entropy-coded data: neither a stuffed zero, nor a restart, nor fill.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_EOI, _SOS, _APP1 = 0xD9, 0xDA, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_PRIVATE_TIFF_TAGS = 32_768
#: Field types of TIFF that Pillow turns into one Python object for each value.
_TIFF_NUMBERS = frozenset((3, 4, 5, 8, 9, 10, 11, 12, 13, 16, 17, 18))


class BoundedFile(io.BufferedReader):
    """A file of which a decoder, while it opens a picture, reads no more than a header can need.

    Nothing asks for more than the file has: four gigabytes for a chunk of a PNG that says so.

    Attributes:
        opening: whether the bounds hold.
    """

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self.opening = False
        self._size = os.fstat(raw.fileno()).st_size
        self._bytes_left = MAX_HEADER_BYTES
        self._reads_left = MAX_HEADER_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file's. Raises PhotoTooLarge beyond the bounds."""
        if size is not None:
            size = min(size, self._size)
        if not self.opening:
            return super().read(size)
        most = self._bytes_left + 1
        data = super().read(most if size is None or size < 0 else min(size, most))
        self._bytes_left -= len(data)
        self._reads_left -= 1
        if self._bytes_left < 0:
            raise PhotoTooLarge(f"its header is larger than {MAX_HEADER_BYTES // 2**20} MiB")
        if self._reads_left < 0:
            raise PhotoDamaged("damaged: its header has no end")
        return data


def check_bounds(file: BinaryIO, file_format: str, pixels: bool = True) -> None:
    """Looks through the header of a picture; leaves what it does not understand to the decoder.

    Args:
        file: left at its start.
        file_format: as :func:`geolocate.photos.identify.identify` names it.
        pixels: whether they will be decoded; then scans of a JPEG are counted, to its end.

    Raises:
        PhotoTooLarge, PhotoDamaged: decoding it would take more time or memory than any picture needs.
    """
    file.seek(0)
    if file_format == "JPEG":
        _check_jpeg(file, pixels)
    elif file_format == "PNG":
        _check_png(file)
    elif file_format == "TIFF":
        _check_tiff(file)
    elif file_format == "BMP":
        _check_bmp(file)
    file.seek(0)


def _check_jpeg(file: BinaryIO, count_scans: bool) -> None:
    exif_bytes = pixels = components = frame = 0
    position = 2
    for _ in range(MAX_HEADER_READS):
        file.seek(position)
        head = file.read(10)
        if len(head) < 4:
            return
        if head[0] != 0xFF:
            if (found := _next_marker_byte(file, position)) is None:
                return
            position = found
            continue
        marker, length = head[1], int.from_bytes(head[2:4], "big")
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        if marker == _EOI:
            return
        if marker == _APP1 and head[4:8] == b"Exif":
            exif_bytes += length
            if exif_bytes > MAX_JPEG_EXIF_BYTES:
                raise PhotoTooLarge(f"its EXIF is larger than {MAX_JPEG_EXIF_BYTES // 2**20} MiB")
        elif marker in _FRAMES:
            if len(head) < 10:
                return
            frame, components = marker, head[9]
            pixels = int.from_bytes(head[5:7], "big") * int.from_bytes(head[7:9], "big")
        elif marker == _SOS:
            if count_scans and len(head) > 4 and (frame in _PROGRESSIVE or head[4] < components):
                file.seek(position)
                allowed = max(MIN_SCANS, MAX_SCANNED_PIXELS // max(1, pixels))
                _check_scans(file, min(allowed, MAX_SCANS))
            return
        position += 2 + length
    raise PhotoDamaged("damaged: its header has no end")


def _next_marker_byte(file: BinaryIO, position: int) -> int | None:
    """Where the next 0xFF stands: decoders skip what lies between segments."""
    file.seek(position)
    while block := file.read(_BLOCK):
        if (found := block.find(b"\xff")) >= 0:
            return position + found
        position += len(block)
    return None


def _check_scans(file: BinaryIO, allowed: int) -> None:
    """Counts the scans up to the end of the picture: what lies behind it may be a video."""
    scans, data, at = 0, b"", 0
    for _ in range(MAX_HEADER_READS):
        while (found := _MARKER.search(data, at)) is None:
            if not (block := file.read(_BLOCK)):
                return
            data, at = (b"\xff" if data[at:].endswith(b"\xff") else b"") + block, 0
        marker, at = found[1][0], found.end()
        if marker == _EOI:
            return
        scans += marker == _SOS
        if scans > allowed:
            raise PhotoTooLarge(f"more than {allowed:,} scans")
        if marker in _WITHOUT_LENGTH:
            continue
        if len(data) < at + 2:
            data, at = data[at:] + file.read(_BLOCK), 0
        at += int.from_bytes(data[at : at + 2], "big")  # what a segment holds is no marker
        if at > len(data):
            file.seek(at - len(data), os.SEEK_CUR)
            data, at = b"", 0
    raise PhotoDamaged("damaged: its scans have no end")


def _check_png(file: BinaryIO) -> None:
    position = 8
    for _ in range(MAX_PNG_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        length = int.from_bytes(head[:4], "big")
        if length > MAX_PNG_CHUNK_BYTES and head[4:] not in (b"IDAT", b"fdAT"):
            if position + length > os.fstat(file.fileno()).st_size:
                raise PhotoDamaged("damaged: it breaks off in a chunk beside the pixels")
            raise PhotoTooLarge(
                f"a chunk beside the pixels is larger than {MAX_PNG_CHUNK_BYTES // 2**20} MiB"
            )
        position += 12 + length
    raise PhotoTooLarge(f"more than {MAX_PNG_CHUNKS:,} chunks")


def _check_tiff(file: BinaryIO) -> None:
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    if len(head) < 16:
        return
    (start,) = struct.unpack(order + ("Q" if big else "I"), head[8:16] if big else head[4:8])
    if start > 2**62:
        return
    counted, entry = (order + "Q", order + "HHQQ") if big else (order + "H", order + "HHII")
    file.seek(start)
    count = file.read(struct.calcsize(counted))
    if len(count) < struct.calcsize(counted):
        return
    size = struct.calcsize(entry)
    entries = min(struct.unpack(counted, count)[0], MAX_TIFF_NUMBERS)
    table = file.read(size * entries)
    numbers = 0
    for tag, kind, values, _ in struct.iter_unpack(entry, table[: len(table) // size * size]):
        if tag < _PRIVATE_TIFF_TAGS and kind in _TIFF_NUMBERS:
            numbers += values
    if numbers > MAX_TIFF_NUMBERS:
        raise PhotoTooLarge(f"its fields hold more than {MAX_TIFF_NUMBERS:,} numbers")


def _check_bmp(file: BinaryIO) -> None:
    head = file.read(34)
    if len(head) < 34 or int.from_bytes(head[14:18], "little") < 40:
        return
    runs = int.from_bytes(head[30:34], "little") in (1, 2)
    if runs and os.fstat(file.fileno()).st_size > MAX_RUN_LENGTH_BYTES:
        raise PhotoTooLarge(f"run lengths of more than {MAX_RUN_LENGTH_BYTES // 2**20} MiB")
