"""Links on a terminal: only where it is known to show them, and always where they were asked for."""

from __future__ import annotations

import pytest

from geolocate.errors import UsageError
from geolocate.records import Candidate, Position
from geolocate.writers.hyperlinks import map_url, wanted


@pytest.mark.parametrize(
    "environment",
    [
        {"TERM_PROGRAM": "iTerm.app"},
        {"TERM_PROGRAM": "vscode"},
        {"WT_SESSION": "5e3d"},
        {"KITTY_WINDOW_ID": "1"},
        {"TERM": "xterm-kitty"},
        {"TERM": "foot-extra"},
        {"VTE_VERSION": "7600"},
        {"KONSOLE_VERSION": "230800"},
        {"TMUX": "/tmp/tmux", "TERM_PROGRAM": "tmux", "TERM_PROGRAM_VERSION": "3.4a"},
    ],
    ids=str,
)
def test_terminals_that_know_links_get_them(environment: dict[str, str]) -> None:
    assert wanted(environment, terminal=True)
    assert not wanted(environment, terminal=False)
    assert not wanted({**environment, "GEOLOCATE_HYPERLINKS": "never"}, terminal=True)
    assert not wanted({**environment, "FORCE_HYPERLINK": "0"}, terminal=True)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TERM": "xterm-256color"},
        {"TERM_PROGRAM": "Apple_Terminal"},
        {"VTE_VERSION": "5000"},
        {"VTE_VERSION": "new"},
        {"VTE_VERSION": "9" * 5000},
        {"KONSOLE_VERSION": "190000"},
        {"TMUX": "/tmp/tmux", "TERM_PROGRAM": "tmux", "TERM_PROGRAM_VERSION": "3.3a", "VTE_VERSION": "7600"},
        {"TMUX": "/tmp/tmux", "TERM_PROGRAM": "tmux", "TERM_PROGRAM_VERSION": "?"},
        {"STY": "1.pts-0", "VTE_VERSION": "7600"},
    ],
    ids=lambda environment: str(environment)[:60],
)
def test_others_get_none_unless_asked(environment: dict[str, str]) -> None:
    assert not wanted(environment, terminal=True)
    assert wanted({**environment, "GEOLOCATE_HYPERLINKS": "always"}, terminal=True)
    assert wanted({**environment, "FORCE_HYPERLINK": "1"}, terminal=True)
    assert not wanted({**environment, "GEOLOCATE_HYPERLINKS": "always"}, terminal=False)


def test_the_own_variable_goes_before_the_shared_one() -> None:
    assert not wanted({"GEOLOCATE_HYPERLINKS": "never", "FORCE_HYPERLINK": "1"}, terminal=True)
    assert wanted({"GEOLOCATE_HYPERLINKS": "always", "FORCE_HYPERLINK": "0"}, terminal=True)


def test_a_wish_that_nobody_understands_is_refused() -> None:
    with pytest.raises(UsageError, match="auto, always or never"):
        wanted({"GEOLOCATE_HYPERLINKS": "sometimes"}, terminal=True)


def test_a_link_leads_to_the_position_on_the_map() -> None:
    url = map_url(Candidate(1, Position(43.467448, -11.885127), 0.5, 30.0))
    assert url == "https://www.openstreetmap.org/?mlat=43.46745&mlon=-11.88513#map=9/43.46745/-11.88513"


@pytest.mark.parametrize(
    ("radius_km", "zoom"),
    [(None, 11), (0.0, 11), (0.1, 14), (1.0, 14), (25.0, 10), (1000.0, 5), (14436.0, 2)],
)
def test_the_map_is_so_large_that_the_circle_is_in_view(radius_km: float | None, zoom: int) -> None:
    assert f"#map={zoom}/" in map_url(Candidate(1, Position(0.0, 0.0), 0.5, radius_km))


def test_the_poles_have_a_map_too() -> None:
    assert "#map=2/" in map_url(Candidate(1, Position(90.0, 0.0), 0.5, 500.0))
