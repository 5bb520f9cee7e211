"""Running the whole program on a bad input, and measuring what one costs."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from geolocate.cli import cli

#: The installed program, for what needs a process of its own: signals, streams, limits.
PROGRAM = [sys.executable, "-m", "geolocate"]

Rows = list[dict[str, str]]
Word = str | os.PathLike[str]

_MEASURE = """
import json, resource, sys, time
from geolocate.errors import PhotoError
from geolocate.exif import read_exif
from geolocate.photos import bounds, decode, decode_photo

if sys.argv[1] == "without":
    decode.check_bounds = lambda *_: None
    bounds.MAX_HEADER_BYTES = bounds.MAX_HEADER_READS = 2**40


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


decode_photo(sys.argv[2], size=224)
for path in sys.argv[3:]:
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")  # the peak begins again at what is held now
    before, started, error, truth = peak(), time.process_time(), None, False
    try:
        truth = read_exif(decode_photo(path, size=224).exif).position is not None
    except PhotoError as failure:
        error = str(failure)
    print(json.dumps([time.process_time() - started, peak() - before, error, truth]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What decoding one file and reading its EXIF took.

    Attributes:
        seconds: of processor time.
        mib: how far the peak memory rose above what was held before.
        error: the row error, None where it gave a picture.
        truth: whether its EXIF gave a position.
    """

    seconds: float
    mib: float
    error: str | None
    truth: bool


def run(*words: Word, stdin: bytes | None = None, **environment: str) -> Result:
    """The program in this process, with the bundle that is shipped; results and messages apart."""
    call = [os.fspath(word) for word in words]
    return CliRunner(env={"GEOLOCATE_MODEL": "starter", **environment}).invoke(cli, call, input=stdin)


def rows(text: str) -> Rows:
    """The rows of a CSV output."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def row_of(result: Result) -> dict[str, str]:
    """The only row of a run over one photo; the run ended as that row says."""
    (row,) = rows(result.stdout)
    assert result.exit_code == (3 if row["error"] else 0), result.stderr
    assert "Traceback" not in result.stderr
    return row


def row_error(*words: Word) -> str:
    """Why the only photo of a run failed, in its row; empty where it was placed."""
    return row_of(run(*words))["error"]


def costs(good: Path, files: Sequence[Path], seconds: float = 60, bounds: bool = True) -> list[Cost]:
    """What each of the files costs in one fresh process, after a good photo has warmed it.

    Args:
        seconds: for all of them.
        bounds: whether headers are held against the bounds first.
    """
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, "with" if bounds else "without", good, *files],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr
    return [Cost(*json.loads(line)) for line in done.stdout.splitlines()]
