"""Progress and messages on standard error."""

from __future__ import annotations

import io
import os
import sys

import pytest

from geolocate.cli.progress import Progress, duration


class Screen(io.StringIO):
    """A terminal that remembers what it got."""

    def isatty(self) -> bool:
        return True

    def shown(self) -> list[str]:
        """The lines that are to be read, what was erased left out."""
        return [line.rsplit("\r\x1b[K", 1)[-1] for line in self.getvalue().split("\n")]


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(progress: Progress, clock: Clock, photos: int, seconds_each: float = 1.0) -> None:
    for _ in range(photos):
        clock.now += seconds_each
        progress.advance()


def test_count_rate_failures_and_remaining_time_are_shown() -> None:
    clock, screen = Clock(), Screen()
    progress = Progress(stream=screen, total=lambda: 100, clock=clock)
    run(progress, clock, 9, 0.5)
    clock.now += 0.5
    progress.advance(failed=True)
    assert screen.shown() == ["10 of 100 photos, 1 failed, 2.0/s, 45 s left"]


def test_without_a_known_total_there_is_no_remaining_time() -> None:
    clock, screen = Clock(), Screen()
    progress = Progress(stream=screen, clock=clock)
    run(progress, clock, 3)
    assert screen.shown() == ["3 photos, 1.0/s"]


def test_the_total_may_come_later() -> None:
    totals = iter([None, 4])
    clock, screen = Clock(), Screen()
    progress = Progress(stream=screen, total=lambda: next(totals), clock=clock)
    run(progress, clock, 1)
    assert screen.shown() == ["1 photo, 1.0/s"]
    run(progress, clock, 1)
    assert screen.shown() == ["2 of 4 photos, 1.0/s, 2 s left"]


def test_a_total_that_was_too_small_is_no_negative_time() -> None:
    clock = Clock()
    progress = Progress(stream=Screen(), total=lambda: 1, clock=clock)
    run(progress, clock, 2)
    assert "left" not in progress.line()


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    clock = Clock()
    progress = Progress(stream=Screen(), clock=clock)
    run(progress, clock, 1, seconds_each=500)
    run(progress, clock, 400, seconds_each=0.1)
    assert "10.0/s" in progress.line()


def test_fast_runs_draw_ten_times_a_second_in_flat_memory() -> None:
    clock, screen = Clock(), Screen()
    progress = Progress(stream=screen, clock=clock)
    run(progress, clock, 100_000, seconds_each=0.001)
    assert screen.getvalue().count("\r") <= 1001
    assert len(progress._recent) < 1000
    assert "1,000/s" in progress.line()


def test_a_file_gets_no_progress_unless_asked_and_then_no_control_characters() -> None:
    clock, log = Clock(), io.StringIO()
    run(Progress(stream=log, clock=clock), clock, 100)
    assert log.getvalue() == ""
    with Progress(stream=log, shown=True, clock=clock) as progress:
        run(progress, clock, 25)
    assert log.getvalue() == "10 photos, 1.0/s\n20 photos, 1.0/s\n25 photos, 1.0/s\n"


def test_quiet_says_nothing_and_no_progress_still_gives_messages() -> None:
    clock, screen = Clock(), Screen()
    quiet = Progress(stream=screen, quiet=True, clock=clock)
    run(quiet, clock, 5)
    quiet.note("a message")
    assert screen.getvalue() == ""
    without = Progress(stream=screen, shown=False, clock=clock)
    run(without, clock, 5)
    without.note("a message")
    assert screen.getvalue() == "a message\n"


def test_messages_and_rows_do_not_mix_with_the_line() -> None:
    clock, screen = Clock(), Screen()
    progress = Progress(stream=screen, results=screen, clock=clock)
    run(progress, clock, 1)
    progress.note("a note\x1b[31m")
    with progress.aside():
        screen.write("a row\n")
    run(progress, clock, 1)
    with progress.aside():
        screen.write("another row\n")
    progress.close()
    assert screen.shown() == ["a note[31m", "a row", "another row", ""]


def test_results_in_a_file_do_not_make_the_line_flicker() -> None:
    clock, screen = Clock(), Screen()
    progress = Progress(stream=screen, results=io.StringIO(), clock=clock)
    run(progress, clock, 1)
    before = screen.getvalue()
    with progress.aside():
        pass
    assert screen.getvalue() == before


def test_closing_takes_the_line_away() -> None:
    clock, screen = Clock(), Screen()
    with Progress(stream=screen, clock=clock) as progress:
        run(progress, clock, 3)
    assert screen.shown() == [""]
    progress.advance()
    assert screen.shown() == [""]


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (80, "12,345 of 1,000,000 photos, 1 failed, 2.0/s, 137 h 10 min left"),
        (60, "12,345 of 1,000,000 photos, 1 failed, 137 h 10 min left"),
        (50, "12,345 of 1,000,000, 1 failed, 137 h 10 min left"),
        (20, "12,345 of 1,000,000"),
    ],
)
def test_what_a_narrow_terminal_leaves_out_is_what_matters_least(
    width: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.get_terminal_size", lambda descriptor: os.terminal_size((width, 5)))
    monkeypatch.setattr(Screen, "fileno", lambda self: 2)
    clock, screen = Clock(), Screen()
    progress = Progress(stream=screen, total=lambda: 1_000_000, clock=clock)
    for _ in range(12_342):
        progress.found_done()
    progress.found_done(failed=True)
    run(progress, clock, 2, 0.5)
    assert screen.shown()[0] == words
    assert len(words) < width


def test_a_window_that_is_made_narrower_has_a_shorter_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = iter([80, 30])
    monkeypatch.setattr("os.get_terminal_size", lambda descriptor: os.terminal_size((next(columns), 5)))
    monkeypatch.setattr(Screen, "fileno", lambda self: 2)
    clock, screen = Clock(), Screen()
    progress = Progress(stream=screen, total=lambda: 10_000, clock=clock)
    run(progress, clock, 1)
    assert screen.shown() == ["1 of 10,000 photos, 1.0/s, 2 h 46 min left"]
    run(progress, clock, 1)
    assert screen.shown() == ["2 of 10,000, 2 h 46 min left"]


def test_what_an_earlier_run_did_says_nothing_of_the_pace() -> None:
    clock, screen = Clock(), Screen()
    progress = Progress(stream=screen, total=lambda: 100, clock=clock)
    for _ in range(90):
        clock.now += 0.01
        progress.found_done()
    assert screen.shown()[0].endswith(" of 100 photos")
    progress.begin()
    run(progress, clock, 2, 0.5)
    assert screen.shown() == ["92 of 100 photos, 2.0/s, 4 s left"]


def test_a_closed_standard_error_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        clock = Clock()
        progress = Progress(shown=True, clock=clock)
        run(progress, clock, 30)
        progress.note("unheard")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7800, "2 h 10 min")],
)
def test_times_are_for_people(seconds: float, words: str) -> None:
    assert duration(seconds) == words
