"""The journal of a run: every finished photo, so that a run that was interrupted goes on where it ended.

``NAME.journal`` beside the first output file ``NAME``, JSON lines. Each line is ``["checksum",content]``: the
first holds what the run is (inputs, options, bundle), each other one a prediction, nothing lost. The checksum
is the CRC-32 of the contents up to and with this one, so a line that a power cut left torn, empty or out of
place is noticed, and the journal ends before it. Lines are handed to the system one by one, which a killed
program cannot take back, and to the disk every few seconds, which a power cut cannot.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from geolocate.errors import OutputError, UsageError
from geolocate.file_lock import lock
from geolocate.records import Prediction
from geolocate.writers.prediction_json import prediction_from_json, prediction_to_json
from geolocate.writers.stream import output_error, shown
from geolocate.writers.target import check_replaceable, journal_path, sync_folder

#: Seconds of work that a power cut can cost.
SYNC_INTERVAL_S = 2.0
#: What every journal begins with, after the checksum.
_FORMAT = "geolocate journal 1"
#: No line is longer; what has no line end so far is no journal.
_LONGEST_LINE = 256 * 2**20
_SHOWN_VALUE = 60


class Journal:
    """The journal beside one output file, claimed for this process.

    Args:
        output: the real path of the output.
        overwrite: discard what there is.
        clock: seconds, monotonic.

    Attributes:
        path: of the journal.
        photos: how many it holds.
        run: what the run in it is; None where there is none.

    Raises:
        UsageError: another run is writing it now, or it is some other file.
        OutputError: it cannot be opened.
    """

    def __init__(
        self, output: Path, *, overwrite: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = journal_path(output)
        self.photos = 0
        self.run: Any = None
        self._clock = clock
        self._size = self._checksum = 0
        check_replaceable(output)
        check_replaceable(self.path)
        try:
            # O_NONBLOCK: what was checked can have become a pipe since.
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
            flags |= sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
            self._descriptor: int | None = os.open(self.path, flags, 0o666)
        except OSError as error:
            raise output_error(output, error) from error
        try:
            self._claim(output)
            if overwrite:
                os.ftruncate(self._descriptor, 0)
            self._read()
        except OSError as error:
            self._release()
            raise output_error(self.path, error) from error
        except BaseException:
            self._release()
            raise
        self._synced = clock()

    def _claim(self, output: Path) -> None:
        assert self._descriptor is not None
        if not lock(self._descriptor):
            raise UsageError(f"another run is writing {shown(output)} at this moment")
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise OutputError(f"cannot write {shown(self.path)}: it is no regular file")
        if not os.path.samestat(os.fstat(self._descriptor), self.path.stat()):
            raise UsageError(f"another run finished {shown(output)} at this moment: try again")
        with contextlib.suppress(OSError, AttributeError):
            os.fchmod(self._descriptor, stat.S_IMODE(output.stat().st_mode))

    def _read(self) -> None:
        """Finds the run, the number of photos, and where the last whole line ends."""
        for number, (content, checksum, end) in enumerate(self._lines()):
            if number == 0:
                self.run = _run_of(content)
                if self.run is None:
                    raise self._no_journal()
            self.photos, self._checksum, self._size = number, checksum, end
        if self.run is None and not self._is_torn():
            raise self._no_journal()

    def _no_journal(self) -> UsageError:
        return UsageError(f"{shown(self.path)} is no journal of an unfinished run; --overwrite discards it")

    def _lines(self) -> Iterator[tuple[bytes, int, int]]:
        """The content of each whole line from the start, its checksum, and where the line ends."""
        assert self._descriptor is not None
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        checksum = end = 0
        with io.BufferedReader(io.FileIO(self._descriptor, closefd=False), 2**20) as stream:
            while line := stream.readline(_LONGEST_LINE):
                content = line[_PREFIX:-_SUFFIX]
                checksum = zlib.crc32(content, checksum)
                if line != _line(content, checksum) or (end == 0 and not content.startswith(_BEGINNING)):
                    return
                end += len(line)
                yield content, checksum, end

    def _is_torn(self) -> bool:
        """Whether a file without any whole line can be a journal whose first line was cut off."""
        assert self._descriptor is not None
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        head = os.read(self._descriptor, _PREFIX + len(_BEGINNING))
        begun = head[_PREFIX:]
        if not head.strip(b"\0"):  # of a size that reached the disk before the content
            return True
        return b'["'.startswith(head[:2]) and _BEGINNING.startswith(begun)

    def begin(self, run: Mapping[str, Any]) -> None:
        """Goes on with the run in the journal, if there is one and this is the same; else begins a new one.

        Args:
            run: what decides over its rows. Values are JSON's, paths, or tuples of them.

        Raises:
            UsageError: there are photos of a run that differs; says in what.
            OutputError: the disk is full or gone.
        """
        assert self._descriptor is not None
        text = json.dumps([_FORMAT, run], default=os.fspath, separators=(",", ":"))
        _, wanted = json.loads(text)
        if self.photos and wanted != self.run:
            raise UsageError(
                f"{shown(self.path)} is of another run: {'; '.join(differences(self.run, wanted))}. "
                "Give the same arguments and options again, or --overwrite to start again"
            )
        try:
            if not self.photos:
                self._size = self._checksum = 0
            os.ftruncate(self._descriptor, self._size)
            if not self.photos:
                self._append(text.encode("ascii"))
            self.run = wanted
            self._sync()
            sync_folder(self.path.parent)
        except OSError as error:
            raise output_error(self.path, error) from error

    def earlier(self) -> Iterator[Prediction]:
        """The predictions in the journal, in order; to be read to the end before anything is written.

        Raises:
            UsageError: a line is none, though its checksum is right.
        """
        for number, (content, _, _) in enumerate(self._lines()):
            if number:
                try:
                    yield prediction_from_json(json.loads(content))
                except (ValueError, RecursionError) as error:  # edited, or of another version
                    raise UsageError(
                        f"{shown(self.path)}, line {number + 1}: not what this version writes ({error}); "
                        "--overwrite discards it"
                    ) from error

    def write(self, prediction: Prediction) -> None:
        """Appends one photo.

        Raises:
            OutputError: the disk is full or gone; the journal then still ends where the last write ended.
        """
        try:
            self._append(prediction_to_json(prediction))
            self.photos += 1
            if self._clock() - self._synced >= SYNC_INTERVAL_S:
                self._sync()
        except OSError as error:
            raise output_error(self.path, error) from error

    def _append(self, content: bytes) -> None:
        assert self._descriptor is not None
        checksum = zlib.crc32(content, self._checksum)
        line = _line(content, checksum)
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size, self._checksum = self._size + len(line), checksum

    def _sync(self) -> None:
        assert self._descriptor is not None
        os.fsync(self._descriptor)
        self._synced = self._clock()

    def close(self) -> None:
        """The run ends here for now: the journal stays where it holds photos. Never raises."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            if self.photos:
                if os.fstat(self._descriptor).st_size > self._size:  # Ctrl-C came amid a line
                    os.ftruncate(self._descriptor, self._size)
                self._sync()
            else:
                self._remove()
        self._release()

    def discard(self) -> None:
        """The run is complete and its outputs are in place: the journal goes. Raises OutputError."""
        try:
            self._remove()
        except OSError as error:
            raise output_error(self.path, error) from error
        finally:
            self._release()

    def _remove(self) -> None:
        if os.name == "nt":  # where no open file can be removed
            self._release()
        self.path.unlink(missing_ok=True)

    def _release(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _run_of(content: bytes) -> dict[str, Any] | None:
    """What the run is, by the first line of its journal; None where that says something else."""
    try:
        _, run = json.loads(content)
    except (ValueError, TypeError, RecursionError):
        return None
    return run if isinstance(run, dict) else None


def _line(content: bytes, checksum: int) -> bytes:
    return b'["%08x",%b]\n' % (checksum, content)


_PREFIX, _SUFFIX = len(b'["00000000",'), len(b"]\n")
_BEGINNING = json.dumps([_FORMAT]).encode("ascii").removesuffix(b"]") + b","


def differences(before: Any, now: Any) -> Iterator[str]:
    """What differs between two runs, in words: "top_k was 1 and is 5"."""
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from differences(old, new)
        elif old != new:
            values = [json.dumps(value, ensure_ascii=True) for value in (old, new)]
            if max(map(len, values)) > _SHOWN_VALUE:
                yield f"{name} differs"
            else:
                yield f"{name} was {values[0]} and is {values[1]}"
