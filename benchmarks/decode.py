"""Decoding: milliseconds a photo, and what reduced scale and threads gain, as ratios of one run.

    python benchmarks/decode.py [--photos N] [--megapixels M] [--formats] [--isolate]

The photo is generated (see `natural_photos.py`); nothing is downloaded.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from natural_photos import JPEG_QUALITY, natural_photo

from geolocate.decode_processes import DecoderProcesses
from geolocate.decoding import DecodeOptions, decode_batches
from geolocate.exif import read_exif
from geolocate.machine import usable_cpus
from geolocate.photos import decode_photo

SIZE = 224
#: Of threads and processes, for the median of their ratios.
TURNS = 7


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Median wall-clock time of a call, after one that does not count."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def show_isolation(path: Path, photos: int) -> None:
    """What decoding in processes costs: threads and processes in turn, and the start of a process."""

    def seconds(workers: int, isolate: bool) -> float:
        """A photo, once the first has come: what starts is told apart."""
        options = DecodeOptions(workers, isolate=isolate)
        paths = [os.fspath(path)] * (2 * workers + photos)
        batches = decode_batches(iter(paths), SIZE, 1, options, exif=True)
        for _ in range(2 * workers):
            next(batches)
        start = time.perf_counter()
        return (sum(len(batch) for batch in batches) and time.perf_counter() - start) / photos

    for workers in (1, 2):
        turns = [(seconds(workers, False), seconds(workers, True)) for _ in range(TURNS)]
        threads, processes = (1000 * statistics.median(times) for times in zip(*turns, strict=True))
        ratio = statistics.median(thread / process for thread, process in turns)
        print(
            f"{workers} threads {threads:7.1f} ms, {workers} processes {processes:7.1f} ms   "
            f"{ratio:.2f} x the photos of threads"
        )

    def start() -> None:
        processes = DecoderProcesses(SIZE, DecodeOptions(), exif=True)
        processes.decode("no such photo")
        processes.close()

    print(f"start of a process    {median_ms(start, TURNS):7.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=15, help="decodes that count, for each way")
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--formats", action="store_true", help="also PNG, WebP, AVIF and progressive JPEG")
    parser.add_argument("--isolate", action="store_true", help="also what processes cost against threads")
    options = parser.parse_args()
    photo = natural_photo(options.megapixels)
    workers = usable_cpus()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        photo.save(path, quality=JPEG_QUALITY)
        megabytes = path.stat().st_size / 1e6
        print(f"{photo.width} x {photo.height} JPEG, {megabytes:.1f} MB, to {SIZE} x {SIZE}")

        full = median_ms(lambda: decode_photo(path, size=SIZE, exact=True), options.photos)
        reduced = median_ms(lambda: decode_photo(path, size=SIZE), options.photos)
        exif = median_ms(lambda: read_exif(b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"), options.photos)
        with ThreadPoolExecutor(workers) as pool:
            count = workers * options.photos
            threaded = median_ms(
                lambda: list(pool.map(lambda _: decode_photo(path, size=SIZE), range(count))), 3
            )
        print(f"full scale            {full:7.1f} ms   1.00 x")
        print(f"reduced scale         {reduced:7.1f} ms   {full / reduced:.2f} x")
        print(f"reduced, {workers:2} threads   {threaded / count:7.1f} ms   {full * count / threaded:.2f} x")
        print(f"EXIF                  {exif:7.2f} ms   {exif / reduced:.4f} of decoding")
        if options.isolate:
            show_isolation(path, options.photos)
        if options.formats:
            ways: dict[str, tuple[str, dict[str, Any]]] = {
                "progressive JPEG": ("p.jpg", {"quality": 90, "progressive": True}),
                "PNG": ("p.png", {"compress_level": 1}),
                "WebP": ("p.webp", {"quality": 85, "method": 0}),
                "AVIF": ("p.avif", {"quality": 70, "speed": 10}),
            }
            for name, (file_name, settings) in ways.items():
                other = Path(folder) / file_name
                photo.save(other, **settings)
                taken = median_ms(lambda other=other: decode_photo(other, size=SIZE), 3)  # type: ignore[misc]
                print(f"{name:21} {taken:7.1f} ms   {full / taken:.2f} x")


if __name__ == "__main__":
    main()
