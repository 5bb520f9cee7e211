"""What machines do with the photos of a job, stage by stage: decode, locate, write.

Blocks that go from stage to stage are Arrow tables of a few photos of one partition, in order:

    decode:  partition, photos (JSON)                     -> partition, photo, facts, error, pixels
    locate:  partition, photo (JSON), facts, error,
             pixels uint8 S * S * 3                       -> partition, prediction (JSON, nothing lost)
    write:   all predictions of a partition               -> counts and hash of its file
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pyarrow as arrow

from geolocate.bundle import load_bundle
from geolocate.decode_frames import facts_from_bytes, facts_to_bytes
from geolocate.decoded_item import DecodedItem, DecodeOptions, FoundFile, SeenPhoto
from geolocate.decoding import decode_batches
from geolocate.distributed.cluster import earlier_attempts
from geolocate.distributed.faults import telling
from geolocate.distributed.partitions import write_partition
from geolocate.distributed.plan import Plan, PlannedPhoto, photos_from_json, photos_to_json
from geolocate.distributed.store import Store
from geolocate.errors import ClusterError
from geolocate.gallery import Gallery
from geolocate.geocoding import open_namer
from geolocate.placing import By
from geolocate.priors import Prior
from geolocate.ranking import Ranking
from geolocate.text_safety import printable
from geolocate.writers.prediction_json import prediction_from_json, prediction_to_json


@dataclass(frozen=True, slots=True)
class Decoding:
    """How photos are decoded.

    Attributes:
        size: side S of the pixels.
        exif: read the EXIF facts as well.
        folder: where relative paths begin.
        inputs: local arguments of the job, which every machine has to see.
    """

    size: int
    options: DecodeOptions
    exif: bool
    folder: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Locating:
    """How photos are located: the arguments of :class:`geolocate.geolocator.Geolocator` and of its `locate`.

    Attributes:
        model: name or folder of the bundle on every machine.
        sha256: of the bundle; a machine that has another one is refused.
    """

    model: str
    sha256: str
    device: Literal["cuda", "cpu"]
    precision: str
    batch_size: int | None
    priors: tuple[Prior, ...]
    gallery: Gallery | None
    geocoder: str
    top_k: int
    ranking: Ranking
    concepts: int
    by: By
    abstain_km: float | None
    threads: int = field(default=1, kw_only=True)


def decode(block: arrow.Table, how: Decoding) -> arrow.Table:
    """Decodes the photos of one row; one that fails has an error and no pixels.

    Where a process died over them before, it may have been one photo that crashes its decoder, and would do
    so again: now that costs this photo alone.
    """
    with telling():
        _enter(how.folder, how.inputs)
        if earlier_attempts():
            how = replace(how, options=replace(how.options, isolate=True))
        return _decoded(block, how)


def _decoded(block: arrow.Table, how: Decoding) -> arrow.Table:
    (row,) = block.to_pylist()
    planned = photos_from_json(row["photos"])
    photos = map(_seen, planned)
    items: list[DecodedItem] = []
    with closing(decode_batches(photos, how.size, len(planned), how.options, exif=how.exif)) as batches:
        for batch in batches:
            items += batch
    return arrow.table(
        {
            "partition": arrow.array([row["partition"]] * len(items), arrow.int32()),
            "photo": arrow.array([photos_to_json([photo]) for photo in planned], arrow.binary()),
            "facts": arrow.array([facts_to_bytes(item.facts) for item in items], arrow.binary()),
            "error": arrow.array([item.error and json.dumps(item.error) for item in items], arrow.string()),
            "pixels": arrow.array(
                [None if item.pixels is None else item.pixels.tobytes() for item in items],
                arrow.large_binary(),
            ),
        }
    )


@lru_cache(maxsize=1)
def _enter(folder: str, inputs: tuple[str, ...]) -> None:
    """Goes where relative paths begin, once.

    Raises:
        ClusterError: the machine does not see what the job was given; each photo would be missing.
    """
    try:
        os.chdir(folder)
        missing = next((path for path in inputs if not os.path.lexists(path)), None)
    except OSError:
        missing = folder
    if missing is not None:
        raise ClusterError(
            f"machine {socket.gethostname()} does not see {printable(missing)}: "
            "all machines need the same folders, under the same paths"
        )


def _seen(planned: PlannedPhoto) -> SeenPhoto:
    """None is at hand: a copy may be decoded on another machine than its original."""
    original = None if planned.original is None else FoundFile(planned.original, None)
    return SeenPhoto(FoundFile(planned.photo, None), original)


class Locate:
    """An actor's part: one model, opened once.

    Raises:
        ClusterError: the machine has another bundle of that name.
    """

    def __init__(self, how: Locating) -> None:
        with telling():
            self._open(how)

    def _open(self, how: Locating) -> None:
        from geolocate.geolocator import Geolocator

        bundle = load_bundle(how.model)
        if bundle.sha256 != how.sha256:
            raise ClusterError(
                f"machine {socket.gethostname()} has another bundle {printable(how.model)}: "
                "all machines need the same one"
            )
        self._how = how
        self._size = bundle.manifest.image.size
        self._geolocator = Geolocator(
            bundle,
            device=how.device,
            precision=how.precision,
            batch_size=how.batch_size,
            threads=how.threads,
            gallery=how.gallery,
            priors=how.priors,
            namer=open_namer(how.geocoder),
            say=lambda text: None,
        )

    def __call__(self, block: arrow.Table) -> arrow.Table:
        """Locates the photos of a block, which stay in order."""
        with telling():
            return self._located(block)

    def _located(self, block: arrow.Table) -> arrow.Table:
        how = self._how
        predictions = self._geolocator.locate_decoded(
            iter([list(self._items(block))]),
            top_k=how.top_k,
            ranking=how.ranking,
            concepts=how.concepts,
            by=how.by,
            abstain_km=how.abstain_km,
        )
        lines = arrow.array([prediction_to_json(prediction) for prediction in predictions], arrow.binary())
        return arrow.table({"partition": block["partition"], "prediction": lines})

    def _items(self, block: arrow.Table) -> Iterator[DecodedItem]:
        shape = (self._size, self._size, 3)
        columns = (block[name] for name in ("photo", "facts", "error", "pixels"))
        for photo, facts, error, pixels in zip(*columns, strict=True):
            (planned,) = photos_from_json(photo.as_py())
            yield DecodedItem(
                planned.photo,
                np.frombuffer(pixels.as_buffer(), np.uint8).reshape(shape) if pixels.is_valid else None,
                facts_from_bytes(facts.as_py()),
                json.loads(error.as_py()) if error.is_valid else None,
                _seen(planned),
            )


def write(block: arrow.Table, store: Store, plan: Plan) -> dict[str, list[Any]]:
    """Writes a partition, all of whose predictions are in the block, and says what is in it."""
    partitions = set(block["partition"].to_pylist())
    if len(partitions) != 1 or len(block) != plan.size(min(partitions)):
        raise AssertionError(f"a block of {len(block)} photos of the partitions {sorted(partitions)}")
    predictions = (prediction_from_json(json.loads(line.as_py())) for line in block["prediction"])
    with telling():
        finished = write_partition(store, partitions.pop(), predictions)
    return {name: [value] for name, value in asdict(finished).items()}
