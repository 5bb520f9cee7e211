"""Partitions on their way into the store: a Parquet file each, and beside it the word that it is finished."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geolocate.distributed.plan import JOB, Plan, read_job
from geolocate.distributed.store import Store
from geolocate.records import Prediction
from geolocate.untrusted_json import as_object, as_text, as_whole, parse_json, take
from geolocate.writers.parquet import ParquetWriter

MANIFEST = "manifest.json"
_PLAN = re.compile(r"plan/\d{6}\.json")
_WRITTEN = re.compile(rf"{_PLAN.pattern}|part-\d{{6}}\.(parquet|json)")
_LARGEST = 2**62


def part_name(partition: int) -> str:
    """The file with the rows of a partition."""
    return f"part-{partition:06}.parquet"


def marker_name(partition: int) -> str:
    """The file that says that a partition is finished."""
    return f"part-{partition:06}.json"


@dataclass(frozen=True, slots=True)
class Partition:
    """A finished partition.

    Attributes:
        partition: its number, from 0.
        photos, failed, rows: how many it has.
        bytes, sha256: of its file.
    """

    partition: int
    photos: int
    failed: int
    rows: int
    bytes: int
    sha256: str


def write_partition(store: Store, partition: int, predictions: Iterable[Prediction]) -> Partition:
    """Writes the rows of a partition, then its marker; twice the same predictions give the same bytes.

    Raises:
        OutputError: the store cannot be written to.
    """
    memory = _Memory()
    writer = ParquetWriter(memory)
    photos = failed = rows = 0
    for prediction in predictions:
        writer.write(prediction)
        photos += 1
        failed += prediction.error is not None
        rows += max(1, len(prediction.candidates))
    writer.close()
    content = bytes(memory.content)
    digest = hashlib.sha256(content).hexdigest()
    finished = Partition(partition, photos, failed, rows, len(content), digest)
    store.put(part_name(partition), content)
    store.put(marker_name(partition), _json(asdict(finished)))
    return finished


def finished_partitions(store: Store, plan: Plan) -> dict[int, Partition]:
    """The partitions of a plan that are finished, by number: marked so, and of the size that the mark says.

    Raises:
        OutputError: the store cannot be read.
    """
    sizes = store.sizes()
    marked = [index for index in range(plan.partitions) if marker_name(index) in sizes]
    finished = {}
    for index, content in zip(marked, store.read(map(marker_name, marked)), strict=True):
        try:
            partition = _partition(content)
        except ValueError:  # edited: it is done again
            continue
        expected = (index, plan.size(index), sizes.get(part_name(index)))
        if (partition.partition, partition.photos, partition.bytes) == expected:
            finished[index] = partition
    return finished


def write_manifest(store: Store, plan: Plan, finished: Mapping[int, Partition]) -> None:
    """Says that the job is complete. Raises OutputError."""
    ordered = [finished[index] for index in range(plan.partitions)]
    manifest = {
        **plan.job,
        "photos": plan.photos,
        "failed": sum(partition.failed for partition in ordered),
        "rows": sum(partition.rows for partition in ordered),
        "listing_sha256": plan.sha256,
        "partitions": [{"file": part_name(each.partition), **asdict(each)} for each in ordered],
    }
    store.put(MANIFEST, _json(manifest))


def discard_job(store: Store) -> None:
    """Removes what a job wrote, and nothing else.

    What says that it is complete goes first and what it is goes last: a removal that is cut off leaves a job
    that can be discarded again.

    Raises:
        UsageError: the job is another program's.
        OutputError: the store cannot be read or written to.
    """
    read_job(store)  # or it is another program's
    names = store.sizes()
    store.remove(name for name in names if name == MANIFEST)
    store.remove(name for name in names if _WRITTEN.fullmatch(name))
    store.remove(name for name in names if name == JOB)


def is_plan(name: str) -> bool:
    """Whether a file is of a plan, which alone says nothing: a listing was cut off."""
    return _PLAN.fullmatch(name) is not None


def _partition(content: bytes) -> Partition:
    raw = as_object(parse_json(content))
    counts = {
        name: take(raw, name, as_whole(0, _LARGEST))
        for name in ("partition", "photos", "failed", "rows", "bytes")
    }
    return Partition(**counts, sha256=take(raw, "sha256", as_text))


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode("ascii")


class _Memory:
    """A target in memory: a partition is written to the store at once."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> None:
        """Appends."""
        self.content += data

    def commit(self) -> None:
        """Nothing to do."""

    def abandon(self) -> Path | None:
        """Nothing stays."""
        return None
