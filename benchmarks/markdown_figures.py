"""Markdown tables and figures in units that a person would take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def short(value: float) -> str:
    """Three digits, thousands apart: 0.0123, 12.3, 1,230."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.3g}"


def duration(seconds: float) -> str:
    """In the unit that a person would take."""
    for unit, size in (("years", 365.25 * 86400), ("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{short(seconds / size)} {unit}"
    return f"{short(seconds)} s"


def size_of(count: float) -> str:
    """Bytes in the unit that a person would take, by thousands."""
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= size:
            return f"{short(count / size)} {unit}"
    return f"{short(count)} B"


def percent(share: float, digits: int = 0) -> str:
    """12.3 %."""
    return f"{100 * share:.{digits}f} %"
