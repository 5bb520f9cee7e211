"""Whether stated credibility holds: coverage of radii, calibration error, and the temperature that mends it.

All of it rests on one number a photo: its *level*, the share of the posterior that lies nearer to the guess
than the truth does. The circle that is said to hold a share m of the posterior holds the truth where the
level is below m, so for a calibrated model levels are uniform between 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import UsageError
from geolocate.evaluation.metrics import SEED

Floats = NDArray[np.float64]

#: Credible masses whose circles are reported.
STATED_MASSES = (0.5, 0.9)
#: Masses over which the calibration error is averaged: 0.01, 0.02 ... 0.99.
MASSES = np.arange(1, 100) / 100
#: Normal quantile of 95 % intervals.
Z_95 = 1.959963984540054
#: Fewer photos say too little of a temperature: with 50 the coverage of half is known to +-14 %.
FEWEST_PHOTOS = 50
FOLDS = 5
#: Temperatures, as factors on the bundle's own, at which levels are computed; between them they are
#: interpolated in the logarithm.
TEMPERATURES: Floats = np.geomspace(1 / 8, 8, 25)
_FINE: Floats = np.geomspace(1 / 8, 8, 769)


def binomial_interval(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), as shares."""
    if not count:
        return 0.0, 1.0
    share, z2 = hits / count, Z_95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z_95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many photos lie inside the circles that are said to hold a share of them.

    Attributes:
        stated: that share.
        hits, n: photos inside, and photos that have a circle.
        median_radius_km: of the circles.
    """

    stated: float
    hits: int
    n: int
    median_radius_km: float

    @property
    def share(self) -> float:
        """The share that the circles hold."""
        return self.hits / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % binomial interval."""
        return binomial_interval(self.hits, self.n)

    @classmethod
    def of(cls, stated: float, radii_km: Floats, errors_km: Floats) -> Coverage | None:
        """Of radii and errors (N,); None where no photo has both."""
        known = np.isfinite(radii_km) & np.isfinite(errors_km)
        if not known.any():
            return None
        hits = int((errors_km[known] <= radii_km[known]).sum())
        return cls(stated, hits, int(known.sum()), float(np.median(radii_km[known])))


def level_of(posterior: NDArray[np.floating[Any]], distances_km: Floats, error_km: float) -> float:
    """The share of a posterior (M,), at `distances_km` (M,) from the guess, that is nearer than the truth."""
    return float(np.sum(posterior, where=distances_km < error_km, dtype=np.float64))


def coverages(levels: Floats, masses: Floats = MASSES) -> Floats:
    """The share of photos (K,) inside the circles of each mass (K,), for levels (N,)."""
    return np.searchsorted(np.sort(levels), masses, side="left") / len(levels)


def calibration_error(levels: Floats) -> float:
    """Mean difference between the coverage and what was stated, over MASSES; 0 is perfect, 0.5 the worst."""
    return float(np.abs(coverages(levels) - MASSES).mean())


@dataclass(frozen=True, slots=True)
class TemperatureFit:
    """A temperature and how it did on photos that it was not fitted on.

    Attributes:
        factor: on the bundle's own temperature; above 1 makes the posterior flatter.
        n: photos.
        held_out: coverage of STATED_MASSES as (stated, hits), each photo under the temperature of the other
            folds.
        error_before, error_after: calibration error with the bundle's own temperature and, on held-out
            folds, with the fitted one.
    """

    factor: float
    n: int
    held_out: tuple[tuple[float, int], ...]
    error_before: float
    error_after: float

    def record(self) -> Mapping[str, Any]:
        """What the manifest says of it."""
        return {
            "method": "least calibration error of the credible circles",
            "photos": self.n,
            "folds": FOLDS,
            "held_out_coverage": {f"{stated:g}": hits / self.n for stated, hits in self.held_out},
            "calibration_error_before": self.error_before,
            "calibration_error_held_out": self.error_after,
        }


def fit_temperature(levels: Floats) -> TemperatureFit:
    """The temperature whose circles hold what they state, with `FOLDS`-fold cross-validation.

    It minimises the mean squared difference between coverage and stated mass (Cramer-von Mises). Not the
    likelihood of the nearest gallery point: that is about telling neighbours apart, and gives a flatter
    posterior than the circles want.

    Args:
        levels: (N, T), see :func:`level_of`, at each of TEMPERATURES.

    Raises:
        UsageError: fewer photos than FEWEST_PHOTOS.
    """
    count = len(levels)
    if count < FEWEST_PHOTOS:
        raise UsageError(
            f"a temperature wants at least {FEWEST_PHOTOS} photos with a position, here are {count}"
        )
    fine = _interpolated(levels)  # (N, F)
    folds = np.random.default_rng(SEED).permutation(count) % FOLDS  # (N,)
    held_out = np.empty(count)
    for fold in range(FOLDS):
        inside = folds == fold
        held_out[inside] = fine[inside, _best(fine[~inside])]
    return TemperatureFit(
        factor=float(_FINE[_best(fine)]),
        n=count,
        held_out=tuple((mass, int((held_out < mass).sum())) for mass in STATED_MASSES),
        error_before=calibration_error(fine[:, len(_FINE) // 2]),
        error_after=calibration_error(held_out),
    )


def _interpolated(levels: Floats) -> Floats:
    """Levels (N, T) at TEMPERATURES -> (N, F) at the finer steps."""
    log, fine = np.log(TEMPERATURES), np.log(_FINE)
    return np.stack([np.interp(fine, log, row) for row in levels])


def _best(levels: Floats) -> int:
    """The column of levels (N, F) that is the most uniform; of equals the one nearest to no change."""
    ordered = np.sort(levels, axis=0)  # (N, F)
    uniform = (np.arange(len(levels)) + 0.5) / len(levels)
    miss = ((ordered - uniform[:, None]) ** 2).mean(axis=0)  # (F,)
    close = np.flatnonzero(miss <= miss.min() + 1e-12)
    return int(close[np.argmin(np.abs(close - len(_FINE) // 2))])


def levels_at_temperatures(
    cosines: NDArray[np.float32],
    log_weights: NDArray[np.float32],
    logit_factor: float,
    level: Callable[[NDArray[np.float32]], float],
) -> Floats:
    """Levels (T,) of one photo at each of TEMPERATURES.

    Args:
        cosines: (M,) of the photo with the gallery.
        log_weights: (M,), added to the logits whatever the temperature.
        level: of a posterior (M,).
    """
    levels = []
    for temperature in TEMPERATURES:
        logits = cosines * np.float32(logit_factor / temperature) + log_weights
        posterior = np.exp(logits - logits.max())
        posterior /= posterior.sum()
        levels.append(level(posterior))
    return np.array(levels)
