"""The same photos by `geolocate distributed` and by the plain command, on the same cores, in turn.

    python benchmarks/distributed.py --photos DIR [--counts N ...] [--turns N] [--actors N] [--json FILE]

DIR holds any photos; what is measured are as many files as asked for, each of other bytes, so that none is a
copy. Rates are of the steady state: from a tenth of the photos to the last, by the times at which rows and
partitions appear. What Ray costs besides, to start and to end, is stated by itself. Processor time is that of
all processes of a run; between two counts, the start drops out of it, and what else the machine does changes
it less than it does wall time. Memory is the proportional set size of all processes together, at its peak.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

PROGRAM = [sys.executable, "-m", "geolocate"]
COUNTS = (2000, 8000)
SAMPLE_S = 1.0
#: The steady state begins after this share of the photos.
WARM = 0.1
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Run:
    """One run: wall seconds, photos a second in the steady state, processor seconds, peak memory."""

    way: str
    photos: int
    wall_s: float
    rate: float
    cpu_s: float
    peak_mb: float
    processes: int


def copies(source: Path, folder: Path, count: int) -> None:
    """Photos of `source`, over and over, each followed by other bytes that decoders do not read."""
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not files:
        raise SystemExit(f"no photos in {source}")
    for number, file in enumerate(islice(cycle(files), count)):
        target = folder / f"{number // 1000:03}" / f"{number:06}{file.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes() + number.to_bytes(4, "little"))


class Watch(threading.Thread):
    """Looks at a process and those below it, until it ends."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._cpu: dict[int, float] = {}
        self._over = threading.Event()
        self.peak_mb = 0.0
        self.processes = 0

    def run(self) -> None:
        """Until :meth:`end`."""
        while not self._over.wait(SAMPLE_S):
            below = list(descendants(self._process))
            memory = 0.0
            for process, cpu_s in below:
                self._cpu[process] = cpu_s
                memory += proportional_mb(process)
            self.peak_mb = max(self.peak_mb, memory)
            self.processes = max(self.processes, len(below))

    def end(self) -> float:
        """Processor seconds of all of them."""
        self._over.set()
        self.join()
        return sum(self._cpu.values())


def descendants(root: int) -> Iterator[tuple[int, float]]:
    """Each process at or below `root`, with its processor seconds so far."""
    below, used = defaultdict(list), {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue
        words = text[text.rindex(")") + 2 :].split()
        below[int(words[1])].append(int(entry.name))
        used[int(entry.name)] = (int(words[11]) + int(words[12])) / TICKS
    waiting = [root]
    while waiting:
        process = waiting.pop()
        waiting += below[process]
        if process in used:
            yield process, used[process]


def proportional_mb(process: int) -> float:
    """Memory of a process, what it shares with others by its share."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")), 0.0)


def plain(photos: Path, count: int) -> Run:
    """The plain command, its rows read as they come."""
    start = time.monotonic()
    process = subprocess.Popen([*PROGRAM, "-q", "--jsonl", "-", photos], stdout=subprocess.PIPE)
    watch = Watch(process.pid)
    watch.start()
    assert process.stdout is not None
    times = [time.monotonic() for _ in process.stdout]
    process.wait()
    wall = time.monotonic() - start
    assert len(times) == count, (len(times), count)
    first = int(count * WARM)
    rate = (count - 1 - first) / (times[-1] - times[first])
    return Run("plain", count, wall, rate, watch.end(), watch.peak_mb, watch.processes)


def distributed(photos: Path, count: int, actors: int) -> Run:
    """The cluster of this machine's cores, by the times of its partitions."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        size = max(1, count // 20)
        words = ["distributed", "-q", "--actors", str(actors), "--partition-size", str(size)]
        start = time.monotonic()
        process = subprocess.Popen([*PROGRAM, *words, photos, output])
        watch = Watch(process.pid)
        watch.start()
        process.wait()
        wall = time.monotonic() - start
        marks = sorted(output.glob("part-*.json"))
        done = [(json.loads(mark.read_text())["photos"], mark.stat().st_mtime) for mark in marks]
    assert sum(number for number, _ in done) == count
    warm = max(1, int(len(done) * WARM))
    later = sum(number for number, _ in done[warm:])
    rate = later / (done[-1][1] - done[warm - 1][1])
    return Run("distributed", count, wall, rate, watch.end(), watch.peak_mb, watch.processes)


def main() -> None:
    """Prints what the module's text says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, metavar="N")
    parser.add_argument("--turns", type=int, default=1, help="runs of each way and count")
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in options.counts:
            photos = Path(folder) / str(count)
            copies(options.photos, photos, count)
            for _ in range(options.turns):
                for run in (plain(photos, count), distributed(photos, count, options.actors)):
                    runs.append(run)
                    print(
                        f"{run.way:11} {count:6,} photos: {run.rate:6.1f}/s steady, {run.wall_s:6.1f} s "
                        f"in all, {run.cpu_s:6.1f} s of processors, {run.peak_mb:6,.0f} MB in "
                        f"{run.processes} processes",
                        flush=True,
                    )
            ours, theirs = (
                [run for run in runs if run.way == way and run.photos == count]
                for way in ("distributed", "plain")
            )
            ratios = [a.rate / b.rate for a, b in zip(ours, theirs, strict=True)]
            extra = [a.wall_s - count / a.rate for a in ours]
            print(
                f"  steady rate, distributed to plain: {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f}-{max(ratios):.2f}); start and end: {statistics.median(extra):.1f} s"
            )
            shutil.rmtree(photos)
    least, most = min(options.counts), max(options.counts)
    if least != most:
        per_photo = {}
        for way in ("plain", "distributed"):
            used = {
                count: statistics.median(run.cpu_s for run in runs if run.way == way and run.photos == count)
                for count in (least, most)
            }
            per_photo[way] = (used[most] - used[least]) / (most - least)
            print(
                f"{way}: {1000 * per_photo[way]:.2f} ms of processors a photo, between {least:,} and {most:,}"
            )
        print(
            f"  distributed to plain, by processor time: {per_photo['plain'] / per_photo['distributed']:.2f}"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")


if __name__ == "__main__":
    main()
