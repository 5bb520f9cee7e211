"""Shards as one run: whether all of them are there, and their photos in its order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, pairwise
from operator import itemgetter
from typing import Any

from geolocate.errors import TableError, UsageError
from geolocate.merging.part import Part, ShardFacts
from geolocate.records import Prediction
from geolocate.sharding.ordinals import GONE, unpack
from geolocate.writers.journal import differences

#: Shards that a message names.
_NAMED = 10
#: Files that the program has open besides.
_OTHER_FILES = 64
_REMEDY = "; --by-path takes the parts all the same, sorted by path"


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Consecutive photos of a part whose numbers rise: the whole part, unless it went on after a change."""

    part: Part
    shard: ShardFacts
    start: int
    stop: int

    def numbers(self) -> Iterator[int]:
        return islice(unpack(self.shard.ordinals, self.part.photos), self.start, self.stop)

    def predictions(self) -> Iterator[tuple[int, Prediction]]:
        numbers = self.numbers()
        last = -1
        for place, prediction in enumerate(self.part.predictions()):
            if place >= self.part.photos:
                raise TableError(f"{self.part} has more photos than its manifest says")
            last = place
            if self.start <= place < self.stop:
                yield next(numbers), prediction
            elif place >= self.stop:
                return
        if last + 1 < self.stop:
            raise TableError(
                f"{self.part} has {last + 1:,} photos, and its manifest says {self.part.photos:,}"
            )


def check_shards(parts: Sequence[Part], *, any_mount: bool = False) -> None:
    """Whether the parts are all shards of one run over one listing, each once.

    Args:
        any_mount: their inputs may be called differently; what is below them is compared all the same.

    Raises:
        UsageError: says which is missing or there twice, or in what they differ.
    """
    first = parts[0]
    seen: dict[int, Part] = {}
    for part in parts:
        if part.shard is None or first.shard is None:
            whole = part if part.shard is None else first
            raise UsageError(
                f"{whole} is the output of a whole run, and no shard to merge with others" + _REMEDY
            )
        unlike = list(differences(_compared(first, any_mount), _compared(part, any_mount)))
        if part.shard.shard.count != first.shard.shard.count:
            unlike.append(f"there were {first.shard.shard.count:,} shards and are {part.shard.shard.count:,}")
        if unlike:
            raise UsageError(f"{part} is of another run than {first}: {'; '.join(unlike)}")
        if (part.shard.listed, part.shard.listing) != (first.shard.listed, first.shard.listing):
            raise UsageError(
                f"{part} is of other photos than {first}: {first.shard.listed:,} were found then and "
                f"{part.shard.listed:,} now, or they have other names or another order" + _REMEDY
            )
        index = part.shard.shard.index
        if index in seen:
            raise UsageError(f"shard {part.shard.shard} is there twice: {seen[index]} and {part}")
        seen[index] = part
    _check_all_there(first, seen.keys())


def _check_all_there(first: Part, indices: Any) -> None:
    assert first.shard is not None
    count = first.shard.shard.count
    if missing := count - len(indices):
        named = list(islice((str(index) for index in range(1, count + 1) if index not in indices), _NAMED))
        more = f" and {missing - len(named):,} more" if missing > len(named) else ""
        shards = "shard" if missing == 1 else "shards"
        are = "is" if missing == 1 else "are"
        raise UsageError(f"{shards} {', '.join(named)}{more} of {count:,} {are} missing")


def _compared(part: Part, any_mount: bool) -> dict[str, Any]:
    """What must be the same in all parts of a run; not the device, which is for each machine to choose."""
    run = dict(part.run)
    if isinstance(options := run.get("options"), dict):
        run["options"] = {name: value for name, value in options.items() if name != "device"}
    if any_mount:
        run.pop("inputs", None)
    return run


def devices(parts: Sequence[Part]) -> list[str]:
    """The devices that the parts were made on, by name."""
    found = {str((part.run.get("options") or {}).get("device")) for part in parts}
    return sorted(found)


def in_one_order(parts: Sequence[Part]) -> Iterator[Prediction]:
    """Yields the photos of all shards as one run gives them; holds a few rows of each part.

    All is checked that the manifests say before the first is read.

    Raises:
        UsageError: photos went away between the runs, so they have no place.
        TableError: a part does not fit its manifest.
    """
    stretches = [stretch for part in parts for stretch in _stretches(part)]
    expected = 0
    for expected, number in enumerate(heapq.merge(*(stretch.numbers() for stretch in stretches)), start=1):
        if number != expected - 1:
            raise TableError("the manifests do not fit together: two parts have the same photo")
    if parts[0].shard is not None and expected != parts[0].shard.listed:
        raise TableError("the manifests do not fit together: a photo is in none of the parts")
    _allow_open_files(len(stretches) + _OTHER_FILES)
    return map(
        itemgetter(1), heapq.merge(*(stretch.predictions() for stretch in stretches), key=itemgetter(0))
    )


def _stretches(part: Part) -> list[_Stretch]:
    assert part.shard is not None
    bounds, before = [0], GONE
    try:
        for place, number in enumerate(unpack(part.shard.ordinals, part.photos)):
            if number == GONE:
                raise UsageError(
                    f"{part} has photos that were gone when its run was resumed, so they have no place"
                    + _REMEDY
                )
            if number < before:
                bounds.append(place)
            before = number
    except ValueError as error:
        raise TableError(f"the manifest of {part} is damaged: {error}") from error
    return [_Stretch(part, part.shard, *pair) for pair in pairwise([*bounds, part.photos])]


def _allow_open_files(count: int) -> None:
    """Raises the limit of open files where the system lets us; where not, opening says what is wrong."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < count:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard) if hard >= 0 else count, hard))
