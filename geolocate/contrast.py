"""Which concepts tell two groups apart: photos of two folders, or places of two countries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import UsageError

#: Resamples of the bootstrap, and its seed: the same groups give the same intervals.
RESAMPLES = 1000
SEED = 20250901
#: Ends of the 95 % interval.
INTERVAL = (2.5, 97.5)

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """One concept in two groups.

    Attributes:
        first, second: mean score in each group.
        low, high: 95 % bootstrap interval of the difference first - second; None where a group has one
            member (or one cluster) and so no spread.
        effect: the difference in units of the standard deviation within the groups (Cohen's d); None where
            there is no spread.
    """

    concept: str
    first: float
    second: float
    low: float | None
    high: float | None
    effect: float | None

    @property
    def difference(self) -> float:
        """first - second: positive is more of the first."""
        return self.first - self.second

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def contrast(
    first: FloatArray,
    second: FloatArray,
    names: Sequence[str],
    *,
    clusters: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> list[Difference]:
    """Differences of the mean concept scores, from most typical of the first group to most of the second.

    Args:
        first, second: scores (A, K) and (B, K) of the members.
        names: K of them.
        clusters: which cluster each member belongs to, (A,) and (B,): the bootstrap draws clusters, since
            neighbours on the ground are no independent members. None: each member is its own.

    Raises:
        UsageError: a group is empty.
    """
    if not len(first) or not len(second):
        raise UsageError("a contrast needs two groups, and one of them is empty")
    means = first.mean(axis=0, dtype=np.float64), second.mean(axis=0, dtype=np.float64)  # (K,) each
    spread = _pooled_deviation(first, second)  # (K,)
    of_first, of_second = clusters or (np.arange(len(first)), np.arange(len(second)))
    rng = np.random.default_rng(SEED)
    drawn_first = _bootstrap_means(first, of_first, rng)
    drawn_second = _bootstrap_means(second, of_second, rng)
    ends = None
    if drawn_first is not None and drawn_second is not None:
        ends = np.percentile(drawn_first - drawn_second, INTERVAL, axis=0)  # (2, K)
    differences = [
        Difference(
            name,
            float(means[0][k]),
            float(means[1][k]),
            None if ends is None else float(ends[0, k]),
            None if ends is None else float(ends[1, k]),
            float((means[0][k] - means[1][k]) / spread[k]) if spread is not None and spread[k] > 0 else None,
        )
        for k, name in enumerate(names)
    ]
    # Where effects are known they decide; a concept without spread does not outrank those with one.
    return sorted(differences, key=lambda one: (-(one.effect or 0.0), -one.difference, one.concept))


def _pooled_deviation(first: FloatArray, second: FloatArray) -> NDArray[np.float64] | None:
    """(K,) standard deviation within the groups; None where both have one member."""
    freedom = len(first) + len(second) - 2
    if freedom < 1:
        return None
    # (K,): sum of squares round each group's own mean
    squares = first.var(axis=0, dtype=np.float64) * len(first) + second.var(axis=0, dtype=np.float64) * len(
        second
    )
    pooled: NDArray[np.float64] = np.sqrt(squares / freedom)
    return pooled


def _bootstrap_means(
    scores: FloatArray, clusters: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Means (RESAMPLES, K) of scores (N, K) where whole clusters are drawn with replacement.

    None where there is one cluster: it says nothing of the spread.
    """
    _, member = np.unique(clusters, return_inverse=True)
    count = int(member.max()) + 1
    if count < 2:
        return None
    sizes = np.bincount(member).astype(np.float64)  # (C,)
    order = np.argsort(member, kind="stable")
    starts = np.concatenate(([0], np.cumsum(sizes[:-1]))).astype(np.intp)
    sums = np.add.reduceat(np.asarray(scores, np.float64)[order], starts, axis=0)  # (C, K)
    draws = rng.multinomial(count, np.full(count, 1.0 / count), size=RESAMPLES).astype(np.float64)  # (R, C)
    means: NDArray[np.float64] = (draws @ sums) / (draws @ sizes)[:, None]
    return means
