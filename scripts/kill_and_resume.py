"""Kills a run at random and resumes it, again and again, and compares its outputs with an uninterrupted one.

    python scripts/kill_and_resume.py --photos 2000 --kills 200 --seed 0

Photos are drawn by the seed, small, some damaged. Each run gets a random batch size and number of threads,
and SIGKILL when the journal has grown by a random number of photos and a random moment has passed, or while
it still starts. In the end each photo must be in the outputs once, and every byte be the same.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

OUTPUTS = ("out.csv", "out.jsonl", "out.geojson", "out.kml", "out.parquet", "out.map")
#: Every so many-th photo is damaged.
DAMAGED = 25
#: So many runs of a hundred are killed before their first photo is done.
EARLY_PERCENT = 10
#: Exit statuses of a run that came to its end.
FINISHED = (0, 3)
#: That of one that SIGINT or SIGTERM ended, which takes no longer than this.
INTERRUPTED = 130
STOP_LIMIT_S = 60.0


def draw_photos(folder: Path, count: int, seed: int) -> None:
    """Photos of coloured blocks in nested folders."""
    colours = np.random.default_rng(seed)
    for number in range(count):
        path = folder / f"{number // 500}" / f"{number // 50 % 10}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = colours.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((64, 48)).save(path)
        if number % DAMAGED == DAMAGED - 1:
            os.truncate(path, 200)


def command(photos: Path, folder: Path) -> list[str]:
    """The run whose outputs lie in a folder."""
    outputs = [
        word for name in OUTPUTS for word in (f"--{name.rpartition('.')[2]}", os.fspath(folder / name))
    ]
    return [
        sys.executable,
        "-m",
        "geolocate",
        os.fspath(photos),
        "--model",
        "starter",
        "-k",
        "3",
        "-q",
        *outputs,
    ]


def lines(path: Path) -> int:
    """Line ends in a file; 0 where there is none."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def run_and_kill(
    words: list[str],
    journal: Path,
    chance: random.Random,
    ahead: int,
    number: signal.Signals = signal.SIGKILL,
    messages: IO[str] | None = None,
) -> int | None:
    """One run that gets a signal after at most so many photos; its exit status if it ended by itself.

    Raises:
        TimeoutExpired: the signal did not end it in time; it is killed.
    """
    goal = lines(journal) + chance.randint(1, ahead)
    early = chance.randrange(100) < EARLY_PERCENT
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=messages) as program:
        end = time.monotonic() + (chance.random() * 2 if early else 300)
        while program.poll() is None and lines(journal) < goal and time.monotonic() < end:
            time.sleep(0.003)
        time.sleep(chance.random() * 0.02)
        program.send_signal(number)
        try:
            status = program.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            program.kill()  # the end of `with` waits for it, however long
            raise
    # While it still starts, any signal ends it as the system does.
    stopped = {-signal.SIGKILL, INTERRUPTED} | ({-number} if early else set())
    return None if status in stopped else status


def main() -> int:
    """Returns 0 where nothing was lost, nothing doubled, and everything is the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        photos, whole, broken = root / "photos", root / "whole", root / "broken"
        whole.mkdir()
        broken.mkdir()
        draw_photos(photos, arguments.photos, arguments.seed)
        begun = time.monotonic()
        subprocess.run(command(photos, whole), check=False)
        print(f"{arguments.photos:,} photos, uninterrupted: {time.monotonic() - begun:.0f} s", flush=True)

        journal = broken / "out.csv.journal"
        ahead = max(1, arguments.photos // arguments.kills)
        kills = torn = backwards = finished = most = 0
        begun = time.monotonic()
        while kills < arguments.kills:
            words = [*command(photos, broken), "--resume", "--batch-size", str(chance.choice((1, 2, 8, 16)))]
            status = run_and_kill(
                [*words, "--workers", str(chance.choice((1, 2, 4)))], journal, chance, ahead
            )
            if status in FINISHED:
                finished += 1
                if not is_whole(photos, whole, broken):
                    return 1
                for path in broken.iterdir():
                    path.unlink()
                most = 0
            elif status is not None:
                print(f"a run ended with {status}")
                return 1
            else:
                kills += 1
                torn += journal.exists() and not journal.read_bytes().endswith(b"\n")
                backwards += lines(journal) < most
                most = max(most, lines(journal))
        subprocess.run([*command(photos, broken), "--resume"], check=False)
        seconds = time.monotonic() - begun
        print(f"{kills} kills of {finished + 1} runs in {seconds:.0f} s, {torn} within a line of the journal")
        if backwards:
            print(f"{backwards} kills took back what was done")
        return 0 if is_whole(photos, whole, broken) and not backwards else 1


def is_whole(photos: Path, whole: Path, broken: Path) -> bool:
    """Whether the outputs hold each photo once and are those of the uninterrupted run."""
    with (broken / "out.csv").open(encoding="utf-8", newline="") as table:
        found = Counter(row["photo"] for row in csv.DictReader(table) if row["rank"] in ("", "1"))
    expected = {os.fspath(path) for path in photos.rglob("*.jpg")}
    lost, doubled = len(expected - found.keys()), sum(count > 1 for count in found.values())
    same = all((whole / name).read_bytes() == (broken / name).read_bytes() for name in OUTPUTS)
    print(f"{len(found):,} photos: {lost} lost, {doubled} twice, outputs {'the same' if same else 'DIFFER'}")
    return same and not lost and not doubled


if __name__ == "__main__":
    raise SystemExit(main())
