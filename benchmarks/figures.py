"""Figures of a run: each with its spread and its goal, kept as JSON by arm, shown as a table."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from this_machine import machine
from turns import Spread


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes:
        what: what was measured; begins with ours where it is a ratio.
        value: median and extent over the turns.
        unit: "x" for ratios.
        goal: what is to be reached, a bound from below, or from above where `less_is_better`; None for
            figures that only inform.
    """

    what: str
    value: Spread
    unit: str = "x"
    goal: float | None = None
    less_is_better: bool = False

    @property
    def verdict(self) -> str:
        """Whether the median reaches the goal."""
        if self.goal is None:
            return ""
        reached = self.value.median <= self.goal if self.less_is_better else self.value.median >= self.goal
        return "reached" if reached else "MISSED"

    def row(self) -> str:
        """One line of the table."""
        sign = "<=" if self.less_is_better else ">="
        goal = "" if self.goal is None else f"goal {sign} {self.goal:g}"
        return f"  {self.what:66} {f'{self.value} {self.unit}':28} {goal:14} {self.verdict}".rstrip()


class Record:
    """The figures of all arms measured so far, in a file where one is given.

    Args:
        path: JSON; arms that it holds already stay until they are measured again.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.arms: dict[str, Any] = {}
        if path is not None and path.exists():
            self.arms = json.loads(path.read_text(encoding="utf-8"))["arms"]

    def add(self, arm: str, figures: list[Figure], settings: dict[str, Any], seconds: float) -> None:
        """Takes an arm's figures and writes the file at once, so that a run that is cut off goes on."""
        self.arms[arm] = {
            "date": date.today().isoformat(),
            "seconds": round(seconds, 1),
            "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            "machine": machine(),
            "settings": settings,
            "figures": [asdict(figure) | {"verdict": figure.verdict} for figure in figures],
        }
        if self.path is not None:
            fresh = self.path.with_name(self.path.name + ".new")
            fresh.write_text(json.dumps({"arms": self.arms}, indent=1) + "\n", encoding="utf-8")
            fresh.replace(self.path)
