"""The report in pictures, drawn with matplotlib (the extra `plots`): nothing here decides a number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import ExtraMissing, OutputError
from geolocate.evaluation.calibration import MASSES, calibration_error, coverages
from geolocate.evaluation.measuring import Measured
from geolocate.evaluation.metrics import ACCURACY_THRESHOLDS_KM, accuracy_curve
from geolocate.evaluation.report import NamedErrors
from geolocate.land_outline import draw_land

#: Distances of the curve, in km: from ten metres to the other side of the globe.
_LIMITS_KM = np.geomspace(0.01, 20_038, 600)
#: Of more photos, a map shows a random sample of so many, and lines to the guess only of a few.
MOST_DOTS = 5_000
MOST_LINES = 400
_INCH_DPI = 150

Floats = NDArray[np.float64]


def check_can_draw() -> None:
    """Raises ExtraMissing without matplotlib."""
    _figure(1, 1)


def draw(folder: Path, measured: Measured, methods: Sequence[NamedErrors]) -> list[Path]:
    """Draws what there is to draw into a folder, which is made; returns the files.

    Args:
        methods: the first is the one that `measured` is about.

    Raises:
        OutputError: the folder cannot be written.
        ExtraMissing: without matplotlib.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        drawn = [
            _save(folder / "accuracy.png", _accuracy(methods)),
            _save(folder / "errors_map.png", _map(measured, methods[0])),
        ]
        levels = measured.levels[np.isfinite(measured.levels)]
        if len(levels):
            drawn.append(_save(folder / "reliability.png", _reliability(levels)))
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error
    return drawn


def _figure(width: float, height: float) -> Any:
    """A figure that needs no screen."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ExtraMissing("pictures need", "plots") from None
    return Figure(figsize=(width, height), dpi=_INCH_DPI, layout="constrained")


def _save(path: Path, figure: Any) -> Path:
    figure.savefig(path, metadata={"Software": None})  # the same picture is the same file
    return path


def _accuracy(methods: Sequence[NamedErrors]) -> Any:
    figure = _figure(7, 4.2)
    axes = figure.subplots()
    for rank, method in enumerate(methods):
        style = {"linewidth": 2.2} if rank == 0 else {"linewidth": 1.2, "linestyle": "--"}
        axes.plot(_LIMITS_KM, accuracy_curve(method.errors_km, _LIMITS_KM), label=method.name, **style)
    for limit in ACCURACY_THRESHOLDS_KM:
        axes.axvline(limit, color="0.85", linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    axes.set_xticks(ACCURACY_THRESHOLDS_KM, [f"{limit:g}" for limit in ACCURACY_THRESHOLDS_KM])
    axes.minorticks_off()
    axes.set(xlim=(_LIMITS_KM[0], _LIMITS_KM[-1]), ylim=(0, 100))
    axes.set(xlabel="distance from the true position, km", ylabel="photos within, %")
    axes.set_title(f"Accuracy, n = {len(methods[0].errors_km):,}")
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    return figure


def _reliability(levels: Floats) -> Any:
    figure = _figure(4.8, 4.8)
    axes = figure.subplots()
    count = len(levels)
    held = coverages(levels)
    # What a calibrated model would stay within, by chance, at each mass: 95 % of the time.
    spread = 1.96 * np.sqrt(MASSES * (1 - MASSES) / count)
    axes.fill_between(
        100 * MASSES,
        100 * np.maximum(MASSES - spread, 0),
        100 * np.minimum(MASSES + spread, 1),
        color="0.9",
        label=f"chance, 95 %, n = {count:,}",
    )
    axes.plot([0, 100], [0, 100], color="0.5", linewidth=1)
    axes.plot(100 * MASSES, 100 * held, linewidth=2.2, label="the model")
    axes.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    axes.set(xlabel="credible mass that a circle is said to hold, %", ylabel="photos that it holds, %")
    axes.set_title(f"Reliability: calibration error {100 * calibration_error(levels):.1f} points")
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    return figure


def _map(measured: Measured, method: NamedErrors) -> Any:
    from matplotlib.colors import LogNorm

    figure = _figure(9, 4.3)
    axes = figure.subplots()
    draw_land(axes)
    rows = np.flatnonzero(np.isfinite(method.errors_km))
    rng = np.random.default_rng(0)
    shown = rng.permutation(rows)[:MOST_DOTS]
    truth, guess, errors = measured.truth[shown], measured.predicted[shown], method.errors_km[shown]
    for (latitude, longitude), (to_latitude, to_longitude) in zip(
        truth[:MOST_LINES], guess[:MOST_LINES], strict=True
    ):
        # The short way: a line across the date line leaves the map on one side and comes back on the other.
        shift = 360 * round((longitude - to_longitude) / 360)
        for offset in {0, -shift}:
            axes.plot(
                [longitude + offset, to_longitude + shift + offset],
                [latitude, to_latitude],
                color="0.45",
                linewidth=0.35,
                alpha=0.6,
                zorder=2,
            )
    dots = axes.scatter(
        truth[:, 1],
        truth[:, 0],
        c=np.maximum(errors, 1.0),
        s=14 if len(shown) <= 1000 else 5,
        norm=LogNorm(1, 20_000),
        cmap="viridis",
        linewidths=0,
        zorder=3,
    )
    bar = figure.colorbar(dots, ax=axes, shrink=0.75, pad=0.01)
    bar.set_ticks([1, 25, 200, 750, 2500, 20_000], labels=["1", "25", "200", "750", "2500", "20000"])
    bar.minorticks_off()
    bar.set_label("error, km")
    of = f"{len(shown):,} of {len(rows):,} photos" if len(shown) < len(rows) else f"{len(rows):,} photos"
    axes.set_title(f"True positions, and lines to the guesses ({of})", fontsize=10)
    return figure
