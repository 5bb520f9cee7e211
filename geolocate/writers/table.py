"""The readable table on a terminal.

Rows appear as photos finish, so the widths of the columns come from the terminal alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from geolocate.records import Candidate, Prediction
from geolocate.text_safety import printable

#: Below this width each candidate takes two lines.
TABLE_MIN_WIDTH = 72
#: From this width on there is room for the error against EXIF.
ERROR_MIN_WIDTH = 88
#: Wider than this the columns only drift apart.
TABLE_MAX_WIDTH = 140
#: "Right city" of the field's benchmarks, for the summary.
CITY_KM = 25.0

_INDENT = 2


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    width: int
    right: bool = False
    keep_end: bool = False


class TableWriter:
    """Writes to a terminal.

    Args:
        console: where to; standard output if None. rich's own: it knows width, colours, NO_COLOR.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, emoji=False, markup=False)
        self._encoding = self._console.encoding or "ascii"
        utf8 = self._encoding.lower().replace("-", "").startswith("utf")
        self._dash, self._ellipsis, self._dot = ("─", "…", "·") if utf8 else ("-", "...", "-")
        self._width = min(self._console.width, TABLE_MAX_WIDTH)
        self._columns = _columns(self._width)
        self._started = False
        self._photos = self._failed = self._with_exif = self._in_city = 0

    def write(self, prediction: Prediction) -> None:
        """Writes one photo."""
        if not self._started:
            self._started = True
            self._write_header()
        self._count(prediction)
        if prediction.error is not None:
            self._write_failure(prediction)
            return
        if not prediction.candidates:
            self._line(Text(self._fit(prediction.photo, self._width, keep_end=True), style="bold"))
        elif self._columns:
            for candidate in prediction.candidates:
                self._line(self._row(prediction, candidate))
        else:
            self._line(Text(self._fit(prediction.photo, self._width, keep_end=True), style="bold"))
            for candidate in prediction.candidates:
                self._write_narrow(candidate)
        for label, words in (
            ("shows", ", ".join(concept.name for concept in prediction.concepts)),
            ("notes", ", ".join(prediction.notes)),
        ):
            if words:
                self._wrapped(f"{label}: {words}", style="dim")

    def close(self) -> None:
        """Writes the summary."""
        if not self._photos:
            return
        parts = [f"{self._photos:,} {'photo' if self._photos == 1 else 'photos'}"]
        if self._failed:
            parts.append(f"{self._failed:,} failed")
        if self._with_exif:
            parts.append(
                f"{self._in_city:,} of {self._with_exif:,} within {CITY_KM:.0f} km of their EXIF position"
            )
        self._wrapped(f" {self._dot} ".join(parts), style="dim", indent=0)

    def abort(self) -> Path | None:
        """The rows that are there stay there; nothing is kept elsewhere."""
        return None

    def _count(self, prediction: Prediction) -> None:
        self._photos += 1
        self._failed += prediction.error is not None
        error_km = prediction.candidates[0].error_km if prediction.candidates else None
        if error_km is not None:
            self._with_exif += 1
            self._in_city += error_km <= CITY_KM

    def _write_header(self) -> None:
        if self._columns:
            self._line(Text(self._join([column.title for column in self._columns]), style="bold"))
            self._line(Text(self._dash * self._width, style="dim"))

    def _row(self, prediction: Prediction, candidate: Candidate) -> Text:
        best = candidate.rank == 1
        cells = [
            prediction.photo if best else "",
            str(candidate.rank),
            place(candidate),
            f"{candidate.position.latitude:.4f}",
            f"{candidate.position.longitude:.4f}",
            percent(candidate.probability),
            _km(candidate.radius_km),
            _km(candidate.error_km),
        ]
        return Text(self._join(cells[: len(self._columns)]), style="" if best else "dim")

    def _write_narrow(self, candidate: Candidate) -> None:
        style = "" if candidate.rank == 1 else "dim"
        where = f"{candidate.position.latitude:.4f}, {candidate.position.longitude:.4f}"
        how_far = [
            f"{label} {_km(distance)}"
            for label, distance in (("within", candidate.radius_km), ("off by", candidate.error_km))
            if distance is not None
        ]
        self._wrapped(f"{candidate.rank} {where}  {percent(candidate.probability)}", style)
        for words in (place(candidate), ", ".join(how_far)):
            if words:
                self._wrapped(words, style, indent=2 * _INDENT)

    def _write_failure(self, prediction: Prediction) -> None:
        self._line(Text(self._fit(prediction.photo, self._width, keep_end=True), style="bold"))
        self._wrapped(f"failed: {prediction.error}", style="red")

    def _wrapped(self, words: str, style: str, indent: int = _INDENT) -> None:
        text = Text(self._shown(words), style=style)
        for line in text.wrap(self._console, max(self._width - indent, 1)):
            line.rstrip()
            self._line(Text(" " * indent) + line)

    def _line(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

    def _join(self, cells: list[str]) -> str:
        fitted: Iterator[str] = (
            self._fit(cell, column.width, right=column.right, pad=True, keep_end=column.keep_end)
            for cell, column in zip(cells, self._columns, strict=True)
        )
        return " ".join(fitted).rstrip()

    def _fit(
        self, words: str, width: int, *, right: bool = False, pad: bool = False, keep_end: bool = False
    ) -> str:
        words = self._shown(words)
        space = width - cell_len(words)
        if space < 0:
            room = max(width - len(self._ellipsis), 0)
            if keep_end:
                return self._ellipsis + set_cell_size(words[::-1], room)[::-1]
            return set_cell_size(words, room) + self._ellipsis
        padding = " " * space if pad else ""
        return padding + words if right else words + padding

    def _shown(self, words: str) -> str:
        return printable(words, encoding=self._encoding)


def _columns(width: int) -> tuple[_Column, ...]:
    """Columns that fill `width` cells with one blank between two; none where it is too narrow."""
    if width < TABLE_MIN_WIDTH:
        return ()
    fixed = [
        _Column("latitude", 9, right=True),
        _Column("longitude", 9, right=True),
        _Column("share", 6, right=True),
        _Column("radius", 9, right=True),
    ]
    if width >= ERROR_MIN_WIDTH:
        fixed.append(_Column("error", 9, right=True))
    rank = _Column("#", 3, right=True)
    free = width - rank.width - sum(column.width for column in fixed) - len(fixed) - 2
    photo = free // 2
    return (_Column("photo", photo, keep_end=True), rank, _Column("place", free - photo), *fixed)


def place(candidate: Candidate) -> str:
    """What a candidate is called: place, region and country code, as far as they are known."""
    named = candidate.named
    if named is None or named.place is None:
        return ""
    nearest = named.place
    if named.ocean:
        return f"at sea, {_km(named.distance_km)} from {nearest.name}"
    return ", ".join(part for part in (nearest.name, nearest.region, nearest.country_code) if part)


def percent(share: float) -> str:
    """A share, 0 to 1, in per cent: whole ones from 10 on."""
    return f"{100 * share:.0f} %" if 100 * share >= 9.95 else f"{100 * share:.1f} %"


def _km(distance: float | None) -> str:
    if distance is None:
        return ""
    return f"{distance:,.0f} km" if distance >= 9.95 else f"{distance:.1f} km"
