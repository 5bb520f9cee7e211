"""Decoding in processes of their own: a decoder that crashes, hangs or takes all memory costs one photo.

The decoders are C libraries that read what strangers wrote. Each process has one photo at a time, so that it
is known which photo ended it, and no other photo is lost with it; a fresh process takes its place. Processes
are programs of their own and not forks: a decoder shares nothing with the program but a pipe (what comes
through it: :mod:`geolocate.decode_frames`), and this works alike on every system. That bounds faults, and
makes an attack harder; it is no sandbox, for a process may still read what its user may.

They do not hear the keys of the terminal, end when the pipe to the program does, and are killed and waited
for when decoding ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from typing import BinaryIO, cast

from geolocate.decode_frames import BadFrame, read_answer, read_greeting, write_request
from geolocate.decode_worker import settings_to_json
from geolocate.decoded_item import DecodedItem, DecodeOptions
from geolocate.errors import DecoderError

#: A process that is not ready by then never will be.
START_LIMIT_S = 60.0
#: Time is counted in these while the program runs: a laptop that slept, or Ctrl-Z, costs no photo.
TICK_S = 0.1
#: How long a process whose pipe has closed may take to end.
LAST_BREATH_S = 1.0

#: In the names of variables that a decoder has no use for.
_CREDENTIALS = re.compile(
    r"^(AWS|AZURE|GOOGLE|GCS|GCP|CLOUDSDK|FSSPEC|S3)_|KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL"
)

#: Modules are looked for where the program looks for them, and never in the working folder.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from geolocate.decode_worker import main; main()"
)


def worker_command() -> list[str]:
    """The words that run a decoder process, but for its settings."""
    folders = [folder for folder in sys.path if folder and not _is_working_folder(folder)]
    return [sys.executable, "-P", "-c", _PROGRAM, json.dumps(folders)]


def _is_working_folder(folder: str) -> bool:
    try:
        return os.path.samefile(folder, os.curdir)
    except OSError:
        return False


def _without_credentials() -> dict[str, str]:
    """The environment but for what opens a store or a service: photos are no business of theirs."""
    return {name: value for name, value in os.environ.items() if not _CREDENTIALS.search(name.upper())}


class DecoderProcesses:
    """Decoder processes, as many as there are threads that ask at the same time.

    Args:
        size: side S of the pixels.
        exif: read the EXIF facts as well.
    """

    def __init__(self, size: int, options: DecodeOptions, exif: bool) -> None:
        self._size = size
        self._time_limit_s = options.time_limit_s
        self._words = [*worker_command(), settings_to_json(size, options, exif)]
        self._lock = threading.Lock()
        self._all: set[_Process] = set()
        self._idle: list[_Process] = []
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._stop_overdue, name="decode-watch", daemon=True)
        self._watch.start()

    def decode(self, photo: str) -> DecodedItem:
        """What :func:`geolocate.decoded_item.decode_item` gives, or an error that says how the decoder ended.

        Raises:
            DecoderError: no process can be started.
        """
        try:
            path = os.fsencode(photo)
        except ValueError:  # characters that no file name can have
            return DecodedItem(photo, error="no such file")
        process = self._take()
        try:
            try:
                process.begin(self._time_limit_s)
                write_request(process.requests, path)
            except OSError:  # it was ended while it had nothing to do: no fault of this photo
                self._drop(process)
                process = self._start()
                process.begin(self._time_limit_s)
                write_request(process.requests, path)
            item = read_answer(process.answers, photo, self._size)
        except (BadFrame, OSError):
            self._drop(process)
            return DecodedItem(photo, error=self._ending(process))
        with self._lock:
            goes_on = process.end() and not self._closed.is_set()
            if goes_on:
                self._idle.append(process)
        if not goes_on:
            self._drop(process)
        return item

    def close(self) -> None:
        """Kills the processes, whatever they are at, and waits for them."""
        self._closed.set()
        with self._lock:
            processes, idle = list(self._all), list(self._idle)
        for process in processes:
            process.kill()
        for process in idle:  # the threads that read from the others drop them
            self._drop(process)
        self._watch.join()

    def _take(self) -> _Process:
        with self._lock:
            process = self._idle.pop() if self._idle else None
        if process is not None and process.has_ended():
            self._drop(process)
            process = None
        return process or self._start()

    def _start(self) -> _Process:
        with self._lock:
            if self._closed.is_set():
                raise DecoderError("decoding has ended")
            process = _Process(self._words)
            self._all.add(process)
        try:
            process.begin(START_LIMIT_S)
            read_greeting(process.answers)
        except (BadFrame, OSError):
            self._drop(process)
            raise DecoderError(
                f"a decoder process does not start: it {process.ending()}; "
                "without --isolate, photos are decoded in this process"
            ) from None
        return process

    def _drop(self, process: _Process) -> None:
        process.dispose()
        with self._lock:
            self._all.discard(process)

    def _ending(self, process: _Process) -> str:
        if process.overdue:
            return f"took longer than {self._time_limit_s:g} s to decode"
        return f"its decoder {process.ending()}"

    def _stop_overdue(self) -> None:
        while not self._closed.wait(TICK_S):
            with self._lock:
                processes = list(self._all)
            for process in processes:
                process.tick(TICK_S)


class _Process:
    """One decoder process with its two pipes, and how long it has been busy."""

    def __init__(self, words: list[str]) -> None:
        try:
            self._process = subprocess.Popen(
                words,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_without_credentials()
                | {"OPENBLAS_NUM_THREADS": "1"},  # its buffers would count as memory
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            raise DecoderError(f"a decoder process does not start: {error}") from error
        self.requests = cast(BinaryIO, self._process.stdin)
        self.answers = cast(BinaryIO, self._process.stdout)
        self.overdue = False
        self._status: int | None = None
        self._left_s: float | None = None
        self._lock = threading.Lock()

    def begin(self, limit_s: float) -> None:
        """Starts counting; the process is killed when the time is up."""
        with self._lock:
            self._left_s = limit_s

    def end(self) -> bool:
        """Stops counting; whether the process was in time and can go on."""
        with self._lock:
            self._left_s = None
            return not self.overdue

    def tick(self, seconds: float) -> None:
        """So much time has passed."""
        with self._lock:
            if self._left_s is None:
                return
            self._left_s -= seconds
            if self._left_s < 0 and not self.overdue:
                self.overdue = True
                self._process.kill()

    def has_ended(self) -> bool:
        """Whether it is gone, of whatever."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """Ends it at once and waits for it; the pipes stay, for a thread may be reading."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # of a disk that has gone, not even this ends it
            self._process.wait(LAST_BREATH_S)

    def dispose(self) -> None:
        """Ends it, waits for it and closes its pipes."""
        with self._lock:
            self._left_s = None
        try:
            self._status = self._process.wait(LAST_BREATH_S)  # of a crash: a kill would hide it
        except subprocess.TimeoutExpired:
            self.kill()
        for stream in (self.requests, self.answers):
            with contextlib.suppress(OSError):
                stream.close()

    def ending(self) -> str:
        """How it ended, as the rest of a sentence."""
        status = self._status
        if status is None:
            return "gave an answer that makes no sense"
        if status >= 0:
            return f"ended with status {status}"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        if name == "SIGKILL":
            return "was killed (SIGKILL), perhaps for want of memory"
        return f"crashed ({name})"
