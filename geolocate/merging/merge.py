"""What there is to merge, whatever the parts are: photos in their order, and what is said of them."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from geolocate.decoding import DecodeOptions
from geolocate.errors import UsageError
from geolocate.merging.by_path import SortedByPath
from geolocate.merging.part import Part, read_part
from geolocate.merging.partitions import open_partitions
from geolocate.merging.shards import check_shards, devices, in_one_order
from geolocate.records import Prediction
from geolocate.results import read_results
from geolocate.sources.urls import STORE_SCHEMES, is_url, scheme_of
from geolocate.text_safety import printable
from geolocate.writers import MANIFEST_SUFFIX


@dataclass(frozen=True, slots=True)
class Merge:
    """What is merged.

    Attributes:
        predictions: in their order.
        run: what the manifest will say of the run that they are of.
        photos: how many there will be; None where nobody knows yet.
        files: what is read, which no output may replace.
        what: the plural of what was located.
        model: lines about the model.
        remarks: what the user should know beforehand.
        afterwards: gives what else, when all predictions were read.
    """

    predictions: Iterator[Prediction]
    run: dict[str, Any]
    photos: int | None
    files: list[str]
    what: str = "photos"
    model: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    afterwards: Callable[[], Sequence[str]] = tuple

    def decode_options(self) -> DecodeOptions | None:
        """How the photos of the run are decoded for the thumbnails of a map; None where it had none.

        In processes of their own: results may be anybody's, and no photo may end a merge.
        """
        if self.what != "photos":
            return None
        options = self.run.get("options")
        options = options if isinstance(options, dict) else {}
        standard = DecodeOptions()
        pixels = options.get("max_pixels")
        return DecodeOptions(
            max_pixels=pixels if type(pixels) is int and 0 < pixels < 2**63 else standard.max_pixels,
            allow_truncated=options.get("allow_truncated") is True,
            exact=options.get("exact_decode") is True,
            isolate=True,
        )


def merge_runs(paths: Sequence[str], *, any_mount: bool = False) -> Merge:
    """All shards of a run, the output of one whole run, or the OUTPUT of a job of many machines.

    Args:
        any_mount: shards may have reached one folder by different paths.

    Raises:
        UsageError: a part is missing, there twice, of another run, or does not say what it is.
        TableError: a part is damaged, or has changed since it was written.
        OutputError: the OUTPUT of a job cannot be read.
    """
    jobs = [path for path in paths if is_url(path) or os.path.isdir(path)]
    if not jobs:
        return _of_parts([read_part(path) for path in paths], any_mount)
    if len(paths) > 1:
        raise UsageError(f"{printable(jobs[0])} is the OUTPUT of a job, which is merged by itself")
    scheme = scheme_of(jobs[0])
    if scheme not in (None, "file", *STORE_SCHEMES):
        stores = ", ".join(f"{name}://" for name in STORE_SCHEMES)
        raise UsageError(f"the OUTPUT of a job is a folder or lies at {stores}, not at {scheme}://")
    return _of_job(jobs[0])


def _of_parts(parts: list[Part], any_mount: bool) -> Merge:
    first = parts[0]
    is_whole = len(parts) == 1 and first.shard is None
    if not is_whole:
        check_shards(parts, any_mount=any_mount)
    for part in parts:
        part.check()
    used = devices(parts)
    differ = (
        f"parts were made on different devices ({', '.join(used)}): last digits may differ from one run's"
    )
    return Merge(
        first.predictions() if is_whole else in_one_order(parts),
        {**first.run, "merged": [_entry(part) for part in parts]},
        sum(part.photos for part in parts),
        _with_manifests(part.path for part in parts),
        first.what,
        first.model,
        remarks=(differ,) if len(used) > 1 else (),
    )


def _entry(part: Part) -> dict[str, Any]:
    shard = {} if part.shard is None else {"shard": str(part.shard.shard)}
    return {"path": part.path, **shard, "photos": part.photos, "sha256": part.sha256}


def _of_job(output: str) -> Merge:
    job = open_partitions(output)
    return Merge(
        job.predictions(),
        {**job.run, "merged": [{"path": output, "photos": job.photos}]},
        job.photos,
        [os.path.join(output, name) for name in job.store.sizes()],
        model=job.model,
    )


def merge_by_path(paths: Sequence[str]) -> Merge:
    """Parts of which nothing is known, sorted by path, each photo once.

    Raises:
        UsageError: there is no such file.
    """
    for path in paths:
        if not os.path.isfile(path):
            raise UsageError(f"{printable(path)} is no file")
    by_path = SortedByPath(map(read_results, paths))

    def afterwards() -> list[str]:
        repeats = f"{by_path.repeats:,} repeat{'s' if by_path.repeats > 1 else ''}"
        return [f"left out {repeats} of photos that are there already"] if by_path.repeats else []

    return Merge(
        iter(by_path),
        {
            "program": f"geolocate {importlib.metadata.version('geolocate')}",
            "by_path": True,
            "merged": [{"path": path} for path in paths],
        },
        None,
        _with_manifests(paths),
        remarks=("sorted by path, whatever the parts are of: nothing tells whether one is missing",),
        afterwards=afterwards,
    )


def _with_manifests(paths: Iterator[str] | Sequence[str]) -> list[str]:
    return [name for path in paths for name in (path, path + MANIFEST_SUFFIX)]
