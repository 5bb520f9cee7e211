"""Names for positions: from the offline index, from any reverse geocoding service that geopy knows, or none.

What leaves the machine when a service is named: positions rounded to 0.01 degree (about 1 km), each once, and
a User-Agent that says `geolocate`. The offline index and `none` open no socket.
"""

from __future__ import annotations

import inspect
import math
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from geolocate.geocode_answers import place_from_answer
from geolocate.geocode_cache import AnswerCache, default_cache_path
from geolocate.geocode_services import POLICIES, ServicePolicy, default_user_agent, open_service
from geolocate.places import ATTRIBUTION, PlaceIndex
from geolocate.records import NamedPosition, Place, Position
from geolocate.sphere import chord_to_km, unit_vectors

OFFLINE = "offline"
NONE = "none"

#: Positions are rounded to 1/100 degree before they leave the machine.
ROUNDING_PER_DEGREE = 100
#: How long one request may take in all.
TIMEOUT_S = 10.0
#: A service that is busy (429) is asked again so many times, after the time that it names.
BUSY_RETRIES = 3
#: What "busy" means where the service names no time.
DEFAULT_RETRY_AFTER_S = 10.0
#: A service that wants a longer pause than this is not asked again in this run.
MAX_RETRY_AFTER_S = 300.0
#: So many failures in a row, and the service is not asked again in this run.
MAX_FAILURES = 5
#: Distinct places beyond which a run should be confirmed first.
LARGE_RUN_PLACES = 1_000
#: Names that this run remembers without the disk.
_MEMORY_PLACES = 10_000

#: English where the service can, so that all rows of a run speak one language; no finer than a village.
_REVERSE_WISHES: dict[str, object] = {"language": "en", "zoom": 13}


class Namer(Protocol):
    """Says what positions are called.

    Attributes:
        attribution: a line to show with the names, or None.
        interval_s: seconds that each distinct, not yet known place takes at least; 0 offline.
    """

    attribution: str | None
    interval_s: float

    def names(self, positions: Sequence[Position]) -> list[NamedPosition | None]:
        """One name a position, in order; None where there is none.

        Raises:
            ValueError: a position outside the globe, or not a number.
        """
        ...

    def close(self) -> None:
        """Frees what is held; no name is asked for after that."""
        ...


class NoNames:
    """`--geocoder none`: every name is blank."""

    attribution: str | None = None
    interval_s = 0.0

    def names(self, positions: Sequence[Position]) -> list[NamedPosition | None]:
        """Blank for each position."""
        return [None] * len(positions)

    def close(self) -> None:
        """Nothing is held."""


class OfflineNames:
    """`--geocoder offline`: the nearest place of the index that is shipped."""

    attribution: str | None = ATTRIBUTION
    interval_s = 0.0

    def names(self, positions: Sequence[Position]) -> list[NamedPosition | None]:
        """The nearest place of each position."""
        return [*PlaceIndex.load().name(positions)]

    def close(self) -> None:
        """The index is shared and stays."""


class ServiceNames:
    """A reverse geocoding service, asked politely: rounded, once a place, cached, at its own pace.

    What goes wrong with one place leaves that place blank; what will not get better (a key that is refused, a
    quota used up, a server that is gone) ends the asking for this run, and `warn` is told once. Threads may
    share it.

    Args:
        service: its name in geopy.
        reverse: geopy's bound `reverse` of that service.
        cache_key: tells this service from others in the cache; holds no key.
    """

    def __init__(
        self,
        service: str,
        reverse: Callable[..., Any],
        policy: ServicePolicy,
        cache: AnswerCache,
        cache_key: str,
        *,
        warn: Callable[[str], None],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self.attribution = policy.attribution
        self.interval_s = policy.interval_s
        self._service = service
        self._reverse = reverse
        known = inspect.signature(reverse).parameters
        self._wishes = {name: value for name, value in _REVERSE_WISHES.items() if name in known}
        self._cache = cache
        self._cache_key = cache_key
        self._warn = warn
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._memory: dict[tuple[int, int], Place | None] = {}
        self._next_request = -math.inf
        self._failures = 0
        self._stopped = False

    def names(self, positions: Sequence[Position]) -> list[NamedPosition | None]:
        """The service's place for each position, or None where it gave nothing."""
        # Refuses what is no position before anything is asked.
        unit_vectors([p.latitude for p in positions], [p.longitude for p in positions])
        with self._lock:
            return [_named(position, self._place(*_rounded(position))) for position in positions]

    def close(self) -> None:
        """Closes the cache."""
        with self._lock:
            self._cache.close()

    def _place(self, latitude: int, longitude: int) -> Place | None:
        """The place at hundredths of a degree: from memory, from disk, or from the service."""
        spot = latitude, longitude
        if spot in self._memory:
            return self._memory[spot]
        known, place = self._cache.get(self._cache_key, latitude, longitude)
        if not known and not self._stopped:
            answered, place = self._ask(latitude / ROUNDING_PER_DEGREE, longitude / ROUNDING_PER_DEGREE)
            if answered:
                self._cache.put(self._cache_key, latitude, longitude, place)
        if len(self._memory) >= _MEMORY_PLACES:
            del self._memory[next(iter(self._memory))]
        self._memory[spot] = place
        return place

    def _ask(self, latitude: float, longitude: float) -> tuple[bool, Place | None]:
        """(answered, place) of one request, and of its repetitions while the service is busy."""
        from geopy import exc

        for _ in range(1 + BUSY_RETRIES):
            self._wait_for_turn()
            try:
                with warnings.catch_warnings():
                    # geopy warns of impossible coordinates in an answer before it raises ValueError.
                    warnings.simplefilter("ignore")
                    location = self._reverse((latitude, longitude), timeout=TIMEOUT_S, **self._wishes)
                self._failures = 0
                return True, location and place_from_answer(
                    location.raw, location.address, location.latitude, location.longitude
                )
            except exc.GeocoderRateLimited as error:
                pause = error.retry_after if error.retry_after is not None else DEFAULT_RETRY_AFTER_S
                if not pause <= MAX_RETRY_AFTER_S:
                    self._stop(f"wants a pause of {pause:.0f} s")
                    return False, None
                self._next_request = self._clock() + max(pause, self.interval_s)
            except (exc.GeocoderAuthenticationFailure, exc.GeocoderInsufficientPrivileges):
                self._stop("refuses the request (is --geocoder-key right?)")
                return False, None
            except exc.GeocoderQuotaExceeded:
                self._stop("says that the quota is used up")
                return False, None
            # geopy's parsers take an answer of the wrong shape apart without checks.
            except (
                exc.GeopyError,
                LookupError,
                TypeError,
                ValueError,
                ArithmeticError,
                AttributeError,
                RecursionError,
            ):
                break
        self._failures += 1
        if self._failures >= MAX_FAILURES:
            self._stop(f"failed {MAX_FAILURES} times in a row")
        return False, None

    def _wait_for_turn(self) -> None:
        wait = self._next_request - self._clock()
        if wait > 0:
            self._sleep(wait)
        self._next_request = self._clock() + self.interval_s

    def _stop(self, reason: str) -> None:
        self._stopped = True
        self._warn(f"{self._service} {reason}: it is not asked again in this run, and names stay blank")


def _rounded(position: Position) -> tuple[int, int]:
    """Hundredths of a degree; one side of the antimeridian has one name."""
    longitude = round(position.longitude * ROUNDING_PER_DEGREE)
    if longitude == -180 * ROUNDING_PER_DEGREE:
        longitude = -longitude
    return round(position.latitude * ROUNDING_PER_DEGREE), longitude


def _named(position: Position, place: Place | None) -> NamedPosition | None:
    if place is None or place.position is None:
        return None
    here = unit_vectors([position.latitude], [position.longitude])
    there = unit_vectors([place.position.latitude], [place.position.longitude])
    chord = ((here - there) ** 2).sum(axis=1) ** 0.5
    return NamedPosition(place, float(chord_to_km(chord)[0]))


def open_namer(
    name: str,
    *,
    key: str | None = None,
    domain: str | None = None,
    cache_path: Path | None = None,
    warn: Callable[[str], None] = lambda message: None,
    user_agent: str | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Namer:
    """The namer behind `--geocoder NAME`.

    Args:
        name: `offline`, `none`, or geopy's name of a service that has reverse geocoding.
        key: the service's API key (for `geonames`, the user name).
        domain: a server of one's own, as `host[:port]`, `http://host[:port]` or with a path.
        cache_path: the SQLite file of answers; by default in the user's cache folder.
        warn: is told, once each, what the user should know; the run goes on.
        clock, sleep: seconds, monotonic.

    Raises:
        UsageError: no such service; it cannot reverse; it needs a key or a domain, or cannot take one.
    """
    if name == OFFLINE:
        return OfflineNames()
    if name == NONE:
        return NoNames()
    service = name.lower()
    geocoder = open_service(service, key, domain, user_agent or default_user_agent())
    return ServiceNames(
        service,
        geocoder.reverse,
        POLICIES.get(service, ServicePolicy()),
        AnswerCache(cache_path or default_cache_path(), warn),
        f"{service} {domain}" if domain else service,
        warn=warn,
        clock=clock,
        sleep=sleep,
    )
