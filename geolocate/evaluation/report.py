"""Everything that an evaluation says, as one value; how it is shown is the business of `rendering`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from geolocate.evaluation.baselines import constant_errors_km, geometric_median, random_errors_km
from geolocate.evaluation.calibration import STATED_MASSES, Coverage, TemperatureFit, calibration_error
from geolocate.evaluation.concept_scores import ConceptInterval, by_error
from geolocate.evaluation.continents import continents_of
from geolocate.evaluation.distances import Distance, pair_distances_km
from geolocate.evaluation.literature import PublishedRow, published_rows
from geolocate.evaluation.measuring import Measured
from geolocate.evaluation.metrics import SEED, Accuracy
from geolocate.gallery import Gallery

#: Of more photos, the table by continent is about a random sample of so many: finding a country takes time.
CONTINENT_SAMPLE = 20_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NamedErrors:
    """The errors of one method, (N,) in km, infinite where there is no prediction.

    Attributes:
        n: photos behind them, where they are several draws of each; None where they are one of each.
    """

    name: str
    errors_km: Floats
    n: int | None = None

    @property
    def accuracy(self) -> Accuracy:
        """With bootstrap intervals where there is one error a photo."""
        if self.n is None:
            return Accuracy.of(self.errors_km)
        return replace(Accuracy.of(self.errors_km, intervals=False), n=self.n)


@dataclass(frozen=True, slots=True)
class AccuracyRow:
    """One line of a table of accuracies."""

    name: str
    accuracy: Accuracy


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation says.

    Attributes:
        data: what was evaluated.
        settings: how: model, ranking, distance and so on.
        rows: the model first, then what it is held against.
        continents: the model's accuracy by the true position's continent.
        benchmark, published: the literature's table of the same photos.
        coverage: of the circles that are said to hold half and nine tenths.
        calibration_error: mean difference of coverage and stated mass; None where no posterior is known.
        concepts: median concept scores by error.
        fit: the temperature, where one was fitted.
        remarks: what else there is to know, sentences.
    """

    data: str
    settings: Mapping[str, str | int | float]
    rows: Sequence[AccuracyRow]
    continents: Sequence[AccuracyRow]
    benchmark: str | None
    published: Sequence[PublishedRow]
    coverage: Sequence[Coverage]
    calibration_error: float | None
    concepts: Sequence[ConceptInterval]
    fit: TemperatureFit | None = None
    remarks: Sequence[str] = field(default_factory=tuple)


def errors_of(measured: Measured, distance: Distance) -> Floats:
    """Errors (N,) in km, infinite where there is no prediction."""
    return _errors(measured.predicted, measured.truth, distance)


def by_references(measured: Measured, distance: Distance) -> list[NamedErrors]:
    """Nearest references alone, and with the model; nothing where there were no references."""
    placed = (("nearest references", measured.neighbours), ("model and references", measured.fused))
    return [
        NamedErrors(name, _errors(positions, measured.truth, distance))
        for name, positions in placed
        if positions is not None
    ]


def _errors(positions: Floats, truth: Floats, distance: Distance) -> Floats:
    errors = pair_distances_km(positions, truth, distance)
    return np.where(np.isnan(errors), np.inf, errors)


def baselines(truth: Floats, gallery: Gallery, distance: Distance) -> list[NamedErrors]:
    """The constant guess and the random gallery point for true positions (N, 2)."""
    latitude, longitude = guess = geometric_median(gallery.coordinates, gallery.weights)
    constant = constant_errors_km(truth, guess, distance)
    drawn = random_errors_km(truth, gallery.coordinates, gallery.weights, distance)
    return [
        NamedErrors(f"constant guess ({latitude:.2f}, {longitude:.2f})", constant),
        NamedErrors("random gallery point", drawn, n=len(truth)),
    ]


def build_report(
    measured: Measured,
    methods: Sequence[NamedErrors],
    *,
    data: str,
    settings: Mapping[str, str | int | float],
    benchmark: str | None = None,
    fit: TemperatureFit | None = None,
    remarks: Sequence[str] = (),
) -> Report:
    """Makes the report.

    Args:
        methods: the first is the one that `measured` is about.
    """
    errors = methods[0].errors_km
    told = list(remarks)
    missed = int(np.isinf(errors).sum())
    if missed:
        told.append(
            f"{missed:,} of {len(errors):,} photos have no prediction: they count as misses everywhere but "
            "in the mean" + "".join(f"; {failure}" for failure in measured.failures)
        )
    continents, sampled = _by_continent(measured.truth, errors)
    if sampled:
        told.append(f"by continent: of a random sample of {CONTINENT_SAMPLE:,} photos")
    levels = measured.levels[np.isfinite(measured.levels)]
    concepts = by_error(measured.concept_scores, errors)
    return Report(
        data=data,
        settings=settings,
        rows=[AccuracyRow(method.name, method.accuracy) for method in methods],
        continents=continents,
        benchmark=benchmark,
        published=published_rows(benchmark) if benchmark else (),
        coverage=_coverage(measured),
        calibration_error=calibration_error(levels) if len(levels) else None,
        concepts=concepts if any(interval.n for interval in concepts) else [],
        fit=fit,
        remarks=told,
    )


def _coverage(measured: Measured) -> list[Coverage]:
    """On the sphere, as the radii are."""
    errors = pair_distances_km(measured.predicted, measured.truth)
    found = [
        Coverage.of(stated, measured.radii_km[:, column], errors)
        for column, stated in enumerate(STATED_MASSES)
    ]
    return [coverage for coverage in found if coverage is not None]


def _by_continent(truth: Floats, errors: Floats) -> tuple[list[AccuracyRow], bool]:
    """Accuracy by continent, the most photos first, and whether it is of a sample."""
    sampled = len(truth) > CONTINENT_SAMPLE
    if sampled:
        rows = np.random.default_rng(SEED).choice(len(truth), CONTINENT_SAMPLE, replace=False)
        truth, errors = truth[rows], errors[rows]
    found = continents_of(truth)
    names, counts = np.unique(found, return_counts=True)
    order = np.lexsort((names, -counts))
    return [AccuracyRow(str(name), Accuracy.of(errors[found == name])) for name in names[order]], sampled
