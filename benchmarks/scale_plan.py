"""From one worker to an archive: wall time, bytes, requests and cost of a job, and what failures cost it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from scale_model import BITS_PER_BYTE, MS_PER_S, NO_BOUND, Worker
from scale_parameters import Parameters
from scale_simulation import Outcome, simulate

#: Photos of one simulation beside those that fill its rooms: its rate is then close to the closed form.
SIMULATED = 6000
SECONDS_PER_HOUR = 3600.0
#: CPython's bytes object without its bytes, and its place in a list.
BYTES_OBJECT, POINTER = 33, 8


@dataclass(frozen=True, slots=True)
class Cost:
    """USD a million photos."""

    gpu: float
    cores: float
    reads: float

    @property
    def total(self) -> float:
        """Without the storage of the photos, which costs whether they are located or not."""
        return self.gpu + self.cores + self.reads


@dataclass(frozen=True, slots=True)
class Job:
    """A number of photos on a number of workers.

    Attributes:
        rate: photos/s of all workers together.
        bottleneck: a worker's pool, or "storage".
        wall_s: from the first photo to the last.
        read_bytes: of photos.
        read_gbit: Gbit/s from storage.
    """

    photos: float
    workers: int
    rate: float
    bottleneck: str
    wall_s: float
    read_bytes: float
    read_gbit: float


@cache
def simulated(worker: Worker) -> Outcome:
    """What one worker does, over enough photos to fill its rooms; the same one is simulated once."""
    rooms = sum(stage.waiting for stage in worker.stages if stage.waiting < NO_BOUND)
    return simulate(worker, SIMULATED + 2 * rooms)


def job(parameters: Parameters, size: str, worker: Worker, photos: float, workers: int) -> Job:
    """What all workers do together: as many times one of them, unless storage gives less."""
    one = simulated(worker)
    megabytes = parameters[f"file {size}"]
    most = parameters["storage"] * 1e3 / BITS_PER_BYTE / megabytes
    total = min(workers * one.rate, most)
    return Job(
        photos,
        workers,
        total,
        "storage" if total == most else one.bottleneck,
        photos / total,
        photos * megabytes * 1e6,
        total * megabytes * BITS_PER_BYTE / 1e3,
    )


def cost(parameters: Parameters, rate: float, *, gpu: str | None, cores: float, per_read: float = 1) -> Cost:
    """USD a million photos at `rate` photos/s of one worker.

    Args:
        gpu: its kind; None for a worker without.
        per_read: photos in one read, 1 where each is an object of its own.
    """
    hours = 1e6 / rate / SECONDS_PER_HOUR
    return Cost(
        gpu=hours * parameters[f"price {gpu}"] if gpu else 0.0,
        cores=hours * cores * parameters["price core"],
        reads=parameters["price reads"] / per_read,
    )


def list_s(parameters: Parameters, photos: float) -> float:
    """Seconds to list so many keys of an object store, one call after the other."""
    return math.ceil(photos / parameters["listed per call"]) * parameters["list call"] / MS_PER_S


def shard_readings(per_shard: float, block: float) -> float:
    """Times that a shard is read at most when each block of its photos is decoded by another process.

    A tar file is read forwards, so a block costs all that stands before it too.
    """
    blocks = math.ceil(per_shard / block)
    return (blocks + 1) / 2


def lost_share(parameters: Parameters, partition: float, rate: float) -> float:
    """Share of a worker's time that goes into work done again and into restarts.

    A failure hits a partition in its middle, on the average; before it and after it all is kept.
    """
    again_s = partition / rate / 2 + parameters["restart"]
    return again_s / (parameters["failures"] * SECONDS_PER_HOUR)


def best_partition(parameters: Parameters, rate: float, overhead_s: float) -> float:
    """Photos of the partition that costs least where each has an overhead (Young 1974, equation 4)."""
    return rate * math.sqrt(2 * overhead_s * parameters["failures"] * SECONDS_PER_HOUR)


def round_photos(parameters: Parameters, workers: int) -> float:
    """Photos that one execution of the pipeline is given."""
    return max(parameters["round"], parameters["round of an actor"] * workers)


def working_share(parameters: Parameters, rate: float, workers: int) -> float:
    """Share of the time that a job works at `rate` photos/s: between two rounds its actors begin anew."""
    seconds = round_photos(parameters, workers) / rate
    return seconds / (seconds + parameters["round start"])


def unbroken(parameters: Parameters, workers: int, wall_s: float) -> float:
    """Probability that no worker is lost in a job, failures coming at random."""
    return math.exp(-workers * wall_s / (parameters["failures"] * SECONDS_PER_HOUR))


def names_bytes(names: float, length: int) -> float:
    """Memory of one folder's names, which the search holds and sorts (`geolocate/photos/find.py`)."""
    return names * (BYTES_OBJECT + length + POINTER)


def same_size(remembered: int, sizes: float) -> float:
    """Probability that a new file has the size of a remembered one, sizes spread evenly over so many bytes.

    Each meeting reads both files, to compare them by hash.
    """
    return 1 - math.exp(-remembered / sizes)


def merge_passes(rows_bytes: float, memory_bytes: float, fan_in: int) -> int:
    """Passes over everything of an external merge sort after the one that sorts (Knuth, volume 3, 5.4)."""
    runs = math.ceil(rows_bytes / memory_bytes)
    return max(0, math.ceil(math.log(runs, fan_in) - 1e-9)) if runs > 1 else 0
