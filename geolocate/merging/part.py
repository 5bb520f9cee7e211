"""A part: an output file of predict, and the manifest beside it that says what it is."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geolocate.errors import TableError, UsageError
from geolocate.records import Prediction
from geolocate.regular_file import open_regular, read_regular
from geolocate.results import read_results
from geolocate.sharding.ordinals import LARGEST
from geolocate.sharding.shard import MAX_SHARDS, Shard
from geolocate.text_safety import printable
from geolocate.untrusted_json import as_list, as_object, as_text, as_whole, take
from geolocate.writers.target import journal_path, manifest_path, partial_path

#: Larger than the manifest of a shard of 100 million photos.
MAX_MANIFEST_BYTES = 2**28
#: What is located, in the plural, is the name of a count.
KINDS = ("photos", "texts")
#: Of a manifest, what is not the same in all parts of one run.
_OF_PART = frozenset((*KINDS, "failed", "model", "shard", "file"))


@dataclass(frozen=True, slots=True)
class ShardFacts:
    """Which shard a part is; see :meth:`geolocate.sharding.listing.ShardListing.facts`."""

    shard: Shard
    listed: int
    listing: str
    ordinals: str


@dataclass(frozen=True, slots=True)
class Part:
    """An output file.

    Attributes:
        run: what it shares with all other parts of its run.
        what: the plural of what was located.
        photos: how many it has.
        model: lines about the model.
        bytes, sha256: of the file as it was written.
        shard: None for the output of a whole run.
    """

    path: str
    run: dict[str, Any]
    what: str
    photos: int
    model: tuple[str, ...]
    bytes: int
    sha256: str
    shard: ShardFacts | None

    def __str__(self) -> str:
        return printable(self.path)

    def predictions(self) -> Iterator[Prediction]:
        """In the order of the file. Raises TableError where it cannot be read."""
        return read_results(self.path)

    def check(self) -> None:
        """Holds the file against its manifest. Raises TableError where it is another one now."""
        try:
            with open_regular(self.path) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
        except OSError as error:
            raise TableError(f"{self} cannot be read: {error.strerror or error}") from error
        if size < self.bytes:
            raise TableError(f"{self} is cut off: {size:,} bytes, and its manifest says {self.bytes:,}")
        if digest != self.sha256:
            raise TableError(
                f"{self} has changed since it was written: it is not what its manifest describes"
            )


def read_part(path: str) -> Part:
    """The part in a file, by its manifest; its rows are not looked at.

    Raises:
        UsageError: there is no such file, or no manifest beside it that says what it is.
        TableError: the manifest is damaged.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(
            f"no such file: {printable(path)}" if not file.exists() else f"{printable(path)} is no file"
        )
    beside = manifest_path(file)
    try:
        content = read_regular(beside, MAX_MANIFEST_BYTES)
        raw = as_object(json.loads(content))  # names may hold what is no Unicode, as escapes
        return _part(path, raw)
    except FileNotFoundError:
        raise UsageError(_without_manifest(file)) from None
    except OSError as error:
        raise TableError(f"{printable(str(beside))} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise TableError(f"{printable(str(beside))} is no manifest of an output: {error}") from error


def _without_manifest(file: Path) -> str:
    shown = printable(os.fspath(file))
    if journal_path(file).exists() or partial_path(file).exists():
        return f"the run that writes {shown} is not complete: its command with --resume goes on with it"
    return (
        f"{shown} has no manifest beside it, {printable(manifest_path(file).name)}, so nothing says what it "
        "is a part of; --by-path takes it all the same, sorted by path"
    )


def _part(path: str, raw: dict[str, Any]) -> Part:
    what = next((kind for kind in KINDS if kind in raw), KINDS[0])
    written = take(raw, "file", as_object)
    return Part(
        path,
        {key: value for key, value in raw.items() if key not in _OF_PART},
        what,
        take(raw, what, as_whole(0, LARGEST)),
        tuple(map(as_text, take(raw, "model", as_list, []))),
        take(written, "bytes", as_whole(0, LARGEST)),
        take(written, "sha256", as_text),
        take(raw, "shard", _shard_facts) if "shard" in raw else None,
    )


def _shard_facts(value: object) -> ShardFacts:
    raw = as_object(value)
    count = take(raw, "of", as_whole(1, MAX_SHARDS))
    return ShardFacts(
        Shard(take(raw, "index", as_whole(1, count)), count),
        take(raw, "listed", as_whole(0, LARGEST)),
        take(raw, "listing", as_text),
        take(raw, "ordinals", as_text),
    )
