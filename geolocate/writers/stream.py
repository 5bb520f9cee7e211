"""Outputs that get every row at once: standard output, a pipe, a device, an open descriptor."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

from geolocate.errors import OutputError
from geolocate.text_safety import printable

STANDARD_OUTPUT = "-"

OutputPath = str | os.PathLike[str]

#: Names of descriptors that are open already: bash gives such for ``>(command)``.
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self|proc/thread-self)/fd/(\d{1,9})")
_STREAMS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


def is_direct(path: OutputPath) -> bool:
    """Whether rows go straight to `path`: standard output, a pipe, a device, an open descriptor."""
    if is_standard_output(path) or descriptor_named(path) is not None:
        return True
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def is_standard_output(path: OutputPath) -> bool:
    """Whether `path` is one of the names of standard output."""
    return os.fspath(path) == STANDARD_OUTPUT or descriptor_named(path) == 1


def descriptor_named(path: OutputPath) -> int | None:
    """The number of the open descriptor that `path` names, if it does."""
    name = os.path.normpath(path)
    match = _DESCRIPTOR.fullmatch(name)
    return int(match[1]) if match else _STREAMS.get(name)


def is_terminal(path: OutputPath) -> bool:
    """Whether `path` is standard output, or a descriptor that is open, and that a terminal."""
    if is_standard_output(path):
        return sys.stdout is not None and sys.stdout.isatty()
    number = descriptor_named(path)
    return number is not None and os.isatty(number)


class StreamTarget:
    """A pipe, a device or standard output: no second chance, so nothing is held back."""

    def __init__(self, stream: IO[bytes], name: str, *, owned: bool) -> None:
        self._stream = stream
        self._name = name
        self._owned = owned

    @classmethod
    def standard_output(cls) -> StreamTarget:
        """Raises OutputError where the program was started with standard output closed."""
        if sys.stdout is None:
            raise OutputError("cannot write to standard output: it is closed")
        sys.stdout.flush()
        return cls(sys.stdout.buffer, "standard output", owned=False)

    @classmethod
    def descriptor(cls, number: int, path: OutputPath) -> StreamTarget:
        """Writes where an open descriptor writes, at its place. Raises OutputError where it does not."""
        try:
            if not _is_writable(number):
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            return cls(os.fdopen(os.dup(number), "wb", buffering=0), shown(path), owned=True)
        except OSError as error:
            raise output_error(path, error) from error

    @classmethod
    def device(cls, path: OutputPath, say: Callable[[str], None] = lambda text: None) -> StreamTarget:
        """Opens a pipe, and waits for its reader if need be, or a device.

        Raises OutputError where it cannot be opened.
        """
        flags = os.O_WRONLY | getattr(os, "O_NOCTTY", 0)
        try:
            try:
                descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
            except OSError as error:
                if error.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(path).st_mode):
                    raise
                say(f"waiting for a reader of {shown(path)}")
                descriptor = os.open(path, flags)
            if hasattr(os, "set_blocking"):
                os.set_blocking(descriptor, True)
            # Unbuffered: what a full device refused must not be tried again when the stream is closed.
            return cls(os.fdopen(descriptor, "wb", buffering=0), shown(path), owned=True)
        except OSError as error:
            raise output_error(path, error) from error

    def write(self, data: bytes) -> None:
        """Raises BrokenPipeError where the reader has gone, OutputError for any other failure."""
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._stream.write(rest) :]
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise output_error(self._name, error) from error

    def commit(self) -> None:
        """Raises as :meth:`write`."""
        self.write(b"")
        if self._owned:
            self._stream.close()

    def abandon(self) -> Path | None:
        """Nothing to keep."""
        if self._owned:
            with contextlib.suppress(OSError):
                self._stream.close()
        return None


def shown(path: OutputPath) -> str:
    """A path for a message."""
    return printable(os.fspath(path))


def output_error(path: OutputPath, error: OSError | ValueError) -> OutputError:
    """What the system says of `path`, as an error of ours."""
    reason = error.strerror if isinstance(error, OSError) else None
    return OutputError(f"cannot write {shown(path)}: {reason or error}")


def _is_writable(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: the first row will tell
        return True
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
