"""The OUTPUT of `geolocate distributed`: partitions that follow each other in the order of one run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from geolocate.distributed.partitions import MANIFEST, part_name
from geolocate.distributed.plan import JOB
from geolocate.distributed.store import Store, open_store
from geolocate.errors import TableError, UsageError
from geolocate.records import Prediction
from geolocate.results import results_in
from geolocate.sharding.ordinals import LARGEST
from geolocate.untrusted_json import as_list, as_object, as_text, as_whole, take

#: Of its manifest, what is no part of what the job is.
_COUNTS = frozenset(("partitions", "rows", "photos", "failed", "model"))


@dataclass(frozen=True, slots=True)
class Partitions:
    """A complete job.

    Attributes:
        run: what its manifest says of the job.
        hashes: SHA-256 of each partition.
        photos: how many there are.
        model: lines about the model, where the manifest has them.
    """

    store: Store
    run: dict[str, Any]
    hashes: tuple[str, ...]
    photos: int
    model: tuple[str, ...]

    def predictions(self) -> Iterator[Prediction]:
        """Yields them in order; one partition is held at a time.

        Raises:
            TableError: a partition is not what the manifest describes.
            OutputError: it cannot be read.
        """
        for partition, sha256 in enumerate(self.hashes):
            name = part_name(partition)
            (content,) = self.store.read([name])
            if hashlib.sha256(content).hexdigest() != sha256:
                raise TableError(f"{self.store}: {name} is not what the manifest describes")
            yield from results_in(content, f"{self.store}/{name}")


def open_partitions(output: str) -> Partitions:
    """The job in a folder or at a URL.

    Raises:
        UsageError: there is none, or it is not complete.
        TableError: its manifest is damaged.
        OutputError: it cannot be read.
    """
    store = open_store(output)
    there = store.sizes()
    if MANIFEST not in there:
        if JOB in there:
            raise UsageError(f"the job in {store} is not complete: geolocate distributed goes on with it")
        raise UsageError(f"{store} holds no output of geolocate distributed, and no other folder is a part")
    (content,) = store.read([MANIFEST])
    try:
        raw = as_object(json.loads(content))
        photos = take(raw, "photos", as_whole(0, LARGEST))
        partitions = [as_object(entry) for entry in take(raw, "partitions", as_list)]
        hashes = tuple(take(entry, "sha256", as_text) for entry in partitions)
        model = tuple(map(as_text, take(raw, "model", as_list, [])))
        if [entry.get("partition") for entry in partitions] != list(range(len(partitions))):
            raise ValueError("its partitions are not in order")
        if sum(take(entry, "photos", as_whole(0, LARGEST)) for entry in partitions) != photos:
            raise ValueError("its partitions have another number of photos")
    except (ValueError, RecursionError) as error:
        raise TableError(f"{store}: {MANIFEST}: {error}") from error
    missing = [part_name(number) for number in range(len(hashes)) if part_name(number) not in there]
    if missing:
        raise TableError(f"{store}: {missing[0]} is missing")
    run = {key: value for key, value in raw.items() if key not in _COUNTS}
    return Partitions(store, run, hashes, photos, model)
