"""Runs a distributed job undisturbed, with processes killed, and killed itself; compares with a plain run.

    python scripts/distributed_check.py --drawn 2000 --photos DIR --kills 3 --seed 0

Photos are drawn by the seed, small, some damaged, and those of DIR follow. One job loses actors and decoders
to SIGKILL while it runs. Another is killed itself, again and again, and started again: no finished partition
may be written a second time. In the end the partitions of both have the same bytes, and `geolocate merge`
makes of each the CSV of the plain command, byte for byte.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kill_and_resume import draw_photos

PROGRAM = [sys.executable, "-m", "geolocate"]
PARTITION_SIZE = 100
#: Exit statuses of a run that came to its end.
FINISHED = (0, 3)
#: What Ray calls its processes that locate and decode.
TITLES = ("MapWorker(MapBatches(Locate))", "MapBatches(decode)")
POLL_S = 0.05


def start(inputs: list[str], output: Path) -> subprocess.Popen[bytes]:
    """A distributed job."""
    words = ["distributed", "-q", "--partition-size", str(PARTITION_SIZE), *inputs, os.fspath(output)]
    return subprocess.Popen([*PROGRAM, *words], start_new_session=True)


def finished(output: Path) -> dict[str, tuple[int, int]]:
    """Each finished partition, with what tells its file from one that was written again."""
    files = [mark.with_suffix(".parquet") for mark in output.glob("part-*.json")]
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def wait_for(job: subprocess.Popen[bytes], output: Path, partitions: int) -> bool:
    """Whether the job still runs when it has finished so many."""
    while job.poll() is None:
        if len(finished(output)) >= partitions:
            return True
        time.sleep(POLL_S)
    return False


def below(root: int, title: str) -> Iterator[int]:
    """Processes below `root` that are called so."""
    parents, titled = {}, []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text(errors="replace")
            command = (entry / "cmdline").read_text(errors="replace")
        except OSError:
            continue
        parents[int(entry.name)] = int(stat[stat.rindex(")") + 2 :].split()[1])
        if title in command:
            titled.append(int(entry.name))
    for process in titled:
        above = process
        while above in parents and above != root:
            above = parents[above]
        if above == root:
            yield process


def disturbed(inputs: list[str], output: Path, total: int, kills: int, chance: random.Random) -> str:
    """A job whose processes are killed while it runs."""
    job = start(inputs, output)
    killed = dict.fromkeys(TITLES, 0)
    for number in range(kills):
        if not wait_for(job, output, (number + 1) * total // (kills + 2)):
            break
        for title in TITLES:
            if processes := list(below(job.pid, title)):
                os.kill(chance.choice(processes), signal.SIGKILL)
                killed[title] += 1
    if job.wait() not in FINISHED:
        raise SystemExit(f"a job whose processes were killed ended with {job.returncode}")
    return f"killed {killed[TITLES[0]]} actors and {killed[TITLES[1]]} decoders"


def killed_itself(inputs: list[str], output: Path, total: int, kills: int) -> str:
    """A job that is killed and started again; ends the program where a partition is done twice."""
    done: dict[str, tuple[int, int]] = {}
    moments = []
    for number in range(kills):
        job = start(inputs, output)
        if not wait_for(job, output, (number + 1) * total // (kills + 2)):
            break
        job.kill()
        job.wait()
        now = finished(output)
        if any(now.get(name) != state for name, state in done.items()):
            raise SystemExit("a finished partition was written again")
        done = now
        moments.append(len(done))
    job = start(inputs, output)
    if job.wait() not in FINISHED:
        raise SystemExit(f"a job that was killed ended with {job.returncode}")
    now = finished(output)
    if any(now[name] != state for name, state in done.items()):
        raise SystemExit("a finished partition was written again")
    return f"killed with {moments} of {total} partitions finished, none of which was written again"


def main() -> None:
    """Raises SystemExit where something differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drawn", type=int, default=2000, help="photos to draw")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="photos that follow them")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_photos(folder / "drawn", options.drawn, options.seed)
        inputs = [os.fspath(folder / "drawn"), *([os.fspath(options.photos)] if options.photos else [])]
        single = folder / "single.csv"
        subprocess.run([*PROGRAM, "-q", "--csv", single, *inputs], check=False)
        rows = single.read_bytes().count(b"\n") - 1
        total = -(-rows // PARTITION_SIZE)
        print(f"{rows:,} photos in {total} partitions", flush=True)
        outputs = [folder / "disturbed", folder / "killed"]
        chance = random.Random(options.seed)
        print(disturbed(inputs, outputs[0], total, options.kills, chance), flush=True)
        print(killed_itself(inputs, outputs[1], total, options.kills), flush=True)
        for file in outputs[0].glob("part-*.parquet"):
            if file.read_bytes() != (outputs[1] / file.name).read_bytes():
                raise SystemExit(f"{file.name} differs between the jobs")
        for output in outputs:
            merged = folder / f"{output.name}.csv"
            subprocess.run([*PROGRAM, "merge", "-q", output, "--csv", merged], check=False)
            if merged.read_bytes() != single.read_bytes():
                raise SystemExit(f"{merged.name} is not the CSV of the plain command")
        print("all partitions have the same bytes, and merged they are the CSV of the plain command")


if __name__ == "__main__":
    main()
