"""Ways of doing the same, timed in turn (A B C A B C ...), and compared turn by turn.

What else the machine does meets all ways alike, and a ratio is taken inside one turn: absolute times drift,
ratios hardly do.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some measurements, with the least and the largest."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.least:.3g}-{self.most:.3g})"


@dataclass(frozen=True, slots=True)
class Turns:
    """Rates of each way in each turn, in units of work a second.

    Attributes:
        rates: by way, one value a turn.
    """

    rates: Mapping[str, list[float]]

    def rate(self, way: str) -> Spread:
        """Units a second."""
        return Spread.of(self.rates[way])

    def ratio(self, way: str, to: str) -> Spread:
        """How many times as fast `way` is as `to`, turn by turn."""
        return Spread.of([a / b for a, b in zip(self.rates[way], self.rates[to], strict=True)])


#: Does some work and returns how many units of it.
Way = Callable[[], float]


def in_turn(
    ways: Mapping[str, Way],
    turns: int,
    warm_up: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> Turns:
    """Times each way `turns` times, in turn, after one round that does not count.

    Args:
        clock: seconds; `time.thread_time` where all work is done by the calling thread.
    """
    for way in ways.values() if warm_up else ():
        way()
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            start = clock()
            units = way()
            rates[name].append(units / (clock() - start))
    return Turns(rates)
