"""Kills `geolocate tag` and its undoing at random, again and again; no file may ever be anything between.

    python scripts/kill_and_tag.py --photos 200 --kills 200 --seed 0 [--in-place]

Photos are drawn by the seed; every third has a sidecar of another program. A run, or an undoing of what was
done so far, gets SIGKILL when its log has grown by a random number of lines or a random moment has passed.
After each kill every file must be what it was or what it becomes, and in the end, undone, the folder must be
byte for byte as it was.
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
from pathlib import Path

from PIL import Image

from geolocate.records import Candidate, Position, Prediction
from geolocate.tagging.folder import is_temporary
from geolocate.tagging.in_place import BACKUP_SUFFIX
from geolocate.writers.csv import CsvWriter
from geolocate.writers.target import FileTarget

#: Of a hundred kills so many are of an undoing.
UNDO_PERCENT = 30
#: The longest that a run may go on before it is killed, in seconds; exiftool takes longer.
LATEST_S, LATEST_IN_PLACE_S = 1.5, 8.0

SIDECAR = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/jpeg"/>
</rdf:RDF></x:xmpmeta>
"""

Contents = dict[str, bytes]


def draw(folder: Path, count: int, seed: int) -> list[str]:
    """Draws the photos and sidecars; returns the photos' paths from the folder."""
    chance = random.Random(seed)
    names = []
    for number in range(count):
        name = f"{number % 7}/{number:05}.jpg"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.frombytes("RGB", (4, 3), chance.randbytes(36)).resize((64, 48)).save(path)
        if number % 3 == 0:
            Path(f"{path}.xmp").write_bytes(SIDECAR)
        names.append(name)
    return names


def write_results(path: Path, names: list[str], seed: int) -> None:
    """What predict would have written of them, with positions by chance."""
    chance = random.Random(seed)
    writer = CsvWriter(FileTarget(path, overwrite=True))
    for name in names:
        position = Position(chance.uniform(-90, 90), chance.uniform(-180, 180))
        writer.write(Prediction(name, (Candidate(1, position, 0.5, 10.0),), model="drawn"))
    writer.close()


def contents(folder: Path) -> Contents:
    """Every file below a folder."""
    return {os.fspath(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def fault_of(before: Contents, after: Contents, now: Contents) -> str | None:
    """What is neither as it was nor as it becomes; None where all is well."""
    for name in before.keys() - now.keys():
        return f"{name} is lost"
    for name, content in now.items():
        if name.endswith(BACKUP_SUFFIX):
            if content != before[name.removesuffix(BACKUP_SUFFIX)]:
                return f"{name} is not the original"
        elif content not in (before.get(name), after.get(name)) and not is_temporary(os.path.basename(name)):
            return f"{name} is something between"
    return None


def run_and_kill(words: list[str], log: Path, chance: random.Random, ahead: int, latest: float) -> bool:
    """Runs a command and kills it; False where it ended before."""
    goal = lines(log) + chance.randint(1, ahead)
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        end = time.monotonic() + chance.random() * latest
        while program.poll() is None and lines(log) < goal and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(chance.random() * 0.01)
        program.send_signal(signal.SIGKILL)
        return program.wait() == -signal.SIGKILL


def lines(path: Path) -> int:
    """Line ends in a file; 0 where there is none."""
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def main() -> int:
    """Returns 0 where every file was whole at each moment and the end is as the beginning."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--in-place", action="store_true", help="Into the photos, by exiftool.")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        photos, results = Path(name, "photos"), Path(name, "out.csv")
        write_results(results, draw(photos, arguments.photos, arguments.seed), arguments.seed)
        log = Path(f"{results}.tagged")
        program = [
            sys.executable,
            "-m",
            "geolocate",
            "tag",
            os.fspath(results),
            "--photos",
            os.fspath(photos),
        ]
        tag = [*program, "--write", *(["--in-place"] if arguments.in_place else [])]
        undo = [*program, "--undo"]
        before = contents(photos)
        begun = time.monotonic()
        subprocess.run(tag, check=True, capture_output=True)
        print(f"{arguments.photos:,} photos, uninterrupted: {time.monotonic() - begun:.1f} s", flush=True)
        after = contents(photos)
        subprocess.run(undo, check=True, capture_output=True)
        if contents(photos) != before:
            print("undone, it is not as it was")
            return 1

        latest = LATEST_IN_PLACE_S if arguments.in_place else LATEST_S
        kills = undos = torn = temporary = finished = 0
        begun = time.monotonic()
        while kills < arguments.kills:
            undoing = chance.randrange(100) < UNDO_PERCENT
            ahead = max(1, arguments.photos // 8)
            if run_and_kill(undo if undoing else tag, log, chance, ahead, latest):
                kills, undos = kills + 1, undos + undoing
            else:
                finished += 1
            now = contents(photos)
            if fault := fault_of(before, after, now):
                print(f"after {kills} kills: {fault}")
                return 1
            torn += log.exists() and log.read_bytes()[-1:] not in (b"", b"\n")
            temporary += any(is_temporary(os.path.basename(name)) for name in now)
        for words in (tag, undo) if chance.random() < 0.5 else (undo,):
            subprocess.run(words, check=True, capture_output=True)
        whole = contents(photos) == before and not log.exists()
    seconds, end = time.monotonic() - begun, "as it was" if whole else "DIFFERENT"
    print(f"{kills} kills ({undos} of an undoing) in {seconds:.0f} s, {finished} runs ended before")
    print(f"{temporary} left a temporary file, {torn} a torn log; in the end everything is {end}")
    return 0 if whole else 1


if __name__ == "__main__":
    raise SystemExit(main())
