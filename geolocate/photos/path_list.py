"""Lists of paths: text of one a line, or separated by NUL, and no other content that was named by mistake."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import BinaryIO

from geolocate.errors import PhotoFormatRefused, UsageError
from geolocate.photos.identify import HEADER_BYTES, identify

#: No system opens a longer path; a list with longer entries is no list of paths.
LONGEST_PATH_BYTES = 65_536
#: What some editors put before UTF-8, and before UTF-16.
_MARK, _MARKS_16 = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
#: Of files that are named in place of a list.
_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b\x08", "compressed by gzip"),
    (b"BZh91AY&SY", "compressed by bzip2"),
    (b"\xfd7zXZ\0", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"%PDF-", "a PDF document"),
)
#: Where a tar archive says so (POSIX.1-1988, ustar).
_TAR_AT = 257
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1f]")


def read_path_list(stream: BinaryIO, null: bool) -> Iterator[str]:
    """Yields the paths of a list as they arrive: one a line, or separated by NUL bytes.

    Blank entries are left out. Lines may end in CR LF; NUL bytes end a path in either form, since no path
    contains one, and the list may begin with a byte order mark.

    Args:
        stream: binary, such as ``sys.stdin.buffer``; read no further than asked for.
        null: only NUL separates, so paths may contain line feeds.

    Raises:
        UsageError: an entry is longer than any path, or the list is UTF-16, a photo, an archive or other
            binary content, among whose bytes there may be the root of the file system.
    """
    read = getattr(
        stream, "read1", stream.read
    )  # read1 hands over what a pipe holds and does not wait for more
    rest = b""
    begun = False
    while chunk := read(LONGEST_PATH_BYTES):
        if not begun and (kind := _no_list(chunk)):
            raise UsageError(f"the list of paths is {kind}")
        if not begun and not null:
            chunk = chunk.removeprefix(_MARK)
        begun = True
        *complete, rest = _split(rest + chunk, null)
        yield from (os.fsdecode(entry) for entry in complete if entry)
        if len(rest) > LONGEST_PATH_BYTES:
            raise UsageError("the list of paths has an entry that is longer than any path")
    rest = rest.removesuffix(b"\r") if not null else rest
    if rest:
        yield os.fsdecode(rest)


def _no_list(beginning: bytes) -> str | None:
    """What begins so and is no text, as messages call it; None for what may be a list."""
    if kind := _picture(beginning) or _other_file(beginning):
        return f"{kind}: name the file, its content is no list"
    if beginning.startswith(_MARKS_16) and b"\0" in beginning[2:4]:
        return "UTF-16: it is read as UTF-8"
    # Names may hold control characters, and NUL ends them in either form; binary content has zeros in a row.
    if b"\0\0" in beginning and _CONTROL.search(beginning):
        return "binary: a list is text, or Parquet in a file"
    return None


def _other_file(beginning: bytes) -> str | None:
    for signature, name in _SIGNATURES:
        if beginning.startswith(signature):
            return name
    is_tar = beginning[_TAR_AT:].startswith(b"ustar") and b"\0\0" in beginning[:_TAR_AT]
    return "a tar archive" if is_tar else None


def _picture(beginning: bytes) -> str | None:
    """Which picture begins so; None where it may as well be text."""
    try:
        kind = identify(beginning[:HEADER_BYTES])
    except PhotoFormatRefused:
        return None
    # Two letters begin a bitmap, and names like BMW.jpg; its header has zeros in it, one after the other.
    is_one = kind != "BMP" or b"\0\0" in beginning[:HEADER_BYTES]
    return f"a {kind} picture" if is_one else None


def _split(data: bytes, null: bool) -> list[bytes]:
    if null:
        return data.split(b"\0")
    *complete, rest = data.replace(b"\0", b"\n").split(b"\n")
    return [*(line.removesuffix(b"\r") for line in complete), rest]
