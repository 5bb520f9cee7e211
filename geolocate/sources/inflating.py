"""Compressed bytes read forwards as what they were: gzip (RFC 1952), bzip2, xz, told by their beginning."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from geolocate.errors import PhotoDamaged
from geolocate.sources.streams import COPY_BYTES, ByteStream

#: An archive of photos hardly shrinks. One that grows more than so on reading is made to do harm.
MAX_INFLATION = 100
#: So much may come of any archive.
FREE_INFLATION_BYTES = 64 * 2**20
#: Of xz, whose dictionaries may take gigabytes.
MAX_XZ_MEMORY_BYTES = 256 * 2**20


class _Inflater(Protocol):
    """One of the standard library's decompressors."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most so much of what the data were."""


class _Gzip:
    """zlib's decompressor with the manners of the other two."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_BEGINNINGS: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b", _Gzip),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(memlimit=MAX_XZ_MEMORY_BYTES)),
)
#: What these decompressors raise on damaged data.
INFLATING_FAULTS = (zlib.error, lzma.LZMAError, OSError, EOFError)


class Inflating:
    """A stream whose compressed content is read as what it was; any other content as it is.

    Attributes:
        inflates: whether it is compressed.
        size: in bytes; None for what is compressed.

    Raises:
        PhotoError: as the stream; PhotoDamaged for data that are damaged or grow without measure.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._head = b""
        while len(self._head) < 6 and (data := stream.read(6 - len(self._head))):
            self._head += data
        self._new = next((new for start, new in _BEGINNINGS if self._head.startswith(start)), None)
        self._inflater: _Inflater | None = self._new() if self._new else None
        self.inflates = self._inflater is not None
        self.size = None if self.inflates else stream.size
        self._taken = self._given = 0

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        if self._inflater is None:
            return self._next(size)
        try:
            data = self._inflate(size)
        except INFLATING_FAULTS as error:
            raise PhotoDamaged(f"its compressed content is damaged: {error}"[:120]) from None
        self._given += len(data)
        if self._given > FREE_INFLATION_BYTES + MAX_INFLATION * self._taken:
            raise PhotoDamaged(f"it grows more than {MAX_INFLATION}-fold when read: refused")
        return data

    def _inflate(self, size: int) -> bytes:
        assert self._inflater is not None
        assert self._new is not None
        while True:
            if self._inflater.eof:  # several may stand behind each other
                rest = self._inflater.unused_data or self._next(COPY_BYTES)
                if not rest.strip(b"\0"):
                    return b""
                self._inflater = self._new()
                assert self._inflater is not None
                data = self._inflater.decompress(rest, size)
            elif self._inflater.needs_input:
                if not (more := self._next(COPY_BYTES)):
                    raise EOFError("it breaks off")
                data = self._inflater.decompress(more, size)
            else:
                data = self._inflater.decompress(b"", size)
            if data:
                return data

    def _next(self, size: int) -> bytes:
        data, self._head = self._head[:size], self._head[size:]
        data = data or self._stream.read(size)
        self._taken += len(data)
        return data
