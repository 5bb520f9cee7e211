"""Tar archives, read once from front to back: photos come in the archive's order while it still arrives.

Of a plain file of this machine nothing is copied: photos are read at their places. Of what is compressed or
comes from a server the photos are kept in a file without a name, which is gone with the program, however that
ends. Nothing is unpacked by its name, so no name leads anywhere.

Formats: POSIX.1-1988 (ustar), POSIX.1-2001 (pax), GNU, as the standard library reads them.
"""

from __future__ import annotations

import os
import struct
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, cast

from geolocate.errors import PhotoDamaged, PhotoError, PhotoNotFound
from geolocate.photo_names import without_dots
from geolocate.sources.inflating import Inflating
from geolocate.sources.streams import COPY_BYTES, ByteStream, cannot, too_large

#: Of one header with its long names and attributes; tarfile reads it at once.
MAX_HEADER_BYTES = 2**20

_BLOCK = 512
#: What tarfile raises on what is no archive; RecursionError for a thousand long names in a row.
_FAULTS = (
    tarfile.TarError,
    EOFError,
    struct.error,
    OSError,
    ValueError,
    LookupError,
    OverflowError,
    RecursionError,
)
_ENDS_WITHIN = "truncated: the archive ends within it"


class _Place(NamedTuple):
    """Where a member's bytes are kept, or why they are not."""

    offset: int
    size: int
    error: PhotoError | None = None


class TarArchive:
    """One tar archive, plain or compressed; any thread may use it.

    Args:
        stream: its bytes, read forwards; closed with this.
        file: the same as a file of this machine, where it is one; closed with this.
        kept: whether the bytes of a member of this name will be asked for.
        max_bytes: larger members are errors.

    Attributes:
        fault: why reading ended before the end; None where it did not.
        passed_over: links, devices, sparse files, and members of a name that was there already.
        spooled_bytes: what its photos take on the disk.

    Raises:
        PhotoError: it cannot be read at all.
    """

    def __init__(
        self, stream: ByteStream, file: BinaryIO | None, kept: Callable[[str], bool], max_bytes: int
    ) -> None:
        self.fault: str | None = None
        self.passed_over = self.spooled_bytes = 0
        self._kept, self._max_bytes = kept, max_bytes
        self._lock = threading.Lock()
        self._stream, self._file = stream, file
        self._places: dict[str, _Place] = {}
        self._names: list[str] = []
        self._ended = False
        self._reached = 0
        self._spool: BinaryIO | None = None
        try:
            inflating = Inflating(stream)
            if file is None or inflating.inflates:
                self._spool = cast(BinaryIO, tempfile.TemporaryFile(prefix="geolocate-"))  # noqa: SIM115
            self._forward = _Forward(inflating, file if self._spool is None else None)
            self._tar = tarfile.open(fileobj=cast(BinaryIO, self._forward), mode="r:")  # noqa: SIM115
        except PhotoError:
            self.close()
            raise
        except _FAULTS as error:
            self.close()
            raise PhotoDamaged(f"cannot be read as a tar archive: {_reason(error)}") from None

    def names(self) -> Iterator[str]:
        """The names of its regular members, in its order, each when its bytes have come."""
        at = 0
        while True:
            with self._lock:
                while at >= len(self._names) and not self._ended:
                    self._advance()
                if at >= len(self._names):
                    return
                name = self._names[at]
            yield name
            at += 1

    def copy(self, name: str, file: BinaryIO) -> None:
        """The bytes of a member into a file.

        Raises:
            PhotoError: there is no such member, or its bytes are not there.
        """
        name = without_dots(name)
        with self._lock:
            while name not in self._places and not self._ended:
                self._advance()
            place = self._places.get(name)
            if place is None:
                raise PhotoNotFound(self.fault or "no such member in the archive")
            if place.error is not None:
                raise place.error
            source = self._spool or cast(BinaryIO, self._file)
            source.seek(place.offset)
            left = place.size
            while left:
                data = source.read(min(left, COPY_BYTES))
                if not data:
                    raise PhotoDamaged("the archive is shorter than it was")
                file.write(data)
                left -= len(data)

    def close(self) -> None:
        """Lets go of the archive and of what was kept of it."""
        with self._lock:
            self._ended = True
            for each in (self._spool, self._file, self._stream):
                if each is not None:
                    each.close()

    def _advance(self) -> None:
        """Takes in one more member."""
        try:
            member = self._tar.next()
            cast(Any, self._tar).members.clear()  # tarfile remembers all of them
            if member is not None:
                member.name = without_dots(member.name)
            if member is None:
                self._end(self._forward.ending())
            elif member.size < 0 or member.offset < self._reached:
                self._end("the archive is damaged: it leads back")  # and so round and round
            elif member.isreg() and not member.issparse() and member.name not in self._places:
                self._take(member)
            else:
                self.passed_over += not member.isdir()
            if member is not None:
                self._reached = member.offset + 1
        except PhotoError as error:  # of the stream
            self._end(str(error))
        except _FAULTS as error:
            self._end(f"the archive is damaged or breaks off: {_reason(error)}")

    def _end(self, fault: str | None) -> None:
        self._ended = True
        self.fault = fault
        self._stream.close()

    def _take(self, member: tarfile.TarInfo) -> None:
        """Notes where a member's bytes are, and keeps them where nothing else does."""
        place = _Place(member.offset_data, member.size)
        if member.size > self._max_bytes:
            place = place._replace(error=too_large(self._max_bytes))
        elif self._kept(member.name):
            place = self._keep(member) if self._spool is not None else place
            if self._spool is None and not self._forward.reaches(place.offset + place.size):
                place = place._replace(error=PhotoDamaged(_ENDS_WITHIN))
        self._places[member.name] = place
        self._names.append(member.name)

    def _keep(self, member: tarfile.TarInfo) -> _Place:
        assert self._spool is not None
        place = _Place(self._spool.seek(0, os.SEEK_END), member.size)
        left = member.size
        try:
            self._forward.seek(member.offset_data)
            while left:
                if not (data := self._forward.read(min(left, COPY_BYTES))):
                    return place._replace(error=PhotoDamaged(_ENDS_WITHIN))
                self._spool.write(data)
                left -= len(data)
        except PhotoError as error:  # of the stream, which the next member will meet again
            return place._replace(error=PhotoDamaged(f"{_ENDS_WITHIN} ({error})"))
        except OSError as error:
            return place._replace(error=cannot(error))
        self.spooled_bytes += member.size
        return place


class _Forward:
    """A stream as tarfile wants its file: positions that only grow, but for the last byte once more.

    Args:
        file: the same content where it can be skipped; None where all has to be read.
    """

    def __init__(self, stream: Inflating, file: BinaryIO | None) -> None:
        self._stream, self._file = stream, file
        self._position = 0
        self._again = b""
        self._last = b""

    def tell(self) -> int:
        """Bytes from the start."""
        return self._position - len(self._again)

    def read(self, size: int) -> bytes:
        """As a file's. Raises ReadError where more is asked for than a header has, or a copy takes."""
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of more than {MAX_HEADER_BYTES:,} bytes")
        if self._file is not None:
            data = self._file.read(size)
            self._position += len(data)
        else:
            data, self._again = self._again[:size], self._again[size:]
            while len(data) < size and (more := self._stream.read(size - len(data))):
                data += more
                self._position += len(more)
        self._last = data or self._last if size == 1 else data
        return data

    def seek(self, position: int) -> None:
        """Goes there. Raises ReadError where that is behind what was read."""
        if self._file is not None:
            self._position = self._file.seek(position)
            return
        if position == self._position - 1 and self._last:
            self._again = self._last[-1:]
            return
        if position < self.tell():
            raise tarfile.ReadError("an archive that leads back")
        while (left := position - self.tell()) > 0:
            if not self.read(min(left, COPY_BYTES)):
                raise tarfile.ReadError("unexpected end of data")

    def reaches(self, position: int) -> bool:
        """Whether the content goes so far; of what can be skipped."""
        return self._stream.size is not None and position <= self._stream.size

    def ending(self) -> str | None:
        """What is wrong with the end that tarfile has found; None for the zeros that end an archive."""
        if not self._last:
            return "the archive has no end: it may have been cut off"
        return "the archive is damaged: a header makes no sense" if self._last.strip(b"\0") else None


def _reason(error: BaseException) -> str:
    text = "".join(character if character.isprintable() else " " for character in str(error)).strip()
    return text[:120] or type(error).__name__
