"""Bytes read forwards, from a file or from a server: archives are read from them, photos copied."""

from __future__ import annotations

import os
from typing import BinaryIO, Protocol

from geolocate.errors import PhotoError, PhotoNotFound, PhotoNotReadable, PhotoTooLarge
from geolocate.regular_file import open_regular
from geolocate.sources.retrying import Patience
from geolocate.sources.urls import STORE_SCHEMES, is_url, scheme_of

#: So much is copied at a time.
COPY_BYTES = 2**18


class ByteStream(Protocol):
    """Something that is read forwards.

    Attributes:
        size: in bytes; None as long as nobody has said.
    """

    size: int | None

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end. Raises PhotoError."""

    def close(self) -> None:
        """Lets go of it."""


def open_stream(place: str, patience: Patience) -> ByteStream:
    """The content of a URL or of a regular file; a server is asked at the first read.

    Raises:
        PhotoError: it cannot be opened.
    """
    if not is_url(place):
        return FileStream(place)
    if scheme_of(place) in STORE_SCHEMES:
        from geolocate.sources.object_store import ObjectStream

        return ObjectStream(place, patience)
    from geolocate.sources.web import WebStream

    return WebStream(place, patience)


class FileStream:
    """A regular file of this machine."""

    def __init__(self, path: str) -> None:
        self._file = open_file(path)
        self.size: int | None = os.fstat(self._file.fileno()).st_size

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        try:
            return self._file.read(size)
        except OSError as error:
            raise cannot(error) from None

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def open_file(path: str) -> BinaryIO:
    """A regular file, opened for reading; a FIFO or a device is not waited for.

    Raises:
        PhotoError: it cannot be opened.
    """
    try:
        return open_regular(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise PhotoNotFound("no such file") from None
    except OSError as error:
        raise cannot(error) from None


def cannot(error: OSError) -> PhotoError:
    """What the system says of a file."""
    return PhotoNotReadable(f"cannot be opened: {error.strerror or type(error).__name__}")


def copy(stream: ByteStream, file: BinaryIO, limit: int) -> None:
    """The whole of a stream into a file.

    Raises:
        PhotoTooLarge: it has more than `limit` bytes; no more of it is read than that.
        PhotoError: as the stream.
    """
    left = limit
    while data := stream.read(min(COPY_BYTES, left + 1)):
        if (stream.size or 0) > limit or len(data) > left:
            raise too_large(limit)
        file.write(data)
        left -= len(data)


def too_large(limit: int) -> PhotoTooLarge:
    """It has more bytes than the limit."""
    return PhotoTooLarge(f"larger than {limit:,} bytes, the limit of --max-bytes")
