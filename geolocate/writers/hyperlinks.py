"""Hyperlinks on a terminal (OSC 8): whether it knows them, and where they lead.

A link is a few bytes round a place's name. Nothing is fetched until somebody clicks; then the browser asks
openstreetmap.org for a map, which so learns that position.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from geolocate.errors import UsageError
from geolocate.records import Candidate

#: Says auto, always or never; goes before FORCE_HYPERLINK, which other programs obey too (0 switches off).
VARIABLE = "GEOLOCATE_HYPERLINKS"
SHARED_VARIABLE = "FORCE_HYPERLINK"

#: Programs that show links, by what they call themselves in TERM_PROGRAM.
_PROGRAMS = frozenset({"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "mintty", "rio", "Tabby"})
#: Terminals that set a variable of their own.
_OWN_VARIABLES = ("WT_SESSION", "KITTY_WINDOW_ID", "ALACRITTY_WINDOW_ID", "DOMTERM")
#: Those whose TERM tells, over ssh too.
_TERMS = ("xterm-kitty", "xterm-ghostty", "alacritty", "foot", "wezterm", "contour")
#: First versions with links, and for VTE without the fault of 0.50.0 that ended the terminal.
_FIRST_VTE = 5001
_FIRST_KONSOLE = 201200
_FIRST_TMUX = (3, 4)

#: Zoom levels of the map; the last shows a town, for where nothing is known of the radius.
_MIN_ZOOM, _MAX_ZOOM, _TOWN_ZOOM = 2, 14, 11
_EQUATOR_KM = 40_075.0


def wanted(environment: Mapping[str, str], *, terminal: bool) -> bool:
    """Whether to write links.

    Args:
        environment: the variables of the process.
        terminal: whether a terminal that knows control sequences is written to.

    Raises:
        UsageError: GEOLOCATE_HYPERLINKS is none of its three words.
    """
    wish = environment.get(VARIABLE, "") or "auto"
    if wish not in ("auto", "always", "never"):
        raise UsageError(f"{VARIABLE} is auto, always or never")
    if not terminal or wish == "never":
        return False
    if wish == "always":
        return True
    if shared := environment.get(SHARED_VARIABLE):
        return shared != "0"
    return _knows_links(environment)


def _knows_links(environment: Mapping[str, str]) -> bool:
    """Whether the terminal is known to show links; multiplexers decide for what is inside them."""
    program = environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment:
        return program == "tmux" and _version(environment.get("TERM_PROGRAM_VERSION", "")) >= _FIRST_TMUX
    if "STY" in environment:  # GNU screen
        return False
    return (
        program in _PROGRAMS
        or any(environment.get(name) for name in _OWN_VARIABLES)
        or environment.get("TERM", "").startswith(_TERMS)
        or _number(environment.get("VTE_VERSION", "")) >= _FIRST_VTE
        or _number(environment.get("KONSOLE_VERSION", "")) >= _FIRST_KONSOLE
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _version(text: str) -> tuple[int, int]:
    """Of "3.4a": (3, 4)."""
    major, _, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return _number(major), _number(digits)


def map_url(candidate: Candidate) -> str:
    """Where OpenStreetMap shows a candidate, so large that the circle of its radius is in view."""
    latitude, longitude = candidate.position.latitude, candidate.position.longitude
    place = f"{latitude:.5f}/{longitude:.5f}"
    zoom = _zoom(candidate.radius_km, latitude)
    return f"https://www.openstreetmap.org/?mlat={latitude:.5f}&mlon={longitude:.5f}#map={zoom}/{place}"


def _zoom(radius_km: float | None, latitude: float) -> int:
    """The level at which a window of two tiles is no narrower than the circle (Web Mercator)."""
    if radius_km is None or not radius_km > 0:
        return _TOWN_ZOOM
    round_the_earth = _EQUATOR_KM * max(math.cos(math.radians(latitude)), 0.01)
    level = math.floor(math.log2(2 * round_the_earth / (2 * radius_km)))
    return min(max(level, _MIN_ZOOM), _MAX_ZOOM)
