"""A decoder process: gets paths, one at a time, and answers with pixels (:mod:`geolocate.decode_processes`).

Where the system has limits, it takes them on itself before it sees the first photo: memory beyond what it has
by then (Linux), no file written, no core dump, and an alarm that ends it where a photo hangs and nobody is
left to stop it (POSIX).
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from geolocate.decode_frames import read_request, write_answer, write_greeting
from geolocate.decoded_item import DecodedItem, DecodeOptions, decode_item

#: Memory of a decoder process beyond its libraries: three copies of the largest picture at 4 bytes a pixel,
#: and what files, EXIF blocks and the decoders' own threads take.
BYTES_PER_PIXEL = 12
MEMORY_BYTES = 512 * 2**20
#: The alarm comes after the time limit that the program itself holds.
ALARM_MARGIN_S = 5.0


def settings_to_json(size: int, options: DecodeOptions, exif: bool) -> str:
    """The argument of a decoder process: all that it is told besides paths; it fetches nothing."""
    told = {name: value for name, value in asdict(options).items() if name != "fetch"}
    return json.dumps({"size": size, "options": told, "exif": exif})


def main() -> None:
    """Decodes until its standard input ends; the settings are its last argument."""
    settings = json.loads(sys.argv[-1])
    size, options, exif = settings["size"], DecodeOptions(**settings["options"]), settings["exif"]
    requests, answers = _take_streams()
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if exif:
        import exifread  # noqa: F401  # so that it counts as a library
    limit_process(MEMORY_BYTES + BYTES_PER_PIXEL * options.max_pixels)
    try:
        write_greeting(answers)
        while (path := read_request(requests)) is not None:
            _alarm(options.time_limit_s + ALARM_MARGIN_S)
            item = _decode(os.fsdecode(path), size, options, exif)
            _alarm(0)  # the answer waits for a program that was stopped
            write_answer(answers, item)
    except BrokenPipeError:
        pass  # the program has gone


def _decode(photo: str, size: int, options: DecodeOptions, exif: bool) -> DecodedItem:
    try:
        return decode_item(photo, size, options, exif)
    except MemoryError:
        return DecodedItem(photo, error="not enough memory to decode it")
    except Exception as error:  # a fault of ours: here it costs this photo, and its row names it
        return DecodedItem(photo, error=f"the decoder failed: {type(error).__name__}: {error}")


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output, out of reach of libraries that print."""
    requests, answers = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return requests, answers


def _alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def limit_process(memory: int) -> None:
    """Gives this process so much more memory (bytes) and no other means to write or to fill the disk.

    What exceeds it is a MemoryError here, and not a reason for the system to kill some process of its choice.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    _lower(resource, resource.RLIMIT_CORE, 0)
    _lower(resource, resource.RLIMIT_FSIZE, 0)
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return
    if match := re.search(r"^VmData:\s+(\d+) kB$", status, re.MULTILINE):
        _lower(resource, resource.RLIMIT_DATA, 1024 * int(match[1]) + memory)


def _lower(resource: Any, which: int, limit: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(which, (limit, limit))


if __name__ == "__main__":
    main()
