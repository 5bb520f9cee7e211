"""One line of progress on standard error, and messages that do not tear it apart.

Plain text and two control sequences: a progress library would cost more start-up than one photo.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from types import TracebackType
from typing import TextIO

from geolocate.cli.status import can_redraw, is_terminal
from geolocate.text_safety import printable

#: Seconds between two drawings on a terminal, and between two lines in a log file.
TERMINAL_INTERVAL_S = 0.1
LOG_INTERVAL_S = 10.0
#: The rate is that of the last so many seconds: a slow start must not spoil it.
RATE_WINDOW_S = 30.0

_CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Counts photos and shows the count.

    Args:
        shown: True and False decide; None shows it where `stream` is a terminal that knows control sequences.
        quiet: neither progress (unless `shown`) nor messages.
        total: how many photos there will be; None while that is not known.
        stream: standard error if None.
        results: the stream of the results, which may be the same terminal; standard output if None.
        clock: seconds, monotonic.
        unit: what is counted, in the singular.
    """

    def __init__(
        self,
        *,
        shown: bool | None = None,
        quiet: bool = False,
        total: Callable[[], int | None] = lambda: None,
        stream: TextIO | None = None,
        results: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        unit: str = "photo",
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        results = results if results is not None else sys.stdout
        self._on_terminal = can_redraw(self._stream)
        self._shown = (self._on_terminal and not quiet) if shown is None else shown
        self._must_step_aside = self._on_terminal and is_terminal(results)
        self._quiet = quiet
        self._total = total
        self._clock = clock
        self._unit = unit
        self._lock = RLock()
        self._drawn = False
        self._drawn_at = float("-inf") if self._on_terminal else clock()
        self._recent = deque([(clock(), 0)])
        self.done = 0
        self.failed = 0

    def begin(self) -> None:
        """The work begins now: what went before (loading a model) is no part of the rate."""
        with self._lock:
            self._recent = deque([(self._clock(), self.done)])

    def advance(self, count: int = 1, *, failed: bool = False) -> None:
        """So many more are done."""
        with self._lock:
            self.done += count
            self.failed += failed
            now = self._clock()
            self._recent.append((now, self.done))
            # At high rates neighbours are merged: the window keeps at most some hundred points.
            if len(self._recent) > 2 and now - self._recent[-3][0] < TERMINAL_INTERVAL_S:
                del self._recent[-2]
            while len(self._recent) > 2 and now - self._recent[0][0] > RATE_WINDOW_S:
                self._recent.popleft()
            self._draw_if_due(now)

    def found_done(self, *, failed: bool = False) -> None:
        """One more is done, and was so before this run: it counts, and says nothing of the rate."""
        with self._lock:
            self.done += 1
            self.failed += failed
            now = self._clock()
            self._recent = deque([(now, self.done)])
            self._draw_if_due(now)

    def note(self, text: str) -> None:
        """A message for the user, unless quiet."""
        if self._quiet:
            return
        with self._lock:
            self._erase()
            self._write(printable(text, newlines=True) + "\n")

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While results are written to the same terminal the line is out of the way."""
        if not self._must_step_aside:
            yield
            return
        with self._lock:
            was_drawn = self._drawn
            self._erase()
            yield
            if was_drawn:
                self._draw(self._clock())

    def line(self, width: int | None = None) -> str:
        """What the line says now.

        Args:
            width: characters at most. Where they do not hold all of it the rate goes first, then the unit:
                how many are done, how many failed and how long it will take are what a user waits for.
        """
        total = self._total()
        count = f"{self.done:,}" if total is None else f"{self.done:,} of {total:,}"
        unit = self._unit if (total or self.done) == 1 else self._unit + "s"
        failed = f"{self.failed:,} failed" if self.failed else ""
        rate = self._rate()
        pace = (f"{rate:.1f}/s" if rate < 100 else f"{rate:,.0f}/s") if rate else ""
        left = f"{duration((total - self.done) / rate)} left" if rate and total and total >= self.done else ""
        for parts in ((f"{count} {unit}", failed, pace, left), (f"{count} {unit}", failed, left)):
            words = ", ".join(filter(None, parts))
            if width is None or len(words) <= width:
                return words
        return ", ".join(filter(None, (count, failed, left)))[:width]

    def close(self) -> None:
        """Takes the line off a terminal; leaves the last count in a log."""
        with self._lock:
            self._erase()
            if self._shown and not self._on_terminal and self.done:
                self._draw(self._clock())
            self._shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rate(self) -> float:
        (first, before), (last, after) = self._recent[0], self._recent[-1]
        return (after - before) / (last - first) if last > first else 0.0

    def _draw_if_due(self, now: float) -> None:
        if now - self._drawn_at >= (TERMINAL_INTERVAL_S if self._on_terminal else LOG_INTERVAL_S):
            self._draw(now)

    def _draw(self, now: float) -> None:
        if not self._shown:
            return
        self._drawn_at = now
        if self._on_terminal:
            self._write(_CLEAR_LINE + self.line(_width(self._stream) - 1))
            self._drawn = True
        else:
            self._write(self.line() + "\n")

    def _erase(self) -> None:
        if self._drawn:
            self._write(_CLEAR_LINE)
            self._drawn = False

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError, AttributeError):  # standard error may be closed, or None
            self._stream.write(text)
            self._stream.flush()


def duration(seconds: float) -> str:
    """A time for people: "42 s", "3 min 5 s", "2 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def _width(stream: TextIO) -> int:
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, 2)
    except (OSError, ValueError):
        return 80
