"""A tree of 1,000,000 files of which one in twenty is a photo: how soon the first row comes, and the memory.

    python benchmarks/tree.py [--files N] [--shapes wide flat deep] [--folder DIR] [--cold] [--json FILE]

Shapes: a thousand folders side by side, one folder, five hundred folders in each other. The program runs as a
user runs it, rows into a pipe and the line of progress on, so that the photos are counted aside; the bundle
is that of `small_photos.py`. Goal: the first row within 5 s of the line that names the model, and flat
memory. --cold empties the system's caches before each run, which needs root and slows all else that runs.
Files that are no photos are empty: nothing opens them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from memory import Note, note
from small_photos import COMMENT, small_photos, write_small_bundle

from geolocate.photos import find_photos

FILES = 1_000_000
PHOTO_EVERY = 20
#: Each folder of the deep tree is in the one before; those who remove it go no deeper than a thousand.
FOLDERS = {"wide": 1000, "flat": 1, "deep": 500}
GOAL_S = 5.0
OTHER_EXTENSIONS = ("txt", "json", "xml", "py", "html", "pdf", "log", "csv", "dat", "md", "")
SAMPLE_S = 0.5
OPTIONS = ("--csv", "-", "--ranking", "points", "--concepts", "0", "--progress")


def folders(shape: str, root: Path) -> list[Path]:
    """The folders of a tree, outermost first."""
    numbers = range(FOLDERS[shape])
    if shape == "wide":
        return [root / f"{number:04}" for number in numbers]
    return [root.joinpath(*["d"] * number) for number in numbers]


def write_tree(shape: str, root: Path, files: int) -> None:
    """Writes the files of a tree, the same number in each folder."""
    halves = small_photos()
    every = folders(shape, root)
    for number in range(files):
        each = files // len(every)
        folder = every[min(number // each, len(every) - 1)]
        if number % each == 0:
            folder.mkdir(parents=True, exist_ok=True)
        is_photo = number % PHOTO_EVERY == 0
        extension = "jpg" if is_photo else OTHER_EXTENSIONS[number % len(OTHER_EXTENSIONS)]
        # Not in the order of their names, as a folder lists them.
        name = f"{number * 7919 % files:07}.{extension}"
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        if is_photo:
            before, after = halves[number // PHOTO_EVERY % len(halves)]
            os.write(descriptor, before + COMMENT % number + after)
        os.close(descriptor)


def empty_caches() -> None:
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def searched_s(root: Path) -> float:
    """Seconds to find all photos, without decoding one."""
    begun = time.perf_counter()
    for _ in find_photos([str(root)], on_warning=print, exclude=["elsewhere.csv"]):
        pass
    return time.perf_counter() - begun


def run(root: Path, bundle: Path) -> dict[str, Any]:
    """Runs the program to its end: when its model was named, when rows came, and its memory."""
    begun = time.monotonic()
    words = [sys.executable, "-m", "geolocate", str(root), "--model", str(bundle), *OPTIONS]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    named: list[float] = []
    log: list[str] = []
    notes: list[Note] = []

    def listen(lines: Iterable[bytes]) -> None:
        for line in lines:
            log.append(line.decode())
            if b"model " in line:
                named.append(time.monotonic() - begun)

    def watch() -> None:
        while now := note(process.pid, begun, root):
            notes.append(now)
            time.sleep(SAMPLE_S)

    threads = [threading.Thread(target=listen, args=(process.stderr,)), threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    process.stdout.readline()  # the header
    first_row = process.stdout.readline()
    first_s = time.monotonic() - begun
    rows = bool(first_row) + sum(1 for _ in process.stdout)
    status = process.wait()
    wall_s = time.monotonic() - begun
    for thread in threads:
        thread.join()
    after = [taken.rss_mb for taken in notes if taken.seconds > first_s]
    return {
        "rows": rows,
        "status": status,
        "model_named_s": named[0],
        "first_row_s": first_s,
        "after_model_s": first_s - named[0],
        "wall_s": wall_s,
        "rss_at_first_row_mb": after[0] if after else 0.0,
        "peak_mb": max(taken.rss_mb for taken in notes),
        "rss_at_end_mb": after[-1] if after else 0.0,
        "log": log,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--shapes", nargs="+", default=list(FOLDERS), choices=FOLDERS)
    parser.add_argument("--folder", type=Path, help="keeps the trees for the next time")
    parser.add_argument("--cold", action="store_true", help="empty the system's caches before each run")
    parser.add_argument("--json", type=Path, help="where the figures go as JSON")
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        write_small_bundle(Path(name) / "bundle")
        for shape in options.shapes:
            root = (options.folder or Path(name)) / f"{shape}{options.files}"
            if not root.exists():
                write_tree(shape, root, options.files)
            if options.cold:
                empty_caches()
            cold_s = searched_s(root)
            warm_s = searched_s(root)
            if options.cold:
                empty_caches()
            taken = run(root, Path(name) / "bundle")
            figures[shape] = {"searched_first_s": cold_s, "searched_again_s": warm_s} | taken
            print(
                f"{shape}: first row {taken['after_model_s']:.2f} s after the model (goal {GOAL_S:g}), "
                f"{taken['first_row_s']:.2f} s after the start;\n{'':6}{taken['rows']:,} rows in "
                f"{taken['wall_s']:.0f} s, status {taken['status']}; the search alone {cold_s:.1f} s, "
                f"again {warm_s:.1f} s;\n{'':6}memory {taken['rss_at_first_row_mb']:.0f} MB at the first "
                f"row, at most {taken['peak_mb']:.0f} MB, {taken['rss_at_end_mb']:.0f} MB at the end"
            )
            sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
