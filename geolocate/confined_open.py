"""Files of a folder that a stranger may have filled, listed and opened without being led out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path, PurePosixPath

#: Whether a path can be opened part by part, so that nothing changes between the look and the opening.
BY_PARTS = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")


def open_beneath(folder: Path, name: str) -> BufferedReader:
    """Opens a regular file below `folder` for reading; the folder itself may be reached by a link.

    No part of the name may be a link, and what is judged is what was opened: a link that is put in its place
    a moment later leads nowhere. A FIFO or a device is never waited for.

    Args:
        name: relative, "/"-separated, without "..".

    Raises:
        OSError: there is no such file, or a part of its name is a link; its `strerror` says what.
    """
    *folders, last = PurePosixPath(name).parts
    if BY_PARTS:
        descriptor = _open_by_parts(folder, folders, last)
    else:
        path = folder.joinpath(*folders)
        linked = [
            p for p in (path / last, path, *path.parents[: len(folders)]) if p != folder and p.is_symlink()
        ]
        if linked or not stat.S_ISREG((path / last).stat().st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", name)
        descriptor = os.open(path / last, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a regular file", name)
    return os.fdopen(descriptor, "rb")


def read_beneath(folder: Path, name: str, limit: int) -> bytes:
    """The content of such a file, of at most `limit` bytes.

    Raises:
        OSError: as :func:`open_beneath`, or it is larger.
    """
    with open_beneath(folder, name) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"is larger than {limit:,} bytes", name)
    return content


def walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every entry below a folder but folders, as its "/"-separated name and its status, in order.

    A link is an entry and is not followed; what is gone meanwhile, or cannot be looked at, is left out.
    """
    for parent, folders, files in os.walk(folder):
        folders.sort()
        linked = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in sorted([*files, *linked]):
            path = Path(parent, name)
            try:
                status = path.lstat()
            except OSError:  # another run took it away
                continue
            yield path.relative_to(folder).as_posix(), status


def _open_by_parts(folder: Path, folders: list[str], last: str) -> int:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in folders:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=held)
            os.close(held)
            held = inner
        # O_NONBLOCK: a FIFO would wait for its writer.
        return os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=held)
    finally:
        os.close(held)
