"""Memory and time of whole runs over 100, 10,000 and 1,000,000 photos: is the one flat, the other a line?

    python benchmarks/memory.py [--photos N ...] [--folder DIR] [--json FILE]

Each run is the program itself on small real photos, with a journal, CSV and JSON lines written and the line
of progress on; the bundle has a trivial encoder and a small gallery (see `small_photos.py`). Once a second
its memory, its processor time and the size of its journal are noted. Then the same outputs are made twice
more with `--resume`: from the whole journal, and from one that breaks off amid a line after nine tenths.

Memory is compared with the goal: model and gallery, as the program holds them before the first photo, and
600 MB. Slopes are least squares over the notes after the first tenth of the run; the interval is two standard
errors, of as many independent notes as their autocorrelation leaves. Processor time depends less than wall
time on who else uses the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from small_photos import write_photos, write_small_bundle

PHOTOS = (100, 10_000, 1_000_000)
GOAL_MB = 600
SAMPLE_S = 1.0
OUTPUTS = ("out.csv", "out.jsonl")
#: Of the journal, where the run is resumed a second time.
CUT_AT = 0.9
#: Nothing is asked of the encoder and the ranking but not to be in the way.
OPTIONS = ("--batch-size", "64", "--workers", "1", "--ranking", "points", "--concepts", "0", "--progress")


@dataclass(frozen=True)
class Note:
    """What a process was at one moment."""

    seconds: float
    cpu_s: float
    rss_mb: float
    anonymous_mb: float
    journal_bytes: int


@dataclass(frozen=True)
class Run:
    """One run of the program."""

    photos: int
    what: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    notes: list[Note]
    status: int


def note(process: int, begun: float, journal: Path) -> Note | None:
    """How the process is now; None once it is over."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = (line.partition(":") for line in lines)
    sizes = {name: int(rest.split()[0]) for name, _, rest in fields if rest.endswith("kB")}
    if "VmRSS" not in sizes:
        return None
    written = journal.stat().st_size if journal.exists() else 0
    cpu_s = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return Note(time.monotonic() - begun, cpu_s, sizes["VmRSS"] / 1e3, sizes["RssAnon"] / 1e3, written)


def run(folder: Path, photos: Path, bundle: Path, count: int, what: str, *more: str) -> Run:
    """Runs the program to its end and watches it."""
    words = [sys.executable, "-m", "geolocate", str(photos), "--model", str(bundle), *OPTIONS, *more]
    words += ["--csv", str(folder / OUTPUTS[0]), "--jsonl", str(folder / OUTPUTS[1])]
    journal, kept = folder / "out.csv.journal", folder / f"{count}.journal"
    notes: list[Note] = []
    begun = time.monotonic()
    with (folder / f"{count}.log").open("a") as log:
        process = subprocess.Popen(words, stderr=log)
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            if now := note(process.pid, begun, journal):
                notes.append(now)
            if journal.exists() and not kept.exists():
                os.link(journal, kept)  # the program removes its own name of it
            time.sleep(SAMPLE_S if time.monotonic() - begun > 5 else 0.1)
    wall_s = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s = usage.ru_utime + usage.ru_stime
    return Run(count, what, wall_s, cpu_s, usage.ru_maxrss / 1e3, notes, process.returncode)


def runs(folder: Path, photos: Path, bundle: Path, count: int) -> Iterator[Run]:
    """Yields the whole run and both resumed ones; their outputs are the same, byte for byte."""
    yield run(folder, photos, bundle, count, "whole")
    wanted = digests(folder)
    journal, kept = folder / "out.csv.journal", folder / f"{count}.journal"
    os.link(kept, journal)
    yield run(folder, photos, bundle, count, "resumed from the whole journal", "--resume")
    assert digests(folder) == wanted, "resumed from the whole journal, the outputs are others"
    os.truncate(kept, int(CUT_AT * kept.stat().st_size))
    os.link(kept, journal)
    yield run(folder, photos, bundle, count, f"resumed after {CUT_AT:.0%}", "--resume")
    assert digests(folder) == wanted, "resumed from a part of the journal, the outputs are others"
    kept.unlink()


def digests(folder: Path) -> list[str]:
    """Of the outputs."""
    hashes = []
    for name in OUTPUTS:
        digest = sha256()
        with (folder / name).open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
        hashes.append(digest.hexdigest())
    return hashes


def line(x: NDArray[np.float64], y: NDArray[np.float64]) -> dict[str, float]:
    """The least-squares line through points: slope, two standard errors, largest residual."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    (slope, start), *_ = np.linalg.lstsq(design, y, rcond=None)
    residuals = y - design @ (slope, start)
    spread = float(((x - x.mean()) ** 2).sum())
    variance = float(residuals @ residuals) / max(1, len(x) - 2)
    # Neighbouring notes resemble each other: of n, so many count.
    scale = float(residuals @ residuals) or 1.0
    alike = min(0.99, max(0.0, float(residuals[1:] @ residuals[:-1]) / scale))
    error = 2 * (variance / spread * (1 + alike) / (1 - alike)) ** 0.5
    return {
        "slope": float(slope),
        "two_standard_errors": error,
        "start": float(start),
        "largest_residual": float(np.abs(residuals).max()),
    }


def lines(taken: Run) -> dict[str, dict[str, float]]:
    """Memory (MB) and time (s) against millions of photos, after the first tenth of a long run."""
    last = max((note.journal_bytes for note in taken.notes), default=0)
    notes = [note for note in taken.notes if note.journal_bytes > last / 10]
    if len(notes) < 20:
        return {}
    millions = np.array([taken.photos / 1e6 * note.journal_bytes / last for note in notes])
    return {
        name: line(millions, np.array([getattr(note, name) for note in notes]))
        for name in ("rss_mb", "anonymous_mb", "cpu_s", "seconds")
    }


def before_photos_mb(taken: Run) -> float:
    """Memory with model and gallery open and no photo done."""
    return max((note.rss_mb for note in taken.notes if note.journal_bytes < 2000), default=0.0)


def report(taken: Run) -> dict[str, Any]:
    """Prints one run and returns its figures."""
    fits = lines(taken) if taken.what == "whole" else {}
    print(
        f"{taken.photos:9,} photos, {taken.what}: {taken.wall_s:.1f} s, processor {taken.cpu_s:.1f} s, "
        f"peak {taken.peak_mb:.0f} MB, status {taken.status}"
    )
    if taken.what == "whole":
        print(f"{'':10}before the first photo {before_photos_mb(taken):.0f} MB (goal: that and {GOAL_MB} MB)")
    for name, fit in fits.items():
        print(
            f"{'':10}{name} for a million: {fit['slope']:.2f} +- {fit['two_standard_errors']:.2f}, "
            f"farthest from the line {fit['largest_residual']:.2f}"
        )
    return asdict(taken) | {"before_photos_mb": before_photos_mb(taken), "lines": fits}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, nargs="+", default=PHOTOS)
    parser.add_argument("--folder", type=Path, help="keeps the photos for the next time, 4 GB for a million")
    parser.add_argument("--json", type=Path, help="where the figures go as JSON")
    options = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_small_bundle(folder / "bundle")
        for count in options.photos:
            photos = (options.folder or folder) / str(count)
            if not photos.exists():
                write_photos(photos, count)
            for taken in runs(folder, photos, folder / "bundle", count):
                figures.append(report(taken))
                sys.stdout.flush()
                if options.json:
                    options.json.write_text(json.dumps(figures) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
