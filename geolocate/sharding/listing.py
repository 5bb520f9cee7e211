"""What a run of one shard learns of the listing of all photos: where its own stand, and which listing it is.

    find_photos -> found, for each photo -> skip, for each photo in the same order -> rows of the shard's

Merging needs both: rows go back where they were, and shards of other listings are told apart.
"""

from __future__ import annotations

import hashlib
from array import array
from typing import Any

from geolocate.sharding.earlier_rows import EarlierRows
from geolocate.sharding.ordinals import GONE, pack
from geolocate.sharding.shard import Shard, name_in
from geolocate.sources.urls import public_name


class ShardListing:
    """One shard's view of the photos of a run: 16 bytes for each of its own.

    Args:
        rows: how many there are, where rows of a table are located and no photos are found.
    """

    def __init__(self, shard: Shard, *, rows: int | None = None) -> None:
        self.shard = shard
        self._digest = hashlib.sha256()
        self._found = 0
        self._asked = 0
        self._own = array("q")
        self._own_asked = 0
        self._earlier = EarlierRows()
        self._in_output = array("q")
        if rows is not None:
            self._digest.update(b"%d rows" % rows)
            self._own.extend(shard.rows(rows))
            self._found = rows

    def earlier(self, photo: str) -> None:
        """Takes note of the next photo in the output of the run that goes on here, before all else."""
        self._earlier.add(photo)
        self._in_output.append(GONE)  # unless the listing has it

    def found(self, argument: str, photo: str) -> None:
        """Takes note of the next photo of the listing, before :meth:`skip` is asked of it."""
        shown = name_in(public_name(argument), public_name(photo))  # a hash could be tried for secrets
        self._digest.update(b"%d:%b," % (len(shown), shown))
        if self.shard.holds_photo(argument, photo):
            self._own.append(self._found)
        self._found += 1

    def skip(self, photo: str) -> bool:
        """Whether the next photo of the listing is left out: it is another shard's, or in the output."""
        ordinal = self._asked
        self._asked += 1
        if self._own_asked == len(self._own) or self._own[self._own_asked] != ordinal:
            return True
        self._own_asked += 1
        row = self._earlier.take(photo)
        if row is None:
            self._in_output.append(ordinal)
            return False
        self._in_output[row] = ordinal
        return True

    def facts(self) -> dict[str, Any]:
        """What the manifest of the outputs says of the shard, once all photos were asked for.

        `listed` is how many photos all shards have, `listing` the SHA-256 of their names in order,
        `ordinals` the packed numbers of this shard's in the order of the output.
        """
        return {
            "index": self.shard.index,
            "of": self.shard.count,
            "listed": self._found,
            "listing": self._digest.hexdigest(),
            "ordinals": pack(self._in_output),
        }
