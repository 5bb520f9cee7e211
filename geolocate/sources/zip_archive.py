"""Zip archives: photos by name, in the order of a folder. Nothing is unpacked by its name.

Format: PKWARE's APPNOTE, as the standard library reads it.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from geolocate.errors import PhotoDamaged, PhotoNotFound, PhotoNotReadable
from geolocate.photo_names import without_dots
from geolocate.sources.streams import COPY_BYTES, too_large

#: Of the list of members, which zipfile reads at once: a million names.
MAX_DIRECTORY_BYTES = 64 * 2**20
_ENCRYPTED = 1
#: Not LZMA: its decoder takes as much memory as the archive says, up to 4 GiB.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
#: What zipfile raises on damaged archives.
_FAULTS = (
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    struct.error,
    OSError,
    ValueError,
    LookupError,
    OverflowError,
    NotImplementedError,
)


class ZipArchive:
    """One zip archive; any thread may use it.

    Args:
        file: it, closed with this.
        max_bytes: larger members are errors.

    Attributes:
        fault, passed_over, spooled_bytes: as :class:`geolocate.sources.tar_archive.TarArchive` has them.

    Raises:
        PhotoError: it cannot be read at all.
    """

    def __init__(self, file: BinaryIO, max_bytes: int, spooled_bytes: int) -> None:
        self.fault: str | None = None
        self.passed_over = 0
        self.spooled_bytes = spooled_bytes
        self._max_bytes = max_bytes
        self._file = file
        self._members: dict[str, zipfile.ZipInfo] = {}
        try:
            self._zip = zipfile.ZipFile(cast(BinaryIO, _Bounded(file)))
        except _FAULTS as error:
            file.close()
            raise PhotoDamaged(f"cannot be read as a zip archive: {str(error)[:120]}") from None
        for member in self._zip.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.filename.endswith("/"):
                continue
            name = without_dots(member.filename)
            if kind in (0, stat.S_IFREG) and name not in self._members:
                self._members[name] = member
            else:
                self.passed_over += 1

    def names(self) -> Iterator[str]:
        """The names of its files, depth-first by name (as bytes) as those of a folder."""
        yield from sorted(self._members, key=_in_folders)

    def copy(self, name: str, file: BinaryIO) -> None:
        """The bytes of a member into a file.

        Raises:
            PhotoError: there is no such member, or it cannot be read.
        """
        member = self._members.get(without_dots(name))
        if member is None:
            raise PhotoNotFound("no such member in the archive")
        if member.flag_bits & _ENCRYPTED:
            raise PhotoNotReadable("encrypted in its archive")
        if member.compress_type not in _METHODS:
            raise PhotoNotReadable("compressed in its archive by a method that is not read")
        if member.file_size > self._max_bytes:
            raise too_large(self._max_bytes)
        left = self._max_bytes  # what it says of its size is no promise
        for data in self._content(member):
            left -= len(data)
            if left < 0:
                raise too_large(self._max_bytes)
            file.write(data)

    def _content(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        try:
            with self._zip.open(member) as source:
                while data := source.read(COPY_BYTES):
                    yield data
        except (*_FAULTS, RuntimeError) as error:
            text = "".join(c if c.isprintable() else " " for c in str(error)).partition(" for file")[0]
            raise PhotoDamaged(f"damaged in its archive: {text[:120] or type(error).__name__}") from None

    def close(self) -> None:
        """Lets go of the archive."""
        self._zip.close()
        self._file.close()


class _Bounded:
    """A file of which nothing is read at once that is larger than a list of members may be."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable, self.close = file.seek, file.tell, file.seekable, file.close

    def read(self, size: int = -1) -> bytes:
        """As a file's. Raises BadZipFile beyond the bound."""
        if size > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"its list of members has more than {MAX_DIRECTORY_BYTES:,} bytes")
        return self._file.read(MAX_DIRECTORY_BYTES if size < 0 else size)


def _in_folders(name: str) -> list[bytes]:
    return [part.encode("utf-8", "surrogatepass") for part in name.split("/")]
