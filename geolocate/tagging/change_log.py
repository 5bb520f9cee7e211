"""The log of changes, `RESULTS.tagged`: what each file was before, so that all of it can be taken back.

JSON lines. Each is ``["checksum",content]``, the checksum the CRC-32 of all contents up to and with this one,
so that a line that a power cut left torn ends the log. A change is on the disk before anything happens to the
file, and says nothing of whether it then did: that is told from the file itself, which has the content from
before or the one from after.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from geolocate.errors import OutputError, UsageError
from geolocate.file_lock import lock
from geolocate.tagging.folder import is_temporary
from geolocate.text_safety import printable
from geolocate.untrusted_json import as_object, as_text, as_whole, take, wrong

LOG_SUFFIX = ".tagged"
_HEADER = b'"geolocate tag 1"'
#: No line is longer: sidecars of the largest size in base64.
_LONGEST_LINE = 64 * 2**20
_PREFIX, _SUFFIX = len(b'["00000000",'), len(b"]\n")


@dataclass(frozen=True, slots=True)
class Change:
    """What is about to become of a photo, or of its sidecar.

    Attributes:
        photo: its path, absolute.
        kind: "photo" for the photo itself; "begun" where only a temporary file is made so far.
        temporary: name of the file, in the photo's folder, in which the new content is written.
        before, after: SHA-256 of the contents, hex; empty where there is no file.
        previous: the sidecar's content from before; None where there was none.
        mode, mtime_ns: of the sidecar before.
    """

    photo: str
    kind: Literal["sidecar", "photo", "begun"]
    temporary: str
    before: str = ""
    after: str = ""
    previous: bytes | None = None
    mode: int = 0
    mtime_ns: int = 0


class ChangeLog:
    """The log of one file of results, claimed for this process.

    Args:
        results: the path of the results.

    Attributes:
        path: of the log.

    Raises:
        UsageError: another run is tagging from these results, or the file is some other one.
        OutputError: it cannot be opened.
    """

    def __init__(self, results: str) -> None:
        self.path = Path(os.path.realpath(results) + LOG_SUFFIX)
        flags = os.O_RDWR | os.O_CREAT
        flags |= sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"))
        try:
            # It holds what sidecars said, which is for the user alone.
            self._descriptor = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise self._error(error) from error
        try:
            self._claim()
            self._ends = [end for _, end in self._lines()]
            self._checksum = self._last_checksum
            self._cut_torn_line()
        except OSError as error:
            os.close(self._descriptor)
            raise self._error(error) from error
        except BaseException:
            os.close(self._descriptor)
            raise

    def _claim(self) -> None:
        if not lock(self._descriptor):
            raise UsageError(f"another run is using {printable(os.fspath(self.path))} at this moment")
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise OutputError(f"cannot write {printable(os.fspath(self.path))}: it is no regular file")
        if not os.path.samestat(os.fstat(self._descriptor), os.stat(self.path)):
            raise UsageError("another run ended at this moment: try again")

    def append(self, change: Change) -> None:
        """Adds a change; it is on the disk when the call returns.

        Raises:
            OutputError: the disk is full or gone; the log then still ends where the last change ended.
        """
        values = asdict(change)
        if change.previous is not None:
            values["previous"] = base64.b64encode(change.previous).decode("ascii")
        try:
            if not self._ends:
                self._write(_HEADER)
            self._write(json.dumps(values, separators=(",", ":")).encode("ascii"))
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._error(error) from error

    def newest_first(self) -> Iterator[Change]:
        """The changes, the newest first.

        Raises:
            UsageError: a line is no change though its checksum is right.
        """
        for number in range(len(self._ends) - 1, 0, -1):
            start, end = self._ends[number - 1], self._ends[number]
            os.lseek(self._descriptor, start, os.SEEK_SET)
            try:
                yield _change(_read(self._descriptor, end - start)[_PREFIX:-_SUFFIX])
            except (ValueError, RecursionError) as error:
                where = f"{printable(os.fspath(self.path))}, line {number + 1}"
                raise UsageError(f"{where}: not what this version writes ({error})") from error

    def discard(self) -> None:
        """Everything is taken back: the log goes. Raises OutputError."""
        try:
            if os.name == "nt":  # where no open file can be removed
                self.close()
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Lets go of the log; one without changes is removed. Never raises."""
        with contextlib.suppress(OSError):
            if not self._ends and os.fstat(self._descriptor).st_size == 0:
                self.path.unlink()
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def _end(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _write(self, content: bytes) -> None:
        checksum = zlib.crc32(content, self._checksum)
        line = _line(content, checksum)
        os.lseek(self._descriptor, self._end(), os.SEEK_SET)
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except BaseException:  # Ctrl-C too
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._end())
            raise
        self._ends.append(self._end() + len(line))
        self._checksum = checksum

    def _lines(self) -> Iterator[tuple[bytes, int]]:
        """The content of each whole line, and where it ends."""
        self._last_checksum = end = 0
        with os.fdopen(os.dup(self._descriptor), "rb") as stream:
            stream.seek(0)
            while line := stream.readline(_LONGEST_LINE):
                content = line[_PREFIX:-_SUFFIX]
                checksum = zlib.crc32(content, self._last_checksum)
                if line != _line(content, checksum) or (not end and content != _HEADER):
                    return
                end += len(line)
                self._last_checksum = checksum
                yield content, end

    def _cut_torn_line(self) -> None:
        """Removes the beginning of a line at the end, which is all that a kill or a power cut leaves.

        Raises:
            UsageError: the rest is more than that.
        """
        os.lseek(self._descriptor, self._end(), os.SEEK_SET)
        rest = os.read(self._descriptor, _LONGEST_LINE)
        first = _line(_HEADER, zlib.crc32(_HEADER))
        begun = bool(self._ends) or first.startswith(rest) or not rest.strip(b"\0")
        if b"\n" in rest or not begun:
            what = f"is damaged after line {len(self._ends)}" if self._ends else "is no log of geolocate tag"
            raise UsageError(f"{printable(os.fspath(self.path))} {what}: move it away")
        if rest:
            os.ftruncate(self._descriptor, self._end())

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {printable(os.fspath(self.path))}: {error.strerror or error}")


def _line(content: bytes, checksum: int) -> bytes:
    return b'["%08x",%b]\n' % (checksum, content)


def _read(descriptor: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (chunk := os.read(descriptor, size - len(data))):
        data += chunk
    return bytes(data)


def _change(content: bytes) -> Change:
    """The change of a line. Raises ValueError."""
    # Undecodable bytes of a path are lone surrogates, which are no JSON of strangers.
    raw = as_object(json.loads(content))
    previous = raw.get("previous")
    return Change(
        photo=take(raw, "photo", as_text),
        kind=take(raw, "kind", _kind),
        temporary=take(raw, "temporary", _temporary),
        before=take(raw, "before", as_text),
        after=take(raw, "after", as_text),
        previous=None if previous is None else base64.b64decode(as_text(previous), validate=True),
        mode=take(raw, "mode", as_whole(0, 0o777)),
        mtime_ns=take(raw, "mtime_ns", as_whole(-(2**70), 2**70)),  # ext4 reaches the year 2446
    )


def _kind(value: object) -> Literal["sidecar", "photo", "begun"]:
    if value not in ("sidecar", "photo", "begun"):
        raise wrong(value, "a kind of change")
    return value


def _temporary(value: object) -> str:
    if not is_temporary(as_text(value)):
        raise wrong(value, "the name of a temporary file")
    return as_text(value)
