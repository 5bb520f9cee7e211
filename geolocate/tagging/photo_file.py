"""One photo on the disk, and whether anything there says already where it was taken."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from geolocate.errors import PhotoNotFound, SidecarRefused, TagRefused
from geolocate.exif import NOTE_ESTIMATE, read_exif
from geolocate.photos import read_exif_block
from geolocate.photos.identify import HEADER_BYTES, identify
from geolocate.tagging.folder import Folder, split_path
from geolocate.tagging.xmp import read_position
from geolocate.text_safety import printable

SIDECAR_SUFFIX = ".xmp"
#: darktable's are the largest, with masks drawn by hand.
MAX_SIDECAR_BYTES = 16 * 2**20

_PACKET_BEGIN, _PACKET_END = b"<x:xmpmeta", b"</x:xmpmeta>"
#: A photo has one packet; its thumbnail or an edited version may have more.
_MAX_PACKETS = 16
_BLOCK = 2**22


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo whose folder is held open.

    Attributes:
        status: when it was looked at.
    """

    folder: Folder
    name: str
    status: os.stat_result

    @property
    def path(self) -> Path:
        """Where it really is."""
        return self.folder.path / self.name

    @property
    def sidecar(self) -> str:
        """The name of its sidecar, as darktable, digiKam and exiftool look for it."""
        return self.name + SIDECAR_SUFFIX

    def is_unchanged(self) -> bool:
        """Whether the file is as it was when it was looked at."""
        now = self.folder.status(self.name)
        return now is not None and is_same(now, self.status)


@dataclass(frozen=True, slots=True)
class Existing:
    """A position that a photo has already.

    Attributes:
        place: what holds it, in words.
        is_estimate: this program wrote it.
    """

    place: str
    is_estimate: bool


@contextmanager
def open_photo(root: Path, photo: str, newest_ns: int | None = None) -> Iterator[PhotoFile]:
    """A photo by its path in the results.

    Args:
        root: the folder that it must lie below; relative paths begin there.
        newest_ns: time of its last change, at most.

    Raises:
        PhotoError: one of its subclasses: it is gone, elsewhere, a link, no picture by its content, changed.
    """
    parent, name = split_path(photo)
    with Folder(root, parent) as folder:
        status = folder.status(name)
        if status is None:
            raise PhotoNotFound("no such file")
        if stat.S_ISLNK(status.st_mode):
            raise TagRefused("a link: what is tagged is the photo itself")
        with os.fdopen(folder.open(name), "rb") as file:
            identify(file.read(HEADER_BYTES))
        if newest_ns is not None and status.st_mtime_ns > newest_ns:
            raise TagRefused("changed since the results were written")
        yield PhotoFile(folder, name, status)


def existing_position(photo: PhotoFile) -> Existing | None:
    """The position in a photo's sidecar, its EXIF or its own XMP; one that is no estimate before one that is.

    A sidecar under the photo's name without its extension, as Lightroom writes it, counts too. Exactly 0, 0
    in EXIF is what cameras without a fix write, and none.

    Raises:
        PhotoError: what there is cannot be read, so nobody can tell.
    """
    found = list(_positions(photo))
    return next((e for e in found if not e.is_estimate), found[0] if found else None)


def is_same(now: os.stat_result, before: os.stat_result) -> bool:
    """Whether two looks saw the same file with the same content."""
    return os.path.samestat(now, before) and (now.st_size, now.st_mtime_ns) == (
        before.st_size,
        before.st_mtime_ns,
    )


def read_sidecar(photo: PhotoFile, name: str) -> bytes | None:
    """A sidecar's content; None where there is none. Raises TagRefused where it is a link or too large."""
    if photo.folder.status(name) is None:
        return None
    try:
        return photo.folder.read(name, MAX_SIDECAR_BYTES)
    except TagRefused as error:
        raise SidecarRefused(f"{printable(name)}: {error}") from None


def _positions(photo: PhotoFile) -> Iterator[Existing]:
    for name in dict.fromkeys((photo.sidecar, os.path.splitext(photo.name)[0] + SIDECAR_SUFFIX)):
        data = read_sidecar(photo, name) if name != photo.name else None
        if data is not None:
            try:
                position = read_position(data)
            except SidecarRefused as error:
                raise SidecarRefused(f"{printable(name)}: {error}") from None
            if position is not None:
                yield Existing(printable(name), position.is_estimate)
    facts = read_exif(read_exif_block(photo.path))
    if facts.position is not None or NOTE_ESTIMATE in facts.notes:
        yield Existing("its EXIF", facts.position is None)
    with os.fdopen(photo.folder.open(photo.name), "rb") as file:
        for packet in _embedded_packets(file):
            try:
                position = read_position(packet)
            except SidecarRefused:
                continue  # no program can read it either
            if position is not None:
                yield Existing("its XMP", position.is_estimate)


def _embedded_packets(file: BinaryIO) -> Iterator[bytes]:
    """The XMP packets in a picture: plain text in every format, made to be found so."""
    at = seen = 0
    while seen < _MAX_PACKETS:
        file.seek(at)
        block = file.read(_BLOCK + len(_PACKET_BEGIN))
        found = block.find(_PACKET_BEGIN)
        if found < 0:
            at += _BLOCK
            if len(block) <= _BLOCK:
                return
            continue
        seen += 1
        file.seek(at + found)
        packet = file.read(MAX_SIDECAR_BYTES)
        end = packet.find(_PACKET_END)
        if end >= 0:
            yield packet[: end + len(_PACKET_END)]
        at += found + max(end, len(_PACKET_BEGIN))
