"""What a photo costs besides decoding, encoding and ranking: milliseconds by part, and their sum.

    python benchmarks/overhead.py [--photos N] [--model NAME|DIR] [--json FILE]

Goals: the sum is below 0.7 ms at -k 1 and below 1.5 ms at -k 5, where every photo has a position in its EXIF
and no place has been named before. Parts are measured one after the other in one thread, on predictions that
the model really made of small photos. Times are the processor's: others who use the machine change them
little.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from small_photos import write_photos, write_small_bundle

from geolocate import Geolocator
from geolocate.cli.progress import Progress
from geolocate.exif import read_exif
from geolocate.geodesic import geodesic_km
from geolocate.photos import decode_photo, find_photos
from geolocate.places import PlaceIndex
from geolocate.records import Position, Prediction
from geolocate.writers.csv import CsvWriter
from geolocate.writers.journal import Journal
from geolocate.writers.jsonl import JsonlWriter
from geolocate.writers.target import open_target

REPEATS = 5
TOP_K = (1, 5)
GOALS_MS = {1: 0.7, 5: 1.5}


def median_ms(work: Callable[[], object], photos: int) -> float:
    """Processor milliseconds a photo of work over all: the median of some runs, after one to warm up."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1e3 * statistics.median(times) / photos


def parts_ms(folder: Path, predictions: list[Prediction], blocks: list[bytes | None]) -> dict[str, float]:
    """Milliseconds a photo, by part; a part is what the program calls for it."""
    paths = [prediction.photo for prediction in predictions]
    truth = Position(48.1, 11.6)
    candidates = [[candidate.position for candidate in prediction.candidates] for prediction in predictions]
    writers, names = itertools.count(), itertools.count(1)

    def each(call: Callable[[Prediction], object]) -> None:
        for prediction in predictions:
            call(prediction)

    def journal() -> None:
        begun = Journal(folder / f"out{next(writers)}")
        begun.begin({})
        each(begun.write)
        begun.discard()

    def output(kind: Callable[..., CsvWriter | JsonlWriter]) -> None:
        writer = kind(open_target(folder / f"rows{next(writers)}"))
        each(writer.write)
        writer.close()

    def progress() -> None:
        shown = Progress(shown=True, stream=io.StringIO(), total=lambda: len(predictions))
        each(lambda _: shown.advance())

    def all_of(items: Iterable[object]) -> None:
        for _ in items:
            pass

    def moved(positions: list[list[Position]]) -> Iterator[list[Position]]:
        for few in positions:
            north = 1e-6 * next(names)
            yield [Position(at.latitude + north, at.longitude) for at in few]

    measured: dict[str, Callable[[], object]] = {
        "find": lambda: all_of(find_photos([str(folder / "photos")], on_warning=print)),
        "EXIF": lambda: all_of(map(read_exif, blocks)),
        "place names": lambda: all_of(map(PlaceIndex.load().name, moved(candidates))),
        "named before": lambda: all_of(map(PlaceIndex.load().name, candidates)),
        "geodesic": lambda: all_of(geodesic_km(at, truth) for few in candidates for at in few),
        "journal": journal,
        "CSV": lambda: output(CsvWriter),
        "JSON lines": lambda: output(JsonlWriter),
        "progress": progress,
    }
    return {part: median_ms(work, len(paths)) for part, work in measured.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--model", help="a bundle; by default the starter with a trivial image encoder")
    parser.add_argument("--json", type=Path, help="where the figures go as JSON")
    options = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder / "photos", options.photos)
        model = options.model
        if model is None:
            write_small_bundle(model := folder / "bundle", points=None)
        geolocator = Geolocator.load(model, say=lambda text: None)
        paths = list(find_photos([str(folder / "photos")], on_warning=print))
        blocks = [decode_photo(path, size=8).exif for path in paths]
        for top_k in TOP_K:
            predictions = list(geolocator.locate(paths, top_k=top_k))
            figures[f"top_k {top_k}"] = parts_ms(folder, predictions, blocks)
    for part in figures["top_k 1"]:
        print(f"{part:12}", *(f"{figures[f'top_k {k}'][part]:9.4f} ms" for k in TOP_K))
    sums = {k: sum(ms for part, ms in figures[f"top_k {k}"].items() if part != "named before") for k in TOP_K}
    print(f"{'sum':12}", *(f"{total:9.4f} ms (goal {GOALS_MS[k]})" for k, total in sums.items()))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
