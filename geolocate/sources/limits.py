"""What fetching a photo may take."""

from __future__ import annotations

from dataclasses import dataclass

#: Photos that are fetched at the same time: waiting for servers takes no core.
PARALLEL_FETCHES = 16
#: No camera's JPEG, and few scans, are larger.
DEFAULT_MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How much and how long; the same for each photo.

    Attributes:
        max_bytes: of one photo; with `parallel` it bounds the disk that photos take before they are decoded.
        timeout_s: seconds until a connection stands, and between two pieces of an answer.
        total_s: seconds for one photo, all tries together.
        tries: how often a server that is busy, broken or silent is asked in all.
        wait_s: seconds before the second try; twice as many before each further one.
        parallel: photos that are fetched at the same time.
        allow_hosts: of http(s) URLs and their redirects, with the hosts below them; empty allows all.
    """

    max_bytes: int = DEFAULT_MAX_BYTES
    timeout_s: float = 30.0
    total_s: float = 300.0
    tries: int = 4
    wait_s: float = 0.5
    parallel: int = PARALLEL_FETCHES
    allow_hosts: tuple[str, ...] = ()
