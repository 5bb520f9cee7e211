"""Runs over a tree that changes meanwhile, is interrupted at random and resumed, until the time is up.

    python scripts/soak.py --minutes 30 --photos 600 --seed 0

Half of the photos stay as they are. The others appear, disappear, are truncated, replaced, renamed and lose
their permissions, alone and by folders, while the program runs; and the program gets SIGKILL, SIGTERM or
SIGINT at random, and is resumed. Whenever a run comes to its end, its outputs are held against what must be
true: each photo that stayed has exactly the rows of an undisturbed run; each other one those of a state that
it had, or an error; no photo is there twice; no row is torn; CSV and JSON lines agree; nothing else is left.
Run it as a user who is not root: root reads what has lost its permissions.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
from kill_and_resume import FINISHED, OUTPUTS, command, draw_photos, lines, run_and_kill
from PIL import Image

#: Different pictures that the photos which change may hold.
PICTURES = 16
#: Seconds between two changes, at most.
PAUSE_S = 0.02
#: Columns that do not follow from a photo's content: its name, and what other photos of the run say.
NOT_OF_CONTENT = ("photo", "notes")
#: What the last run said on standard error.
MESSAGES = "messages.txt"

Rows = dict[str, list[dict[str, str]]]


class ChangingTree:
    """A folder of photos that change, and what each path has ever held.

    Args:
        folder: gets the photos; some lie beside the photos that stay, others in folders of their own.
        pictures: files with the pictures.
        count: how many photos there are at first.
    """

    def __init__(self, folder: Path, pictures: list[Path], count: int, chance: random.Random) -> None:
        self._chance = chance
        self._pictures = pictures
        shared = sorted({path.parent for path in folder.rglob("*.jpg")})
        self._own = [folder / "own" / str(number) for number in range(4)]
        self._folders = [*shared, *self._own]
        self._serial = 0
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._change, name="change")
        self.held: dict[str, set[str]] = {}  # path -> names of pictures
        self.changes: Counter[str] = Counter()
        self._now: list[Path] = []
        for _ in range(count):
            self._add()

    def __enter__(self) -> ChangingTree:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None:
            self.raise_error()

    def raise_error(self) -> None:
        """Raises what ended the changes: a tree that no longer changes proves nothing."""
        if self._error:
            raise self._error

    def _change(self) -> None:
        try:
            self._change_on()
        except Exception as error:
            self._error = error

    def _change_on(self) -> None:
        ways = (self._add, self._add, self._remove, self._truncate, self._replace, self._replace)
        ways += (self._rename, self._lock, self._dangle, self._move_folder)
        while not self._stop.wait(self._chance.random() * PAUSE_S):
            way = self._chance.choice(ways)
            with contextlib.suppress(FileNotFoundError):  # it went with its folder
                way()
                self.changes[way.__name__.strip("_")] += 1

    def _any(self) -> Path:
        if not self._now:
            self._add()
        return self._chance.choice(self._now)

    def _put(self, path: Path, picture: Path) -> None:
        """A whole picture at once, as programs that save with care do it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.held.setdefault(os.fspath(path), set()).add(picture.name)
        new = path.with_name(f".{path.name}.new")
        shutil.copyfile(picture, new)
        new.replace(path)

    def _add(self) -> None:
        self._serial += 1
        path = self._chance.choice(self._folders) / f"changes-{self._serial:06}.jpg"
        self._put(path, self._chance.choice(self._pictures))
        self._now.append(path)

    def _remove(self) -> None:
        path = self._any()
        self._now.remove(path)
        path.unlink(missing_ok=True)

    def _truncate(self) -> None:
        path = self._any()
        if not path.is_symlink():
            path.chmod(0o644)  # it may be locked, and only root writes to such a file
            os.truncate(path, self._chance.randrange(400))

    def _replace(self) -> None:
        self._put(self._any(), self._chance.choice(self._pictures))

    def _rename(self) -> None:
        path = self._any()
        self._serial += 1
        other = self._chance.choice(self._folders) / f"changes-{self._serial:06}.jpg"
        other.parent.mkdir(parents=True, exist_ok=True)
        self.held[os.fspath(other)] = set(self.held[os.fspath(path)])
        self._now.remove(path)
        path.rename(other)
        self._now.append(other)

    def _lock(self) -> None:
        path = self._any()
        if not path.is_symlink():
            path.chmod(self._chance.choice((0o000, 0o200, 0o644)))

    def _dangle(self) -> None:
        path = self._any()
        path.unlink(missing_ok=True)
        path.symlink_to("nowhere.jpg")

    def _move_folder(self) -> None:
        """A folder takes another name, or its old one back; what is in it is then at other paths."""
        folder = self._chance.choice(self._own)
        other = folder.with_name(folder.name + "-moved")
        here, there = (folder, other) if folder.exists() else (other, folder)
        if there.exists():  # photos came into a new folder of the old name meanwhile
            shutil.rmtree(there)
        for path in [path for path in self._now if path.parent in (here, there)]:
            self._now.remove(path)
            moved = there / path.name
            if path.parent == here and os.path.lexists(path):
                self.held.setdefault(os.fspath(moved), set()).update(self.held[os.fspath(path)])
                self._now.append(moved)
        here.rename(there)


def draw_pictures(folder: Path) -> list[Path]:
    """The pictures that photos which change may hold, unlike all others."""
    colours = np.random.default_rng(99)
    folder.mkdir()
    paths = [folder / f"{number}.jpg" for number in range(PICTURES)]
    for path in paths:
        blocks = colours.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((72, 54)).save(path)
    return paths


def read_rows(folder: Path) -> Rows:
    """The rows of the CSV by photo, in order; AssertionError where one is torn or JSON lines disagree."""
    with (folder / "out.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, restkey="beyond"))
    assert all(None not in row.values() and "beyond" not in row for row in rows), "a torn row"
    with (folder / "out.jsonl").open(encoding="utf-8") as stream:
        records = [json.loads(line) for line in stream]
    found: Rows = {}
    for row in rows:
        found.setdefault(row["photo"], []).append(row)
    for photo, of_photo in found.items():
        ranks = [row["rank"] for row in of_photo]
        assert len(set(ranks)) == len(ranks), f"{photo} is there twice"
    columns = ("photo", "rank", "latitude", "longitude", "error", "model", "notes")
    left, right = ([[_cell(row[column]) for column in columns] for row in table] for table in (rows, records))
    assert left == right, "CSV and JSON lines disagree"
    return found


def _cell(value: object) -> object:
    """A cell of either output: a number where it is one, None where it is blank."""
    if value in ("", None):
        return None
    try:
        return float(str(value))
    except ValueError:
        return str(value)


def of_content(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """What of a photo's rows follows from its content."""
    return [{name: cell for name, cell in row.items() if name not in NOT_OF_CONTENT} for row in rows]


def check(folder: Path, steady: Rows, pictures: Rows, tree: ChangingTree) -> str:
    """Holds the outputs of a run that came to its end against what must be true; AssertionError if not."""
    found = read_rows(folder)
    names = {path.name for path in folder.iterdir() if path.name != MESSAGES}
    assert names == {*OUTPUTS, *(f"{name}.manifest.json" for name in OUTPUTS)}, f"left beside: {names}"
    lost = steady.keys() - found.keys()
    assert not lost, f"{len(lost)} photos that stayed are lost: {sorted(lost)[:3]}"
    for photo, rows in steady.items():
        assert found[photo] == rows, f"{photo} stayed, and its rows differ"
    failed = changed = 0
    for photo, rows in found.items():
        if photo in steady:
            continue
        assert photo in tree.held, f"{photo} was never there"
        if rows[0]["error"]:
            assert len(rows) == 1, f"{photo} has an error and candidates"
            failed += 1
            continue
        states = [of_content(pictures[name]) for name in tree.held[photo]]
        assert of_content(rows) in states, f"{photo} has the rows of no state that it had"
        changed += 1
    return f"{len(steady)} as they must be, {changed} of a state, {failed} errors among those that change"


def reference(photos: Path, folder: Path) -> Rows:
    """The rows of an undisturbed run."""
    folder.mkdir()
    status = subprocess.run(command(photos, folder), check=False).returncode
    assert status in FINISHED, f"the undisturbed run ended with {status}"
    return read_rows(folder)


def main() -> int:
    """Returns 0 where everything was as promised."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--isolate", action="store_true", help="decode in processes of their own")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        photos, out = root / "photos", root / "out"
        out.mkdir()
        locked = root / "locked"
        locked.touch(0o000)
        if os.access(locked, os.R_OK):
            print("this user (root?) reads what has lost its permissions: that errors follow is not tried")
        draw_photos(photos, options.photos // 2, options.seed)
        steady = reference(photos, root / "steady")
        drawn = draw_pictures(root / "pictures")
        pictures = {
            Path(photo).name: rows for photo, rows in reference(root / "pictures", root / "reference").items()
        }
        tree = ChangingTree(photos, drawn, options.photos // 2, random.Random(options.seed + 1))
        end = time.monotonic() + 60 * options.minutes
        stopped: Counter[str] = Counter()
        finished = 0
        with tree:
            while time.monotonic() < end or not finished:
                late = time.monotonic() >= end
                status = run(photos, out, chance, options.photos, late, options.isolate, stopped)
                tree.raise_error()
                if status is None:
                    continue
                if status not in FINISHED:
                    print(f"a run ended with {status}: {(out / MESSAGES).read_text(errors='replace')}")
                    return 1
                print(f"{out_of(stopped)}; a run ended with {status}: {check(out, steady, pictures, tree)}")
                finished += 1
                for path in out.iterdir():
                    path.unlink()
        changes = ", ".join(f"{name} {count:,}" for name, count in sorted(tree.changes.items()))
        print(f"{finished} runs came to their end, {out_of(stopped)}; changes: {changes}")
    return 0


def out_of(stopped: Counter[str]) -> str:
    """How often the program was stopped, by signal."""
    return ", ".join(f"{count} {name}" for name, count in sorted(stopped.items())) or "never stopped"


def run(
    photos: Path,
    out: Path,
    chance: random.Random,
    count: int,
    late: bool,
    isolate: bool,
    stopped: Counter[str],
) -> int | None:
    """One run, stopped at random unless it is late; its exit status if it came to its end."""
    words = [*command(photos, out), "--resume", "--batch-size", str(chance.choice((1, 2, 8, 16)))]
    words += ["--workers", str(chance.choice((1, 2, 4))), *(["--isolate"] if isolate else [])]
    journal = out / f"{OUTPUTS[0]}.journal"
    number = chance.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
    before = lines(journal)
    with (out / MESSAGES).open("w", encoding="utf-8") as messages:
        if late:
            status: int | None = subprocess.run(words, check=False, stderr=messages).returncode
        else:
            status = run_and_kill(words, journal, chance, max(1, count // 3), number, messages)
    if status not in FINISHED and not journal.exists() and (out / OUTPUTS[0]).exists():
        return 0  # all was in place when the signal came, and it met the interpreter on its way out
    if status is None:
        stopped[number.name] += 1
        assert lines(journal) >= before, "what was done was taken back"
    return status


if __name__ == "__main__":
    raise SystemExit(main())
