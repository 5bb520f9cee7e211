"""The same photos by `geolocate distributed` and by the plain command, on the same cores, in turn.

    python benchmarks/distributed.py --photos DIR [--counts N ...] [--turns N] [--actors N] [--json FILE]

DIR holds any photos; what is measured are as many files as asked for, each of other bytes, so that none is a
copy. Rates are of the steady state: the difference of two counts by that of their times, so what it takes to
start and to end drops out; that is stated by itself. Processor time is that of all processes of a run: what
else the machine does changes it less than it does wall time. Memory is the proportional set size of all
processes together, at its peak.
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
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Run:
    """One run: wall and processor seconds, memory at its peak, processes at the same time."""

    way: str
    photos: int
    wall_s: float
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


def run(way: str, count: int, words: list[str | Path]) -> Run:
    """Runs the program to its end, watched."""
    start = time.monotonic()
    process = subprocess.Popen([*PROGRAM, *words])
    watch = Watch(process.pid)
    watch.start()
    status = process.wait()
    wall = time.monotonic() - start
    if status:
        raise SystemExit(f"{way} ended with {status}")
    return Run(way, count, wall, watch.end(), watch.peak_mb, watch.processes)


def both(photos: Path, count: int, actors: int) -> Iterator[Run]:
    """The plain command, and the cluster of this machine's cores, to Parquet."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield run("plain", count, ["-q", "--parquet", folder / "out.parquet", photos])
        words = ["distributed", "-q", "--actors", str(actors), "--partition-size", "500"]
        yield run("distributed", count, [*words, photos, folder / "out"])


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
                for one in both(photos, count, options.actors):
                    runs.append(one)
                    print(
                        f"{one.way:11} {count:6,} photos: {one.wall_s:6.1f} s, {one.cpu_s:6.1f} s of "
                        f"processors, {one.peak_mb:6,.0f} MB in {one.processes} processes",
                        flush=True,
                    )
            shutil.rmtree(photos)
    least, most = min(options.counts), max(options.counts)
    if least == most:
        raise SystemExit("steady rates are the difference of two counts")
    rates, used = {}, {}
    for way in ("plain", "distributed"):
        wall, cpu = (
            {
                count: statistics.median(
                    getattr(one, value) for one in runs if (one.way, one.photos) == (way, count)
                )
                for count in (least, most)
            }
            for value in ("wall_s", "cpu_s")
        )
        rates[way] = (most - least) / (wall[most] - wall[least])
        used[way] = (cpu[most] - cpu[least]) / (most - least)
        print(
            f"{way}: {rates[way]:.1f} photos/s steady, {1000 * used[way]:.2f} ms of processors a photo; "
            f"start and end {wall[least] - least / rates[way]:.1f} s"
        )
    print(
        f"distributed to plain: {rates['distributed'] / rates['plain']:.2f} by time, "
        f"{used['plain'] / used['distributed']:.2f} by processor time"
    )
    if options.json:
        options.json.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")


if __name__ == "__main__":
    main()
