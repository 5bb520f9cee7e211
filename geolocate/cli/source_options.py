"""The options about photos that are listed in files, at URLs or in archives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from geolocate.cli.options import together
from geolocate.cli.parameters import EnvironmentOption, FilePath, FiniteRange

if TYPE_CHECKING:
    from geolocate.sources.limits import FetchLimits

source_options = together(
    click.option(
        "--from",
        "lists",
        multiple=True,
        type=FilePath(),
        metavar="FILE",
        help="A list of PATHs, as often as wanted: text, one a line; CSV or Parquet with a column photo, "
        "path or url.",
    ),
    click.option(
        "--max-bytes",
        type=click.IntRange(min=1),
        default=268_435_456,
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_MAX_BYTES",
        metavar="N",
        help="Larger photos at URLs and in archives fail.",
    ),
    click.option(
        "--fetch-timeout",
        type=FiniteRange(min=0, min_open=True),
        default=30.0,
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_FETCH_TIMEOUT",
        metavar="S",
        help="Seconds that a server may be silent; a photo has ten times as long in all, a minute at least.",
    ),
    click.option(
        "--allow-host",
        multiple=True,
        metavar="HOST",
        help="Fetch http(s) URLs from this host and those below it alone, as often as wanted: for lists of "
        "strangers.",
    ),
)

#: How much longer than one silence a photo may take in all, and for how long (s) at least.
TOTAL_PER_TIMEOUT, LEAST_TOTAL_S = 10, 60.0


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The values of these options."""

    lists: tuple[str, ...]
    max_bytes: int
    fetch_timeout: float
    allow_host: tuple[str, ...]

    @property
    def limits(self) -> FetchLimits:
        """What fetching a photo may take."""
        from geolocate.sources.limits import FetchLimits

        return FetchLimits(
            max_bytes=self.max_bytes,
            timeout_s=self.fetch_timeout,
            total_s=max(TOTAL_PER_TIMEOUT * self.fetch_timeout, LEAST_TOTAL_S),
            allow_hosts=self.allow_host,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """What of them decides over rows, for manifests."""
        return {"from": list(self.lists), "max_bytes": self.max_bytes, "allow_host": list(self.allow_host)}
