"""Tables of docs/scale.md about what no number of workers mends: listing, partitions, driver, merge."""

from __future__ import annotations

from markdown_figures import duration, percent, short, size_of, table
from scale_model import BITS_PER_BYTE, MS_PER_S, gpu_rate, gpu_worker
from scale_parameters import Parameters
from scale_plan import (
    job,
    list_s,
    lost_share,
    merge_passes,
    names_bytes,
    round_photos,
    same_size,
    simulated,
    working_share,
)
from scale_tables import PHOTOS, SIZE, WORKERS

PARTITIONS = (1_000, 4_096, 16_384, 100_000, 1_000_000)
GALLERIES = ("10,000", "100,000", "1,000,000")
#: Width of embeddings in float32, in bytes.
EMBEDDING_BYTES = 512 * 4
#: Of a file's name in its folder, and files in a folder.
NAME_LENGTH, PER_FOLDER = 24, 1000
#: Memory for sorting, and files that are merged at once.
SORT_MEMORY, FAN_IN = 8e9, 256
#: Marks of partitions that a driver reads at the same time when it starts again.
MARKS_AT_ONCE = 32
#: Files of a partition: its plan, its rows, its mark.
FILES_A_PARTITION = 3
#: Photos by megabytes, and over how many bytes their sizes spread.
SPREADS = {"3 MB, sizes spread over 4 MB": (3.04, 4e6), "0.1 MB, spread over 0.1 MB": (0.104, 1e5)}


def listing_table(parameters: Parameters) -> str:
    """Listing and reading: an object for each photo, or shards."""
    each = parameters["photos per shard"]
    rows = []
    for name, photos in PHOTOS.items():
        calls = photos / parameters["listed per call"]
        rows.append(
            (
                name,
                duration(photos * parameters["told apart"] / 1e6),
                f"{short(calls)} calls, {duration(list_s(parameters, photos))}",
                duration(photos / parameters["reads per prefix"]),
                short(photos / 1e6 * parameters["price reads"] + calls / 1e6 * parameters["price lists"]),
                f"{short(photos / each)} reads, listed in {duration(list_s(parameters, photos / each))}",
                short(photos / each / 1e6 * parameters["price reads"]),
            )
        )
    head = (
        "photos", "local disk, told apart", "LIST, one after the other", "read from one prefix, at least",
        "USD, an object each", "shards of 1,000", "USD",
    )  # fmt: skip
    return table(head, rows)


def partition_table(parameters: Parameters) -> str:
    """What a partition's size costs in failures, and in files."""
    rate = simulated(gpu_worker(parameters, SIZE)).rate
    most = parameters["partitions at most"]
    rows = []
    for photos in PARTITIONS:
        files = [1e8 / photos, 1e10 / photos]
        rows.append(
            (
                f"{photos:,}",
                duration(photos / rate),
                percent(lost_share(parameters, photos, rate), 3),
                *(
                    short(FILES_A_PARTITION * count) + ("" if count <= most else " (refused)")
                    for count in files
                ),
                size_of(photos * parameters["parquet k=1"]),
            )
        )
    head = (
        "photos in a partition", "of one worker", "time lost to failures", "files in OUTPUT, 10^8", "10^10",
        "Parquet k=1",
    )  # fmt: skip
    return table(head, rows)


def rounds_table(parameters: Parameters) -> str:
    """What the rounds of the pipeline leave of many workers."""
    rows = []
    for workers in WORKERS:
        cells = []
        for size in ("3 MB", "0.1 MB"):
            rate = job(parameters, size, gpu_worker(parameters, size), 1e8, workers).rate
            seconds = round_photos(parameters, workers) / rate
            cells += [duration(seconds), percent(working_share(parameters, rate, workers))]
        rows.append((str(workers), *cells))
    head = ("GPUs", "3 MB: a round", "at work", "0.1 MB: a round", "at work")
    return table(head, rows)


def merge_table(parameters: Parameters) -> str:
    """One process that reads partitions and writes one file."""
    rows = []
    each = (parameters["read parquet"] + parameters["write csv"]) / 1e6
    for name, photos in PHOTOS.items():
        rows_bytes = photos * parameters["csv k=1"]
        rows.append(
            (
                name,
                size_of(rows_bytes),
                duration(photos * each),
                str(merge_passes(rows_bytes, SORT_MEMORY, FAN_IN)),
                size_of(rows_bytes * 2 * (1 + merge_passes(rows_bytes, SORT_MEMORY, FAN_IN))),
            )
        )
    head = (
        "photos",
        "CSV k=1",
        "one after the other, in order",
        "merging passes of a sort",
        "read and written by it",
    )
    return table(head, rows)


def gallery_table(parameters: Parameters) -> str:
    """Ranking over larger galleries."""
    rows = []
    for points in GALLERIES:
        worker = gpu_worker(parameters, "0.1 MB", gallery=points)
        one = simulated(worker)
        placed = parameters[f"place {points}"]
        rows.append(
            (
                points,
                short(placed),
                short(placed / 1e3 * gpu_rate(parameters, "H200")),
                f"{short(one.rate)} ({one.bottleneck})",
                size_of(float(points.replace(",", "")) * EMBEDDING_BYTES),
            )
        )
    head = (
        "points",
        "core ms a photo",
        "cores that place as fast as the GPU encodes",
        "photos/s, 0.1 MB, 16 cores",
        "embeddings",
    )
    return table(head, rows)


def driver_table(parameters: Parameters) -> str:
    """What one driver holds and reads."""
    rows = []
    for name, photos in PHOTOS.items():
        partitions = photos / parameters["partition"]
        rows.append(
            (
                name,
                duration(photos * parameters["told apart"] / 1e6),
                size_of(names_bytes(photos, NAME_LENGTH)),
                size_of(names_bytes(PER_FOLDER, NAME_LENGTH)),
                short(partitions) + ("" if partitions <= parameters["partitions at most"] else " (refused)"),
                size_of(photos / parameters["partition"] * parameters["marker"]),
                duration(partitions * parameters["first byte"] / MS_PER_S / MARKS_AT_ONCE),
            )
        )
    head = (
        "photos", "listing, local disk", "memory, all in one folder", "memory, 1,000 a folder", "partitions",
        "manifest.json", "reading the marks again, 32 at once",
    )  # fmt: skip
    return table(head, rows)


def duplicates_table(parameters: Parameters) -> str:
    """How often two sizes meet within the window, and what the driver reads then."""
    rows = []
    remembered = parameters["remembered"]
    for name, (megabytes, sizes) in SPREADS.items():
        chance = same_size(int(remembered), sizes)
        per_photo = chance * 2 * megabytes * 1e6
        rows.append(
            (
                name,
                percent(chance, 1),
                size_of(per_photo),
                duration(1e8 * per_photo * BITS_PER_BYTE / (parameters["network"] * 1e9)),
            )
        )
    return table(
        (
            "photos",
            "a new one has the size of a remembered one",
            "the driver reads, at most, for each",
            "for 10^8, on the driver's link",
        ),
        rows,
    )
