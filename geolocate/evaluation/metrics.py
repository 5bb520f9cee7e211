"""How far predictions are from the truth, as the literature counts it, with bootstrap intervals.

A photo without a prediction is infinitely far away: it counts in n, as a miss at every distance, as nothing
in the GeoScore, and as the farthest in the median; only the mean is over those that have a prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Kilometres within which a guess counts: street, city, region, country, continent.
ACCURACY_THRESHOLDS_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)
#: GeoScore (as in the game GeoGuessr): 5000 for a hit, a factor e less each so many km.
GEOSCORE_MAXIMUM = 5000.0
GEOSCORE_SCALE_KM = 1492.7
#: The intervals hold 95 % of the resamples.
INTERVAL = (2.5, 97.5)
RESAMPLES = 1000
SEED = 20250901
#: Of more photos than this, the bootstrap draws groups of like errors: memory and time stay bounded.
MOST_GROUPS = 2048
#: Resamples that are drawn together.
_RESAMPLES_AT_ONCE = 50

Floats = NDArray[np.float64]
Interval = tuple[float, float]


def geoscores(errors_km: Floats) -> Floats:
    """GeoScore of each error; 0 where it is infinite."""
    scores: Floats = GEOSCORE_MAXIMUM * np.exp(-errors_km / GEOSCORE_SCALE_KM)
    return scores


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How good predictions are.

    Attributes:
        n: photos with a true position.
        missed: those of them without a prediction.
        within: per cent within each of ACCURACY_THRESHOLDS_KM.
        median_km: infinite where half of the photos have no prediction.
        mean_km: of the photos with a prediction; NaN where none has.
        geoscore: mean.
        intervals: 95 % bootstrap intervals by the keys of :meth:`values`; empty where none were asked for.
    """

    n: int
    missed: int
    within: tuple[float, ...]
    median_km: float
    mean_km: float
    geoscore: float
    intervals: Mapping[str, Interval]

    @classmethod
    def of(cls, errors_km: Floats, *, intervals: bool = True) -> Accuracy:
        """Of errors (N,) in km, infinite where there is no prediction.

        Raises:
            ValueError: there are none, or one is NaN or below 0.
        """
        if not len(errors_km) or not (errors_km >= 0).all():  # False for NaN too
            raise ValueError("accuracy is of at least one error, none of them NaN or below 0")
        placed = errors_km[np.isfinite(errors_km)]
        return cls(
            n=len(errors_km),
            missed=len(errors_km) - len(placed),
            within=tuple(100 * float((errors_km <= limit).mean()) for limit in ACCURACY_THRESHOLDS_KM),
            median_km=_median(errors_km),
            mean_km=float(placed.mean()) if len(placed) else float("nan"),
            geoscore=float(geoscores(errors_km).mean()),
            intervals=_intervals(errors_km) if intervals else {},
        )

    def values(self) -> dict[str, float]:
        """Each number by its key: `within_1_km` and so on, `median_km`, `mean_km`, `geoscore`."""
        shares = dict(zip(map(within_key, ACCURACY_THRESHOLDS_KM), self.within, strict=True))
        return shares | {"median_km": self.median_km, "mean_km": self.mean_km, "geoscore": self.geoscore}


def within_key(limit_km: float) -> str:
    """The key of an accuracy: `within_25_km`."""
    return f"within_{limit_km:g}_km"


def _median(errors_km: Floats) -> float:
    """The mean of the two middle errors where there is no single one; infinite ones are far, not NaN."""
    middle = (len(errors_km) - 1) // 2, len(errors_km) // 2
    low, high = np.partition(errors_km, middle)[list(middle)]
    return float(low if low == high else (low + high) / 2)


def _intervals(errors_km: Floats) -> dict[str, Interval]:
    """95 % intervals by resampling photos, of up to MOST_GROUPS photos exactly."""
    drawn = np.concatenate(list(_resampled(np.sort(errors_km))), axis=1)  # (metrics, RESAMPLES)
    keys = [*map(within_key, ACCURACY_THRESHOLDS_KM), "median_km", "mean_km", "geoscore"]
    found = {}
    for key, values in zip(keys, drawn, strict=True):
        known = values[~np.isnan(values)]  # a resample may hold no prediction, and so no mean
        if not len(known):
            continue
        # One of the resamples, not interpolated: some may be infinite.
        low, high = np.percentile(known, INTERVAL, method="nearest")
        found[key] = (float(low), float(high))
    return found


def _resampled(ordered: Floats) -> Iterator[Floats]:
    """Yields the metrics (8, B) of B resamples of ascending errors (N,), RESAMPLES in all.

    A resample is how often each group of like errors is drawn: a multinomial, so its size is that of the
    groups and not of the photos. Groups are photos where they are few; else runs of neighbours in the order,
    cut at the thresholds, so that accuracies are exact and the other metrics as good as the runs are short.
    """
    count = len(ordered)
    edges = np.linspace(0, count, min(count, MOST_GROUPS) + 1).round().astype(np.intp)
    cuts = np.searchsorted(ordered, [*ACCURACY_THRESHOLDS_KM, np.finfo(np.float64).max], side="right")
    starts = np.unique(np.concatenate((edges[:-1], cuts[cuts < count])))
    sizes = np.diff(np.append(starts, count))  # (G,)
    finite = np.isfinite(ordered[starts])  # (G,)
    kilometres = np.add.reduceat(ordered, starts) / sizes  # (G,) mean error of each group
    columns = np.stack(
        [
            *(ordered[starts] <= limit for limit in ACCURACY_THRESHOLDS_KM),  # no run goes across a threshold
            np.where(finite, kilometres, 0.0),
            np.add.reduceat(geoscores(ordered), starts) / sizes,
            finite,
        ],
        axis=1,
    )  # (G, 8)
    rng = np.random.default_rng(SEED)
    for start in range(0, RESAMPLES, _RESAMPLES_AT_ONCE):
        size = min(_RESAMPLES_AT_ONCE, RESAMPLES - start)
        drawn = rng.multinomial(count, sizes / count, size=size)  # (B, G)
        sums = drawn @ columns  # (B, 8)
        shares = 100 * sums[:, :5] / count
        below = np.cumsum(drawn, axis=1)  # (B, G)
        # The group of the middle photo, and of the one after it where there is no single middle.
        low, high = ((below <= rank).sum(axis=1) for rank in ((count - 1) // 2, count // 2))
        with np.errstate(invalid="ignore", divide="ignore"):
            median = (kilometres[low] + kilometres[high]) / 2
            mean = sums[:, 5] / sums[:, 7]
        yield np.stack((*shares.T, median, mean, sums[:, 6] / count))


def accuracy_curve(errors_km: Floats, limits_km: NDArray[Any]) -> Floats:
    """Per cent of errors (N,) within each of the limits (L,)."""
    ordered = np.sort(errors_km)
    return 100 * np.searchsorted(ordered, limits_km, side="right") / len(ordered)
