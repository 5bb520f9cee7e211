"""What hostile files cost to decode, in processor time and memory, with the bounds of one photo and without.

    python scripts/photo_costs.py
    python scripts/photo_costs.py --without-bounds --only 'strips.tif' --seconds 600

The figures of docs/reliability.md, "Bounds of one photo". Without the bounds a file may take minutes and
gigabytes. Linux only: peak memory as it tells it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from hostile import pictures
from hostile.greedy import bmp_of_runs, jpeg_of_scans, jpeg_with, png_with, segment, tiff_of_strips
from hostile.program import costs
from PIL import Image

#: A side of the largest square that `--max-pixels` lets through.
LIMIT_SIDE = 13_377
MIB = 2**20


def at_the_limit(file_format: str, **options: bool) -> bytes:
    """An honest colour picture at the limit of pixels."""
    return pictures.encoded(Image.new("RGB", (LIMIT_SIDE, LIMIT_SIDE), "teal"), file_format, **options)


#: Name, content, size of the file where the rest of it is a hole.
FILES: dict[str, tuple[Callable[[], bytes], int]] = {
    "fill.jpg": (lambda: jpeg_with(b"\xff" * 50_000_000), 0),
    "exif.jpg": (lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 1600), 0),
    "scans.jpg": (lambda: jpeg_of_scans(2000, 1000), 0),
    "chunks.png": (lambda: png_with(pictures.png_chunk(b"abCd", b"") * 1_000_000), 0),
    "chunk.png": (lambda: png_with(pictures.png_chunk(b"abCd", bytes(300_000_000))), 0),
    "strips.tif": (lambda: tiff_of_strips(20_000_000), 80_000_200),
    "runs.bmp": (lambda: bmp_of_runs(100_000_000), 0),
    "limit.png": (lambda: at_the_limit("PNG"), 0),
    "limit.gif": (lambda: at_the_limit("GIF"), 0),
    "limit-progressive.jpg": (lambda: at_the_limit("JPEG", progressive=True), 0),
    "limit-baseline.jpg": (lambda: at_the_limit("JPEG"), 0),
}


def main() -> None:
    """Prints a line for each file, which is written when its turn comes and removed again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="*", metavar="PATTERN", help=f"of {', '.join(FILES)}")
    parser.add_argument("--without-bounds", action="store_true", help="as if there were none")
    parser.add_argument("--seconds", type=float, default=300.0, help="for a file, then it is given up")
    options = parser.parse_args()
    if not (chosen := [name for name in FILES if fnmatch(name, options.only)]):
        parser.error(f"no file {options.only}")
    with tempfile.TemporaryDirectory() as name:
        good = Path(name) / "good.jpg"
        good.write_bytes(pictures.photo())
        for file in chosen:
            path = Path(name) / file
            build, size = FILES[file]
            path.write_bytes(build())
            if size:
                os.truncate(path, size)
            try:
                (cost,) = costs(good, [path], options.seconds, bounds=not options.without_bounds)
                said = f"{cost.seconds:8.2f} s {cost.mib:8.0f} MiB   {cost.error or 'a picture'}"
            except subprocess.TimeoutExpired:
                said = f"given up after {options.seconds:g} s"
            print(f"{file:22} {path.stat().st_size / MIB:6.1f} MiB  {said}", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
