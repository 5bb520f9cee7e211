"""The plan of a job: its photos in the order of one run, cut into partitions, and what the job is.

The plan is complete before the first photo is decoded. A job that starts again works by the plan that is
there and lists nothing anew, so partitions stay what they were, whatever came to the folders since.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from geolocate.decoded_item import SeenPhoto
from geolocate.distributed.store import Store
from geolocate.errors import UsageError
from geolocate.untrusted_json import as_object, as_text, as_whole, take

JOB = "job.json"
_PROGRAM = "geolocate distributed "
_FORMAT = f"{_PROGRAM}1"
#: Names of partitions have six digits.
MAX_PARTITIONS = 1_000_000
MAX_PARTITION_SIZE = 1_000_000
_MAX_PHOTOS = MAX_PARTITIONS * MAX_PARTITION_SIZE


def plan_name(partition: int) -> str:
    """The file with the photos of a partition."""
    return f"plan/{partition:06}.json"


class PlannedPhoto(NamedTuple):
    """A photo, and the one that it is a link or a copy of, if that comes earlier in the job."""

    photo: str
    original: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        job: what decides over the rows, as JSON.
        photos: how many there are.
        partition_size: photos in each partition but the last.
        sha256: of the whole listing, hex.
    """

    job: Mapping[str, Any]
    photos: int
    partition_size: int
    sha256: str

    @property
    def partitions(self) -> int:
        """How many there are."""
        return -(-self.photos // self.partition_size)

    def size(self, partition: int) -> int:
        """Photos of a partition, counted from 0."""
        return min(self.partition_size, self.photos - partition * self.partition_size)


def write_plan(
    store: Store,
    job: Mapping[str, Any],
    photos: Iterator[SeenPhoto],
    partition_size: int,
    advance: Callable[[int], None] = lambda count: None,
) -> Plan:
    """Lists the photos into the store, a partition at a time; the job is written last, when all is there.

    Raises:
        UsageError: there are more partitions than can be named.
        OutputError: the store cannot be written to.
    """
    listing = hashlib.sha256()
    count = partition = 0
    while block := list(islice(photos, partition_size)):
        if partition == MAX_PARTITIONS:
            raise UsageError(f"more than {MAX_PARTITIONS:,} partitions: give a larger --partition-size")
        planned = [PlannedPhoto(seen.file.path, seen.original and seen.original.path) for seen in block]
        content = photos_to_json(planned)
        listing.update(content)
        store.put(plan_name(partition), content)
        count, partition = count + len(block), partition + 1
        advance(len(block))
    plan = Plan(as_written(job), count, partition_size, listing.hexdigest())
    text = json.dumps(
        {
            "format": _FORMAT,
            "job": plan.job,
            "photos": plan.photos,
            "partition_size": plan.partition_size,
            "sha256": plan.sha256,
        },
        indent=1,
    )
    store.put(JOB, text.encode("ascii") + b"\n")
    return plan


def read_plan(store: Store) -> Plan:
    """The plan of the job that is in a store.

    Raises:
        UsageError: what is there is no job of this version, or none of geolocate.
        OutputError: it cannot be read.
    """
    raw = read_job(store)
    try:
        if raw["format"] != _FORMAT:
            raise ValueError(f"format {raw['format']!r}, this version reads {_FORMAT!r}")
        return Plan(
            take(raw, "job", as_object),
            take(raw, "photos", as_whole(0, _MAX_PHOTOS)),
            take(raw, "partition_size", as_whole(1, MAX_PARTITION_SIZE)),
            take(raw, "sha256", as_text),
        )
    except ValueError as error:
        raise UsageError(
            f"{store} holds no job that can go on: {JOB}: {error}; --overwrite starts anew"
        ) from error


def read_job(store: Store) -> Mapping[str, Any]:
    """What the file of a job holds, of whatever version of geolocate; other programs have files of that name.

    Raises:
        UsageError: it is of another program.
        OutputError: it cannot be read.
    """
    (content,) = store.read([JOB])
    try:
        # Not parse_json: paths may hold what JSON of strangers must not, lone surrogates.
        raw = as_object(json.loads(content))
        ours = str(raw.get("format")).startswith(_PROGRAM)
    except (ValueError, RecursionError):
        ours = False
    if not ours:
        raise UsageError(f"{store} is not empty: its {JOB} is of no job of geolocate, and stays")
    return raw


def read_partition(store: Store, plan: Plan, partition: int) -> list[PlannedPhoto]:
    """The photos of a partition, in order.

    Raises:
        UsageError: the file is not what was written.
        OutputError: it cannot be read.
    """
    (content,) = store.read([plan_name(partition)])
    try:
        photos = photos_from_json(content)
    except (ValueError, TypeError, RecursionError):
        photos = []
    if len(photos) != plan.size(partition):
        raise UsageError(f"{store}: {plan_name(partition)} is not as it was written; --overwrite starts anew")
    return photos


def photos_to_json(photos: Iterable[PlannedPhoto]) -> bytes:
    """ASCII; undecodable bytes of names as escapes of surrogates. Copies are written with their originals."""
    entries = [planned.photo if planned.original is None else list(planned) for planned in photos]
    return (json.dumps(entries, indent=0) + "\n").encode("ascii")


def photos_from_json(content: bytes) -> list[PlannedPhoto]:
    """The inverse of :func:`photos_to_json`. Raises ValueError, TypeError or RecursionError."""
    photos = []
    for entry in json.loads(content):
        photo, original = (entry, None) if isinstance(entry, str) else entry
        if not isinstance(photo, str) or not isinstance(original, str | None):
            raise ValueError("a photo is no text")
        photos.append(PlannedPhoto(photo, original))
    return photos


def as_written(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job as it is read back: tuples are lists, paths are text."""
    written: dict[str, Any] = json.loads(json.dumps(dict(job), default=os.fspath))
    return written
