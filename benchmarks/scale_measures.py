"""What the plan on paper for very many photos takes as measured: costs of a photo by part, bytes of a row.

    python benchmarks/scale_measures.py [--model NAME|DIR] [--precision NAME] [--json FILE]

The figures go by hand into `scale_parameters.toml`, with the machine and the date. The last lines are the
model's own test: the parts, measured one by one, say how many photos a second this machine should place; then
it places them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from natural_photos import natural_photo
from ours import encoder_alone, end_to_end, open_locator
from program_arms import random_gallery
from small_photos import write_photos
from this_machine import machine

from geolocate.bundle import load_bundle
from geolocate.duplicates import told_apart
from geolocate.exif import read_exif
from geolocate.geolocator import Geolocator
from geolocate.machine import usable_cpus
from geolocate.photos import decode_photo, find_photos
from geolocate.results import read_results
from geolocate.writers.csv import CsvWriter
from geolocate.writers.journal import Journal
from geolocate.writers.jsonl import JsonlWriter
from geolocate.writers.parquet import ParquetWriter
from geolocate.writers.target import open_target

#: Photos of the plan, by name: megapixels and JPEG quality that come to so many megabytes.
PHOTOS = {"0.1 MB": (0.3, 70), "0.5 MB": (1.0, 87), "3 MB": (12.0, 60), "12 MB": (24.0, 87)}
#: Points of galleries to rank over.
GALLERIES = (10_000, 100_000, 1_000_000)
TOP_K = (1, 5)
LISTED = 20_000
ROWS = 1000
PLACED = 64
TURNS = 5


def core_ms(work: Callable[[], object], photos: int, clock: Callable[[], float] = time.process_time) -> float:
    """Milliseconds of `clock` a photo: the median of some runs, after one to warm up."""
    work()
    taken = []
    for _ in range(TURNS):
        start = clock()
        work()
        taken.append(clock() - start)
    return 1e3 * statistics.median(taken) / photos


def write_copies(folder: Path, kind: str, count: int) -> list[Path]:
    """So many JPEGs of that kind, which differ in the bytes after their end: none is a copy of another."""
    megapixels, quality = PHOTOS[kind]
    photo, first = natural_photo(megapixels), folder / "000.jpg"
    folder.mkdir()
    photo.save(first, quality=quality)
    content = first.read_bytes()
    paths = [folder / f"{number:03}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(content + b"%08d" % number)
    return paths


def decoding(folder: Path, side: int) -> dict[str, float]:
    """Processor milliseconds of one thread for decoding and EXIF, by kind; and the size of the file."""
    costs = {}
    for kind in PHOTOS:
        (path,) = write_copies(folder / kind, kind, 1)
        costs[f"{kind}, file, MB"] = path.stat().st_size / 1e6
        costs[f"{kind}, decoded"] = core_ms(
            lambda path=path: [read_exif(decode_photo(path, size=side).exif) for _ in range(4)],  # type: ignore[misc]
            4,
            time.thread_time,
        )
    return costs


def placing(model: str, precision: str) -> dict[str, float]:
    """Processor milliseconds a photo from features to predictions, by points of the gallery."""
    bundle = load_bundle(model)
    width = bundle.manifest.embedding_dim
    costs = {}
    for points in GALLERIES:
        locator = open_locator(model, precision, gallery=random_gallery(points, width))
        costs[f"{points:,} points, placed"] = core_ms(lambda: placed(locator), PLACED)  # noqa: B023
    return costs


def placed(locator: Geolocator) -> int:
    """Places random features; returns how many."""
    random = np.random.default_rng(3)
    features = random.standard_normal((PLACED, locator.bundle.manifest.feature_dim), dtype=np.float32)
    return len(list(locator.locate_features(features)))


def rows(locator: Geolocator, photos: Path, folder: Path) -> dict[str, float]:
    """Bytes a photo of each output and processor microseconds to write them, by top-k."""
    figures = {}
    for top_k in TOP_K:
        predictions = list(locator.locate([photos], top_k=top_k))
        writers: dict[str, Callable[[Path], Any]] = {
            "csv": lambda path: CsvWriter(open_target(path)),
            "jsonl": lambda path: JsonlWriter(open_target(path)),
            "parquet": lambda path: ParquetWriter(open_target(path)),
        }
        for name, opened in writers.items():

            def write(path: Path = folder / f"{top_k}.{name}", opened: Any = opened) -> None:
                writer = opened(path)
                for prediction in predictions:  # noqa: B023
                    writer.write(prediction)
                writer.close()

            figures[f"{name}, top_k {top_k}, written, us"] = 1e3 * core_ms(write, len(predictions))
            path = folder / f"{top_k}.{name}"
            figures[f"{name}, top_k {top_k}, read, us"] = 1e3 * core_ms(
                lambda path=path: list(read_results(path)),  # type: ignore[misc]
                len(predictions),
            )
            figures[f"{name}, top_k {top_k}, bytes"] = path.stat().st_size / len(predictions)
        journal = Journal(folder / f"{top_k}.out")
        journal.begin({})
        for prediction in predictions:
            journal.write(prediction)
        figures[f"journal, top_k {top_k}, bytes"] = journal.path.stat().st_size / len(predictions)
        journal.discard()
    return {"photos": len(predictions)} | figures


def listing(folder: Path) -> dict[str, float]:
    """Microseconds a file of the search, and of telling copies apart where no two sizes meet."""
    for number in range(LISTED):
        if number % 1000 == 0:
            part = folder / f"{number // 1000:03}"
            part.mkdir(parents=True)
        with (part / f"{number:09}.jpg").open("wb") as file:
            file.truncate(number + 1)

    def found() -> list[str]:
        return list(find_photos([str(folder)], on_warning=print))

    return {
        "found, us": 1e3 * core_ms(found, LISTED),
        "found and told apart, us": 1e3
        * core_ms(lambda: list(told_apart(iter(found()), skip=lambda _: False)), LISTED),
    }


def whole(model: str, precision: str, folder: Path, count: int) -> dict[str, float]:
    """What the parts promise for this machine, and what the program then does; photos of 3 MB."""
    photos = write_copies(folder / "whole", "3 MB", count)
    locator = open_locator(model, precision)
    side = locator.bundle.manifest.image.size
    decode = core_ms(lambda: read_exif(decode_photo(photos[0], size=side).exif), 1, time.thread_time)
    encode = core_ms(encoder_alone(model, precision, photos[:8]), 8)
    place = core_ms(lambda: placed(locator), PLACED)
    run = end_to_end(locator, photos, folder)
    run()
    begun, spent = time.perf_counter(), time.process_time()
    run()
    seconds, spent = time.perf_counter() - begun, time.process_time() - spent
    return {
        "decode, core ms": decode,
        "encode, core ms": encode,
        "place, core ms": place,
        "sum, core ms": decode + encode + place,
        "program, core ms": 1e3 * spent / count,
        "promised, photos/s": usable_cpus() * 1e3 / (decode + encode + place),
        "program, photos/s": count / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="starter", help="a bundle, by name or folder")
    parser.add_argument("--precision", default="fp32", help="of its image encoder, on the CPU")
    parser.add_argument(
        "--rows", type=Path, metavar="DIR", help="photos for the bytes of rows, not drawn ones"
    )
    parser.add_argument("--photos", type=int, default=192, help="that the whole program places in the end")
    parser.add_argument("--json", type=Path, help="where the figures go as JSON")
    options = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        locator = open_locator(options.model, options.precision)
        if (photos := options.rows) is None:
            write_photos(photos := folder / "rows", ROWS)
        parts: dict[str, Callable[[], dict[str, float]]] = {
            "decoding": lambda: decoding(folder, locator.bundle.manifest.image.size),
            "placing": lambda: placing(options.model, options.precision),
            "rows": lambda: rows(locator, photos, folder),
            "listing": lambda: listing(folder / "listed"),
            "whole": lambda: whole(options.model, options.precision, folder, options.photos),
        }
        for part, measure in parts.items():
            figures[part] = measure()
            for what, figure in figures[part].items():
                print(f"{part:14} {what:32} {figure:12.4g}", flush=True)
    record = {"machine": machine(), "model": options.model, "precision": options.precision}
    if options.json:
        options.json.write_text(json.dumps(record | figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
