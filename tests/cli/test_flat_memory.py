"""Memory does not grow with the number of photos: what a run holds of each goes when its row is written."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

#: Rows after which the memory is looked at, and photos, so that both times there are photos ahead.
FEW, MANY, PHOTOS = 250, 1500, 1600
#: Objects that a photo more may leave behind for the rest of the run: its path alone would be one.
OBJECTS_EACH = 0.5

#: The program, with an encoder that only glances at photos; prints how many objects there are after few rows
#: and after many. What is remembered up to a limit has reached it by then.
PROGRAM = f"""
import gc, sys
import numpy as np
from geolocate import duplicates, encoding_ahead
from geolocate.cli import cli, progress
from geolocate.session import Embedded, ImageEncoder
from geolocate.writers.csv import CsvWriter

def glance(self, photos, **more):
    rows = np.stack([photo[::20, ::20].ravel()[:128] - 127.5 for photo in photos]).astype(np.float32)
    return Embedded(rows / np.linalg.norm(rows, axis=1, keepdims=True))

rows = 0
write = CsvWriter.write

def watched(self, prediction):
    global rows
    write(self, prediction)
    rows += 1
    if rows in ({FEW}, {MANY}):
        gc.collect()
        print(sys.getallocatedblocks())

ImageEncoder.__call__, CsvWriter.write = glance, watched
duplicates.REMEMBERED_PHOTOS = 50
duplicates.REMEMBERED_IMAGES = encoding_ahead.REMEMBERED_IMAGES = 50
progress.RATE_WINDOW_S = 0.5
words = ["photos", "--model", "starter", "--country", "SM,LI", "--concepts", "0", "--workers", "1"]
words += ["--batch-size", "4", "-q", "--progress", "--csv", "out.csv", "--jsonl", "out.jsonl"]
cli.main(words, standalone_mode=False)
"""


def write_photos(folder: Path, count: int) -> None:
    """Small JPEGs of forty drawings, each another file by what follows the picture."""
    folder.mkdir()
    drawn = []
    for seed in range(40):
        stream = io.BytesIO()
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)).save(
            stream, "JPEG"
        )
        drawn.append(stream.getvalue())
    for number in range(count):
        (folder / f"{number:04}.jpg").write_bytes(drawn[number % len(drawn)] + b"%04d" % number)


def test_six_times_the_photos_take_no_more_memory(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", PHOTOS)
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    few, many = map(int, result.stdout.split())
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert len(rows) == 1 + PHOTOS
    assert all(row.endswith(",") for row in rows[1:]), "no photo has an error"
    assert many - few < OBJECTS_EACH * (MANY - FEW), f"{few:,} objects after few photos, {many:,} after many"
