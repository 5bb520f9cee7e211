"""Files of one folder, looked at, made and moved where they are: whatever becomes of the path meanwhile.

A path out of a file of results is a stranger's word. Its folder must really lie below the folder that the
user named, and is then held open: what is read and written after that is in it, even if somebody puts a link
in its place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any

from geolocate.confined_open import BY_PARTS
from geolocate.errors import PhotoNotFound, PhotoNotReadable, TagRefused
from geolocate.text_safety import printable

_TEMPORARY = re.compile(r"\.geolocate-[0-9a-f]{16}\.partial")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:{1,2}//")
#: Links are never followed, where the system can be told so: what is named here is a file of ours.
_NO_FOLLOW: dict[str, Any] = {"follow_symlinks": False} if os.link in os.supports_follow_symlinks else {}
#: What link(2) says on a file system that has no links.
NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class Folder:
    """A folder below another, held open.

    Args:
        root: the folder that it must lie in, or be.
        path: absolute, or from `root`.

    Attributes:
        path: where it really is.

    Raises:
        PhotoNotFound: there is no such folder.
        TagRefused: it lies elsewhere.
    """

    def __init__(self, root: Path, path: str) -> None:
        inside = root.resolve()
        try:
            self.path = Path(os.path.realpath(inside / path, strict=True))
            parts = self.path.relative_to(inside).parts
        except (FileNotFoundError, NotADirectoryError):
            raise PhotoNotFound("no such file") from None
        except OSError as error:
            raise PhotoNotReadable(f"cannot be opened: {error.strerror}") from None
        except ValueError:  # elsewhere, or a NUL character
            raise TagRefused(
                f"outside of {printable(os.fspath(inside))}: --photos names the folder that photos are in"
            ) from None
        self._descriptor = _open_by_parts(inside, parts) if BY_PARTS else None

    def status(self, name: str) -> os.stat_result | None:
        """Of an entry itself, not of what a link leads to; None where there is none."""
        try:
            return os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open(self, name: str) -> int:
        """A descriptor of a regular file, for reading.

        Raises:
            OSError: there is none of that name, or it cannot be opened.
            TagRefused: it is a link or no regular file.
        """
        flags = os.O_RDONLY
        flags |= sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
        try:
            descriptor = os.open(self._at(name), flags, dir_fd=self._descriptor)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise TagRefused("a link: what is tagged is the photo itself") from None
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise TagRefused("not a regular file")
        return descriptor

    def read(self, name: str, limit: int) -> bytes:
        """The content of a file of at most so many bytes. Raises as :meth:`open`."""
        with os.fdopen(self.open(name), "rb") as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise TagRefused(f"{printable(name)} is larger than {limit:,} bytes")
        return content

    def create(self, name: str, mode: int) -> int:
        """A descriptor of a new file, for writing. Raises OSError where there is one."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        flags |= sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"))
        return os.open(self._at(name), flags, mode, dir_fd=self._descriptor)

    def write(self, name: str, data: bytes, mode: int) -> None:
        """Makes a new file, on the disk when the call returns. Raises OSError; the file may be there then."""
        descriptor = self.create(name, mode)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            with contextlib.suppress(OSError, AttributeError):  # a umask may have taken some of it
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def move(self, name: str, target: str) -> None:
        """Gives a file another name, in place of what has it."""
        os.replace(self._at(name), self._at(target), src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def place(self, name: str, target: str) -> None:
        """Gives a file another name that none has yet. Raises FileExistsError where one does."""
        try:
            self.link(name, target)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if self.status(target) is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            self.move(name, target)
        else:
            self.remove(name)

    def link(self, name: str, target: str) -> None:
        """Gives a file a second name that none has yet. Raises OSError."""
        os.link(
            self._at(name),
            self._at(target),
            src_dir_fd=self._descriptor,
            dst_dir_fd=self._descriptor,
            **_NO_FOLLOW,
        )

    def set_time(self, name: str, mtime_ns: int) -> None:
        """Sets when a file was last changed. Raises OSError."""
        os.utime(self._at(name), ns=(mtime_ns, mtime_ns), dir_fd=self._descriptor, **_NO_FOLLOW)

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self._descriptor)

    def remove_temporary(self, name: str) -> None:
        """Removes what a run that was killed left; any other name is left alone."""
        if is_temporary(name):
            with contextlib.suppress(OSError):
                self.remove(name)

    def sync(self) -> None:
        """Makes new names survive a power cut, where the system can."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _at(self, name: str) -> str:
        """An entry as the system is asked for it: from the open folder, or by its path."""
        return name if self._descriptor is not None else os.path.join(self.path, name)


def split_path(photo: str) -> tuple[str, str]:
    """The folder of a photo and its name.

    Raises:
        TagRefused: it is a URL.
        PhotoNotFound: it cannot be the name of a file.
    """
    if _URL.match(photo):
        raise TagRefused("not a file on this machine")
    folder, name = os.path.split(photo)
    if name in ("", ".", "..") or "\0" in photo or PurePath(name).name != name:
        raise PhotoNotFound("no such file")
    return folder, name


def temporary_name() -> str:
    """A name for what is being written; short, so that it fits wherever the photo's name does."""
    return f".geolocate-{secrets.token_hex(8)}.partial"


def is_temporary(name: str) -> bool:
    """Whether it is such a name."""
    return _TEMPORARY.fullmatch(name) is not None


def _open_by_parts(root: Path, parts: tuple[str, ...]) -> int:
    """The folder's descriptor, reached without following any link below `root`."""
    held = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
            os.close(held)
            held = inner
    except OSError as error:
        os.close(held)
        reason = "not a folder" if error.errno in (errno.ELOOP, errno.ENOTDIR) else error.strerror
        raise PhotoNotReadable(f"its folder cannot be opened: {reason}") from None
    return held
