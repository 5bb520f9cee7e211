"""The table on a terminal: fits, streams, strips, and works without colours or UTF-8."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from geolocate.records import Candidate, NamedPosition, Place, Position, Prediction
from geolocate.writers.table import TableWriter


def table(*predictions: Prediction, width: int = 100, encoding: str = "utf-8", terminal: bool = False) -> str:
    """What the terminal gets."""
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding, newline="\n")
    console = Console(file=stream, width=width, force_terminal=terminal, highlight=False, emoji=False)
    writer = TableWriter(console)
    for prediction in predictions:
        writer.write(prediction)
    writer.close()
    stream.flush()
    return buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [40, 41, 60, 71, 72, 80, 87, 88, 100, 140, 160, 200, 300])
def test_no_line_is_wider_than_the_terminal(
    located: Prediction, at_sea: Prediction, failed: Prediction, width: int
) -> None:
    wide = Prediction(photo="写真/" * 40 + "東京.jpg", candidates=located.candidates, exif=located.exif)
    long = Prediction(photo="a" * 300, error="the file is truncated " * 10)
    for line in table(located, at_sea, failed, wide, long, width=width).splitlines():
        assert cell_len(line) <= width, line


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_essentials_are_there_at_any_width(located: Prediction, failed: Prediction, width: int) -> None:
    text = table(located, failed, width=width)
    for words in (
        "photos/a.jpg",
        "Arezzo",
        "43.4674",
        "-73.9000",
        "12 %",
        "12 km",
        "souk",
        "uncertain",
        "bad.jpg",
    ):
        assert words in text
    assert "truncated" in text
    assert "2 photos · 1 failed" in text


def test_rows_appear_as_photos_finish(located: Prediction) -> None:
    stream = io.StringIO()
    writer = TableWriter(Console(file=stream, width=100))
    writer.write(located)
    assert "Arezzo" in stream.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_of_a_long_path_the_file_name_is_shown(located: Prediction, width: int) -> None:
    path = "/home/user/pictures/from the holidays/2024/DSCN0010.jpg"
    text = table(
        Prediction(path, located.candidates), Prediction("/x" * 100 + path, error="none"), width=width
    )
    assert text.count("/DSCN0010.jpg") == 2
    assert "…" in text


def test_control_characters_in_a_name_reach_no_terminal() -> None:
    text = table(
        Prediction(photo="a\x1b]0;x\x07\x1b[31m\nb\u202egpj.jpg", error="no \x1b[2J file"), terminal=True
    )
    assert "\x1b]" not in text
    assert "\x1b[2J" not in text
    assert "\u202e" not in text
    assert "a]0;x[31mbgpj.jpg" in text


def test_square_brackets_and_colons_in_a_name_are_no_markup(located: Prediction) -> None:
    named = Prediction(photo="[red]:smile:.jpg", candidates=located.candidates)
    assert "[red]:smile:.jpg" in table(named)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("width", [40, 100])
def test_any_encoding_will_do(encoding: str, width: int) -> None:
    place = Place("Żółć", "Łódź", "Polska", "PL", Position(51.0, 19.0))
    best = Candidate(1, Position(51.0, 19.0), 0.5, 10.0, NamedPosition(place, 1.0))
    text = table(Prediction("zdj\udcff\u4e2d.jpg" + "x" * 100, (best,)), width=width, encoding=encoding)
    assert "51.0000" in text
    if encoding != "utf-8":
        assert "..." in text


def test_a_wide_terminal_is_used_for_paths(located: Prediction) -> None:
    path = "archive/" + "folder/" * 11 + "a.jpg"
    assert path not in table(Prediction(path, located.candidates), width=140)
    assert path in table(Prediction(path, located.candidates), width=200)


def test_a_window_that_changes_its_width_gets_a_new_head(located: Prediction) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=100)
    writer = TableWriter(console)
    for width in (100, 100, 80, 40):
        console.width = width
        writer.write(located)
    lines = stream.getvalue().splitlines()
    assert [len(line) for line in lines if set(line) == {"─"}] == [100, 80]
    assert all(cell_len(line) <= 40 for line in lines[lines.index("photos/a.jpg") :])


def test_places_that_are_written_from_right_to_left_do_not_swap_latitude_and_longitude() -> None:
    cairo = Place("القاهرة", "القاهرة", "مصر", "", Position(30.0, 31.2))
    best = Candidate(1, Position(30.0444, 31.2357), 0.5, 10.0, NamedPosition(cairo, 1.0))
    for width in (40, 80, 120):
        for line in table(Prediction("صورة", (best,)), width=width).splitlines():
            if "قاهرة" in line and "30.0444" in line:
                assert line.index("\u200e", line.rindex("ق")) < line.index("30.0444")


@pytest.mark.parametrize("width", [40, 80])
def test_place_and_position_link_to_a_map_where_the_terminal_can(
    located: Prediction, failed: Prediction, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("VTE_VERSION", "7600")
    for name in ("TMUX", "STY", "FORCE_HYPERLINK", "GEOLOCATE_HYPERLINKS"):
        monkeypatch.delenv(name, raising=False)
    linked = table(located, failed, width=width, terminal=True)
    assert "https://www.openstreetmap.org/?mlat=43.46745&mlon=-73.90000#map=" in linked
    assert linked.count("\x1b]8;id=") == linked.count("\x1b]8;;\x1b\\") > 0
    assert "\x1b]8" not in table(located, width=width)  # no terminal
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in table(located, width=width, terminal=True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b]8" in table(located, width=width, terminal=True)
    monkeypatch.setenv("GEOLOCATE_HYPERLINKS", "never")
    assert "\x1b]8" not in table(located, width=width, terminal=True)


def test_colours_only_where_they_are_wanted(failed: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31m" in table(failed, terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in table(failed, terminal=True)
    assert "\x1b" not in table(failed, terminal=False)


def test_at_sea_the_nearest_place_is_named_with_its_distance(at_sea: Prediction) -> None:
    assert "at sea, 0.6 km from Arezzo" in table(at_sea, width=140)


def test_the_summary_counts_photos_found_within_a_city(located: Prediction) -> None:
    assert "1 photo · 1 of 1 within 25 km of their EXIF position" in table(located)
    assert table() == ""


@pytest.mark.parametrize("width", [40, 100])
def test_a_photo_that_is_too_uncertain_for_a_place_still_has_its_line(width: int) -> None:
    text = table(Prediction("photos/fog.jpg", notes=("uncertain",)), width=width)
    assert text.splitlines()[-3:] == ["photos/fog.jpg", "  notes: uncertain", "1 photo"]
