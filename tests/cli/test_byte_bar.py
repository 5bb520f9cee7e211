"""The progress bar over bytes, and sizes for people."""

from __future__ import annotations

import io
import sys

import pytest

from geolocate.cli.byte_bar import byte_bar, size_text


class Screen(io.StringIO):
    """A terminal that remembers what it got."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_what_is_copied_up_to_its_last_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with byte_bar("copying") as bar:
        bar.start("mine\x1b[2J", 2_500_000)
        for count in (2**20, 2**20, 2_500_000 - 2**21):
            bar.advance(count)
    assert "copying mine[2J, 2.5 MB" in screen.getvalue()
    assert "100%" in screen.getvalue()


def test_a_log_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with byte_bar("copying") as bar:
        bar.start("mine", 10)
        bar.advance(10)
    assert log.getvalue() == ""


def test_work_that_never_starts_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with byte_bar("copying"):
        pass
    assert screen.getvalue() == ""


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (9_400_000, "9.4 MB"),
        (999_990_000, "1.0 GB"),
        (1_710_545_099, "1.7 GB"),
    ],
)
def test_sizes_are_for_people(count: int, words: str) -> None:
    assert size_text(count) == words
