"""The readable table on a terminal.

Rows appear as photos finish, so the widths of the columns come from the terminal alone, and change with it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from geolocate.records import Candidate, Prediction
from geolocate.writers import hyperlinks
from geolocate.writers.terminal_text import TerminalText

#: Below this width each candidate takes two lines.
TABLE_MIN_WIDTH = 72
#: From this width on there is room for the error against EXIF.
ERROR_MIN_WIDTH = 88
#: Wider than this the columns only drift apart.
TABLE_MAX_WIDTH = 200
#: Few names of places are longer; what is left is for paths.
PLACE_MAX_WIDTH = 46
#: "Right city" of the field's benchmarks, for the summary.
CITY_KM = 25.0

_INDENT = 2


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    width: int
    right: bool = False
    keep_end: bool = False
    linked: bool = False


class TableWriter:
    """Writes to a terminal.

    Args:
        console: where to; standard output if None. rich's own: it knows width, colours, NO_COLOR.

    Raises:
        UsageError: the environment asks for hyperlinks in a way that there is none.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, emoji=False, markup=False)
        self._text = TerminalText(self._console.encoding or "ascii")
        utf8 = self._text.ellipsis == "…"
        self._dash, self._dot = ("─", "·") if utf8 else ("-", "-")
        knows_controls = self._console.is_terminal and not self._console.is_dumb_terminal
        self._links = hyperlinks.wanted(
            os.environ, terminal=knows_controls and not self._console.legacy_windows
        )
        self._width = 0
        self._columns: tuple[_Column, ...] = ()
        self._photos = self._failed = self._with_exif = self._in_city = 0

    def write(self, prediction: Prediction) -> None:
        """Writes one photo."""
        width = min(self._console.width, TABLE_MAX_WIDTH)
        if width != self._width:  # at the start, and when the window was made wider or narrower
            self._width = width
            self._columns = _columns(width)
            self._write_header()
        self._count(prediction)
        if prediction.error is not None:
            self._write_failure(prediction)
            return
        if prediction.candidates and self._columns:
            for candidate in prediction.candidates:
                self._line(self._row(prediction, candidate))
        else:
            self._write_name(prediction)
            for candidate in prediction.candidates:
                self._write_narrow(candidate)
        for label, words in (
            ("shows", ", ".join(concept.name for concept in prediction.concepts)),
            ("notes", ", ".join(prediction.notes)),
        ):
            if words:
                self._wrapped(Text(f"{label}: {self._shown(words)}", style="dim"))

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
        self._wrapped(Text(f" {self._dot} ".join(parts), style="dim"), indent=0)

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
            titles = [part for column in self._columns for part in self._cell(column, column.title)]
            self._line(Text("".join(titles), style="bold"))
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
        line, linked = "", []
        for column, words in zip(self._columns, cells, strict=False):  # the error has no place if narrow
            before, words, after = self._cell(column, words)
            begin = len(line) + len(before)
            line += before + words + after
            if column.linked:
                linked.append((begin, begin + len(words)))
        row = Text(line, style="" if best else "dim")
        if link := self._link(candidate):
            for begin, end in linked:
                row.stylize(link, begin, end)
        return row

    def _cell(self, column: _Column, words: str) -> tuple[str, str, str]:
        """Blanks before, words, blanks after: the column, with one blank between it and the one before."""
        words = self._text.fitted(words, column.width, keep_end=column.keep_end)
        padding = " " * (column.width - cell_len(words))
        between = "" if column is self._columns[0] else " "
        before, after = (between + padding, "") if column.right else (between, padding)
        return before, self._text.isolated(words), after

    def _link(self, candidate: Candidate) -> Style | None:
        return Style(link=hyperlinks.map_url(candidate)) if self._links else None

    def _write_narrow(self, candidate: Candidate) -> None:
        style = "" if candidate.rank == 1 else "dim"
        link = self._link(candidate)
        where = f"{candidate.position.latitude:.4f}, {candidate.position.longitude:.4f}"
        how_far = [
            f"{label} {_km(distance)}"
            for label, distance in (("within", candidate.radius_km), ("off by", candidate.error_km))
            if distance is not None
        ]
        first = Text(f"{candidate.rank} ", style).append(where, link)
        self._wrapped(first.append(f"  {percent(candidate.probability)}"))
        self._wrapped(Text(style=style).append(self._shown(place(candidate)), link), indent=2 * _INDENT)
        self._wrapped(Text(", ".join(how_far), style), indent=2 * _INDENT)

    def _write_failure(self, prediction: Prediction) -> None:
        self._write_name(prediction)
        self._wrapped(Text(f"failed: {self._shown(prediction.error or '')}", style="red"))

    def _write_name(self, prediction: Prediction) -> None:
        """The photo on a line of its own."""
        name = self._text.fitted(prediction.photo, self._width, keep_end=True)
        self._line(Text(self._text.isolated(name), style="bold"))

    def _wrapped(self, text: Text, indent: int = _INDENT) -> None:
        """Text in as many lines as it takes; none if it is empty."""
        for line in text.wrap(self._console, max(self._width - indent, 1)) if text else ():
            line.rstrip()
            self._line(Text(" " * indent) + line)

    def _line(self, text: Text) -> None:
        text.rstrip()
        self._console.print(text, soft_wrap=True)

    def _shown(self, words: str) -> str:
        return self._text.isolated(self._text.shown(words))


def _columns(width: int) -> tuple[_Column, ...]:
    """Columns that fill `width` cells with one blank between two; none where it is too narrow."""
    if width < TABLE_MIN_WIDTH:
        return ()
    fixed = [
        _Column("latitude", 9, right=True, linked=True),
        _Column("longitude", 9, right=True, linked=True),
        _Column("share", 6, right=True),
        _Column("radius", 9, right=True),
    ]
    if width >= ERROR_MIN_WIDTH:
        fixed.append(_Column("error", 9, right=True))
    rank = _Column("#", 3, right=True)
    free = width - rank.width - sum(column.width for column in fixed) - len(fixed) - 2
    named = _Column("place", min(free - free // 2, PLACE_MAX_WIDTH), linked=True)
    return (_Column("photo", free - named.width, keep_end=True), rank, named, *fixed)


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
