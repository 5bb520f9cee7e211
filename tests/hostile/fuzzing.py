"""Reads many damaged files in child processes, and tells what came of each: a crash costs one file there.

A case is named SEED:KIND:NUMBER, and everything about it follows from that name. Limits per file: seconds of
processor time, and memory over what the child had when it began.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hostile.targets import Target, targets

from geolocate.errors import GeolocateError

#: Of processor time, for one file.
TIME_LIMIT_S = 2.0
#: Over the baseline, for one file.
MEMORY_LIMIT_BYTES = 500 * 2**20
#: A child may have so much in all, so that no file takes the machine's memory.
CHILD_LIMIT_BYTES = 3 * 2**30
#: Of the clock: a child that is silent for so long hangs.
HANG_S = 60.0

_CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from hostile.fuzzing import child; child()"


def _slow(data: bytes, folder: Path, generator: random.Random) -> str:
    end = time.process_time() + TIME_LIMIT_S + 0.1 if generator.random() < 0.5 else 0.0
    while time.process_time() < end:
        pass
    return "fine"


def _large(data: bytes, folder: Path, generator: random.Random) -> str:
    return "fine" if any(b"\1" * (MEMORY_LIMIT_BYTES + 2**24)) else "fault"


def _wrong(data: bytes, folder: Path, generator: random.Random) -> str:
    raise KeyError("no error of ours")


def _crash(data: bytes, folder: Path, generator: random.Random) -> str:
    if generator.random() < 0.5:
        os.abort()
    return "fine"


#: Readers with faults, to see that those are found.
BAD_READERS = {
    name: Target(lambda generator: b"", read)
    for name, read in (("slow", _slow), ("large", _large), ("wrong", _wrong), ("crash", _crash))
}


@dataclass
class Outcome:
    """What came of one file: a word of its reader, the name of an error, or a fault."""

    case: str
    word: str
    seconds: float = 0.0
    growth_bytes: int = 0
    fault: str = ""


@dataclass
class Report:
    """What came of all."""

    words: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[Outcome] = field(default_factory=list)
    slowest: list[Outcome] = field(default_factory=list)
    largest: list[Outcome] = field(default_factory=list)
    leak_bytes: int = 0

    @property
    def files(self) -> int:
        """How many were read."""
        return self.words.total()

    def add(self, outcome: Outcome) -> None:
        """Takes one in."""
        self.words[outcome.case.split(":")[1], outcome.word] += 1
        if outcome.fault:
            self.faults.append(outcome)
        self.slowest = sorted([*self.slowest, outcome], key=lambda one: -one.seconds)[:5]
        self.largest = sorted([*self.largest, outcome], key=lambda one: -one.growth_bytes)[:5]


def case_file(case: str) -> tuple[Target, bytes, random.Random]:
    """The reader of a case, its damaged file, and the random numbers that its reader goes on with."""
    kind = case.split(":")[1]
    target, generator = {**targets(), **BAD_READERS}[kind], random.Random(case)
    return target, target.make(generator), generator


def run_case(case: str, folder: Path) -> Outcome:
    """Reads one file here; whatever its reader raises is in the outcome."""
    target, data, generator = case_file(case)
    before = _high_water_after_reset()
    begun = time.process_time()
    outcome = Outcome(case, "fault")
    try:
        outcome.word = target.read(data, folder, generator)
    except GeolocateError as error:
        outcome.word = type(error).__name__
    except Exception:
        outcome.fault = traceback.format_exc()
    outcome.seconds = time.process_time() - begun
    outcome.growth_bytes = max(0, _high_water() - before)
    if not outcome.fault and outcome.seconds > TIME_LIMIT_S:
        outcome.fault = f"took {outcome.seconds:.1f} s"
    if not outcome.fault and outcome.growth_bytes > MEMORY_LIMIT_BYTES:
        outcome.fault = f"took {outcome.growth_bytes / 2**20:.0f} MiB"
    return outcome


def fuzz(kinds: Sequence[str], files: int, *, seed: int = 0, jobs: int = 1, seconds: float = 1e9) -> Report:
    """Reads so many files, the kinds in turn, until the time is up.

    Args:
        files: in all.
        jobs: child processes.
        seconds: no file begins after that.
    """
    report, lock = Report(), threading.Lock()
    end = time.monotonic() + seconds

    def work(job: int) -> None:
        following = job
        while following < files and time.monotonic() < end:
            following = _run_child(kinds, files, seed, jobs, following, end, report, lock)

    threads = [threading.Thread(target=work, args=(job,)) for job in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return report


def _run_child(
    kinds: Sequence[str],
    files: int,
    seed: int,
    jobs: int,
    first: int,
    end: float,
    report: Report,
    lock: threading.Lock,
) -> int:
    """One child, from a file on until it ends; returns the number of the file after its last."""
    plan = {"kinds": [*kinds], "files": files, "seed": seed, "step": jobs, "first": first}
    words = [sys.executable, "-P", "-X", "faulthandler", "-c", _CHILD, json.dumps(sys.path), json.dumps(plan)]
    current: int | None = None
    heard = time.monotonic()
    silent = False
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=messages, text=True) as process,
    ):
        done = threading.Event()

        def watch() -> None:
            nonlocal silent
            while not done.wait(0.5):
                now = time.monotonic()
                if now - heard > HANG_S:
                    silent = True
                if silent or now > end:
                    process.kill()
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert process.stdout is not None
        try:
            for line in process.stdout:
                heard = time.monotonic()
                told = json.loads(line)
                if "begins" in told:
                    current = told["begins"]
                elif "leak" in told:
                    with lock:
                        report.leak_bytes = max(report.leak_bytes, told["leak"])
                else:
                    first, current = told["number"] + jobs, None
                    with lock:
                        report.add(Outcome(**told["outcome"]))
        finally:
            done.set()
            watcher.join()
        status = process.wait()
        if status == 0:
            return files
        if not silent and time.monotonic() > end:
            return first
        messages.seek(0)
        said = messages.read().decode("utf-8", "replace")[-3000:]
    if current is None:
        raise RuntimeError(f"a child does not start (status {status}): {said}")
    how = f"silent for {HANG_S:g} s" if silent else f"ended with status {status}"
    with lock:
        report.add(Outcome(_case(kinds, seed, current), "crash", fault=f"the process {how}\n{said}"))
    return current + jobs


def _case(kinds: Sequence[str], seed: int, number: int) -> str:
    return f"{seed}:{kinds[number % len(kinds)]}:{number // len(kinds)}"


def child() -> None:
    """Reads files and tells of each on standard output, before and after."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    plan = json.loads(sys.argv[-1])
    kinds = plan["kinds"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in targets().keys() & kinds:  # what is loaded once is not counted as one file's
            for number in range(3):
                with _Fresh(folder) as place:
                    run_case(f"warm:{kind}:{number}", place)
        _limit_memory()
        baseline = _high_water_after_reset()
        for number in range(plan["first"], plan["files"], plan["step"]):
            answers.write(json.dumps({"begins": number}) + "\n")
            answers.flush()
            with _Fresh(folder) as place:
                outcome = run_case(_case(kinds, plan["seed"], number), place)
            answers.write(json.dumps({"number": number, "outcome": outcome.__dict__}) + "\n")
        answers.write(json.dumps({"leak": max(0, _high_water_after_reset() - baseline)}) + "\n")
        answers.flush()


class _Fresh:
    """An empty folder, the same one each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Path:
        return self._folder

    def __exit__(self, *_: object) -> None:
        for path in [*_below(self._folder)]:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)
        yield path


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (CHILD_LIMIT_BYTES, CHILD_LIMIT_BYTES))


def _high_water_after_reset() -> int:
    """Bytes that the process has now; the most that it has had is forgotten, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _high_water()


def _high_water() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
