"""A report as text for a terminal, as Markdown, and as JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from geolocate.evaluation.literature import CAVEAT, CAVEAT_SOURCE
from geolocate.evaluation.metrics import (
    ACCURACY_THRESHOLDS_KM,
    GEOSCORE_SCALE_KM,
    Accuracy,
    within_key,
)
from geolocate.evaluation.report import Report

#: Of 95 % intervals, which methods have that every photo counts once in.
INTERVALS_NOTE = "in brackets: 95 % bootstrap intervals over the photos"
#: Resampling photos of which none was a hit draws no hit, however few they are.
EXTREMES_NOTE = "where none or all of the photos are within, the bootstrap has no interval to give"
#: From so many photos on, a second decimal of a per cent says something, and the literature prints it.
MANY_PHOTOS = 1000
#: Below so many km, or points of GeoScore, one decimal is shown.
SMALL = 100.0
_MARKUP = re.compile(r"[\\`|]|\](?=[(\[:])")
_LIMITS = [f"{limit:g} km" for limit in ACCURACY_THRESHOLDS_KM]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a title; the first column is text, the others are numbers."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()


def to_text(report: Report) -> str:
    """For a terminal: aligned columns."""
    blocks = [_introduction(report)]
    for table in _tables(report, intervals_below=True):
        lines = [table.header, *table.rows]
        widths = [max(len(line[at]) for line in lines) for at in range(len(table.header))]
        shown = [
            "  ".join(
                cell.ljust(width) if not at else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        blocks.append(
            "\n".join([table.title, *(f"  {line}" for line in shown), *(f"  {n}" for n in table.notes)])
        )
    if report.remarks:
        blocks.append("\n".join(f"- {remark}" for remark in report.remarks))
    return "\n\n".join(blocks) + "\n"


def to_markdown(report: Report) -> str:
    """With a heading for each table."""
    blocks = [f"# Accuracy of {_escaped(_subject(report))} on {_escaped(report.data)}"]
    if report.settings:
        blocks.append("\n".join(f"- {key}: {_escaped(str(value))}" for key, value in report.settings.items()))
    for table in _tables(report, intervals_below=False):
        lines = [table.header, ("---", *["---:"] * (len(table.header) - 1)), *table.rows]
        rows = ["| " + " | ".join(map(_escaped, line)) + " |" for line in lines]
        blocks += [f"## {table.title[0].upper()}{table.title[1:]}", "\n".join(rows)]
        if table.notes:
            blocks.append("\n".join(f"{note[0].upper()}{note[1:]}." for note in table.notes))
    if report.remarks:
        blocks += ["## Remarks", "\n".join(f"- {_escaped(remark)}" for remark in report.remarks)]
    return "\n\n".join(blocks) + "\n"


def to_json(report: Report) -> str:
    """Every number at full precision; null where there is none or it is infinite."""

    def accuracy(row: Any) -> dict[str, Any]:
        found: Accuracy = row.accuracy
        return {
            "name": row.name,
            "n": found.n,
            "missed": found.missed,
            **found.values(),
            "intervals": {key: list(interval) for key, interval in found.intervals.items()},
        }

    value = {
        "data": report.data,
        "settings": dict(report.settings),
        "rows": [accuracy(row) for row in report.rows],
        "continents": [accuracy(row) for row in report.continents],
        "benchmark": report.benchmark,
        "published": [asdict(row) for row in report.published],
        "coverage": [
            {
                "stated": coverage.stated,
                "share": coverage.share,
                "interval": list(coverage.interval),
                "hits": coverage.hits,
                "n": coverage.n,
                "median_radius_km": coverage.median_radius_km,
            }
            for coverage in report.coverage
        ],
        "calibration_error": report.calibration_error,
        "concepts": [asdict(interval) for interval in report.concepts],
        "temperature": None if report.fit is None else {"factor": report.fit.factor, **report.fit.record()},
        "remarks": list(report.remarks),
    }
    return json.dumps(_finite(value), indent=1, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _subject(report: Report) -> str:
    return report.rows[0].name


def _introduction(report: Report) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in report.settings.items())
    return f"{report.data}" + (f"\n{settings}" if settings else "")


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: names of files may hold HTML, links and code."""
    return _MARKUP.sub(r"\\\g<0>", text.replace("\n", " ")).replace("<", "&lt;")


def _tables(report: Report, *, intervals_below: bool) -> Iterator[Table]:
    yield _accuracy_table("photos within, in per cent", report.rows, intervals_below)
    yield _distance_table(report)
    if report.published:
        yield _published_table(report)
    if report.coverage:
        yield _coverage_table(report)
    if report.continents:
        title = "by continent of the true position, per cent of photos within"
        yield _accuracy_table(title, report.continents, intervals_below)
    if report.concepts:
        yield _concept_table(report)


def _accuracy_table(title: str, rows: Sequence[Any], intervals_below: bool) -> Table:
    lines: list[tuple[str, ...]] = []
    for row in rows:
        found: Accuracy = row.accuracy
        digits = 1 if found.n < MANY_PHOTOS else 2
        shares = [f"{share:.{digits}f}" for share in found.within]
        intervals = [
            _interval(found.intervals.get(within_key(limit)) if 0.0 < share < 100.0 else None, digits)
            for limit, share in zip(ACCURACY_THRESHOLDS_KM, found.within, strict=True)
        ]
        if intervals_below:
            lines.append((row.name, f"{found.n:,}", *shares))
            if any(intervals):
                lines.append(("", "", *intervals))
        else:
            cells = (f"{s} {i}".strip() for s, i in zip(shares, intervals, strict=True))
            lines.append((row.name, f"{found.n:,}", *cells))
    extreme = any(share in (0.0, 100.0) for row in rows for share in row.accuracy.within)
    return Table(title, ("", "n", *_LIMITS), lines, (INTERVALS_NOTE, *([EXTREMES_NOTE] if extreme else [])))


def _distance_table(report: Report) -> Table:
    lines = [
        (
            row.name,
            *(
                f"{_distance(row.accuracy.values()[key])} "
                f"{_interval(row.accuracy.intervals.get(key))}".strip()
                for key in ("median_km", "mean_km", "geoscore")
            ),
        )
        for row in report.rows
    ]
    return Table(
        "error in km, and GeoScore",
        ("", "median", "mean", "GeoScore"),
        lines,
        (f"GeoScore: 5000 exp(-km / {GEOSCORE_SCALE_KM:g}), its mean",),
    )


def _published_table(report: Report) -> Table:
    lines = [
        (
            f"{row.method} ({row.year})",
            *("-" if share is None else f"{share:g}" for share in row.within),
            row.source,
        )
        for row in report.published
    ]
    ours = report.rows[0]
    lines.append((ours.name, *(f"{share:.1f}" for share in ours.accuracy.within), "this report"))
    caveat = any(CAVEAT_SOURCE in row.source for row in report.published)
    return Table(
        f"published on {report.benchmark}, per cent of photos within",
        ("", *_LIMITS, "source"),
        lines,
        (CAVEAT,) if caveat else (),
    )


def _coverage_table(report: Report) -> Table:
    lines = [
        (
            f"circle that is said to hold {100 * coverage.stated:g} %",
            f"{100 * coverage.share:.1f} % {_interval(tuple(100 * x for x in coverage.interval), 1)}",
            f"{coverage.n:,}",
            f"{_distance(coverage.median_radius_km)} km",
        )
        for coverage in report.coverage
    ]
    notes = ["in brackets: 95 % binomial intervals (Wilson)"]
    if report.calibration_error is not None:
        notes.append(
            "expected calibration error over all masses from 1 to 99 %: "
            f"{100 * report.calibration_error:.1f} points"
        )
    if report.fit is not None:
        held_out = " and ".join(
            f"{100 * hits / report.fit.n:.1f} % of {100 * stated:g} %" for stated, hits in report.fit.held_out
        )
        notes.append(
            f"fitted temperature: {report.fit.factor:.3g} times the model's; on the folds that it was not "
            f"fitted on, circles hold {held_out}, calibration error "
            f"{100 * report.fit.error_after:.1f} points instead of {100 * report.fit.error_before:.1f}"
        )
    return Table("calibration", ("", "it holds", "n", "median radius"), lines, tuple(notes))


def _concept_table(report: Report) -> Table:
    lines = []
    for interval in report.concepts:
        high = "" if math.isinf(interval.high_km) else f" to {interval.high_km:g}"
        name = f"{interval.low_km:g}{high} km" if high else f"{interval.low_km:g} km and more"
        lines.append((name, f"{interval.n:,}", _number(interval.median, 4)))
    return Table(
        "concept scores by error",
        ("error", "n", "median score"),
        lines,
        ("the score of a photo: the mean of its 20 strongest concepts; the paper does not define its own",),
    )


def _number(value: float, decimals: int) -> str:
    if math.isnan(value):
        return "-"
    return "no limit" if math.isinf(value) else f"{value:,.{decimals}f}"


def _distance(value: float) -> str:
    return _number(value, 1 if value < SMALL else 0)


def _interval(interval: tuple[float, ...] | None, decimals: int | None = None) -> str:
    """In brackets; without `decimals` as a distance."""
    if interval is None:
        return ""
    shown = (_distance(bound) if decimals is None else _number(bound, decimals) for bound in interval)
    return f"[{', '.join(shown)}]"
