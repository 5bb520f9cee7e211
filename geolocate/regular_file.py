"""Opening regular files and nothing else: a FIFO waits for its writer, and a device may never end."""

from __future__ import annotations

import errno
import os
from io import BufferedReader
from pathlib import Path


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """A regular file, opened for reading; links are followed. What is judged is what was opened.

    Raises:
        OSError: it cannot be opened, or is something else; its `strerror` says what.
        ValueError: no file can be called so.
    """
    file = open(path, "rb", opener=open_at_once)  # noqa: SIM115
    if not os.path.isfile(file.fileno()):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return file


def open_at_once(path: str, flags: int) -> int:
    """An `opener` that does not wait: what was a file a moment ago can be a pipe now."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_regular(path: Path, limit: int) -> bytes:
    """The content of a regular file, of at most `limit` bytes, whatever its size is said to be.

    Raises:
        OSError: as :func:`open_regular`, or it is larger.
    """
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes", os.fspath(path))
    return content
