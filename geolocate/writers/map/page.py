"""The page around the photos: its parts out of the package's data, the map library, and what it may do.

Nothing that comes from outside is ever part of the page's markup or of its scripts: all of it is JSON in
blocks that no browser runs, and the page's scripts write it as text. The policy allows the two scripts and
the two styles by their hashes, pictures that are in the page, and those of one tile server, which the reader
switches on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from geolocate.errors import ExtraMissing

#: What the reader may switch on; Leaflet gets it from the page's own script.
TILE_SERVER = "https://tile.openstreetmap.org"
#: What carries Leaflet, unchanged: the module, its distribution, the extra that brings it.
LEAFLET_PACKAGE, LEAFLET_DISTRIBUTION, LEAFLET_EXTRA = "js_lib_leaflet", "django-js-lib-leaflet", "map"
#: The page's own script: these files, one after the other, inside one function.
SCRIPTS = (
    "text.js",
    "photos.js",
    "elements.js",
    "world.js",
    "globe.js",
    "markers.js",
    "overlay.js",
    "list.js",
    "details.js",
    "filters.js",
    "appearance.js",
    "main.js",
)
#: Its own style, likewise; later files win.
STYLES = ("frame.css", "list.css", "map.css", "details.css", "narrow.css", "print.css")
#: Where the page waits for what is different in each: a comment of HTML that is no part of any other file.
_PLACE = re.compile(r"<!-- place: (\w+) -->")
_SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)

#: What could end a block of JSON inside HTML, or a line of it in old script engines.
_ESCAPES = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"}


def json_block(value: Any) -> str:
    """JSON in ASCII that may stand in a ``<script type="application/json">``, whatever texts are in it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def page_pieces() -> list[str]:
    """The page's text and the names of its places ("about", "photos", "thumbnails") in turn, text first.

    Raises:
        ExtraMissing: the map library is not installed.
    """
    script, style = _leaflet("leaflet.js"), _leaflet("leaflet.css")
    script = _SOURCE_MAP.sub("", script)
    own_script = "(() => {\n" + "\n".join(map(_data, SCRIPTS)) + "})();\n"
    own_style = "\n".join(map(_data, STYLES))
    policy = _policy(script, own_script, style, own_style)
    fixed = {
        "policy": f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        "styles": f"<style>{style}</style>\n<style>{own_style}</style>",
        "world": _data("world.json").translate(_ESCAPES),
        "scripts": f"<script>{script}</script>\n<script>{own_script}</script>",
    }
    pieces = [""]
    for position, piece in enumerate(_PLACE.split(_data("page.html"))):
        if position % 2 and piece not in fixed:
            pieces += [piece, ""]
        else:
            pieces[-1] += fixed[piece] if position % 2 else piece
    return pieces


def _policy(*texts: str) -> str:
    script, own_script, style, own_style = map(_hash, texts)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {script} {own_script}",
            f"style-src {style} {own_style}",
            f"img-src data: {TILE_SERVER}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def library_licence() -> str:
    """The terms of the map library, which go where its script goes; empty where its package lost them."""
    try:
        package = distribution(LEAFLET_DISTRIBUTION)
    except PackageNotFoundError:
        return ""
    return package.read_text("LICENSE") or package.read_text("licenses/LICENSE") or ""


def _leaflet(name: str) -> str:
    found = find_spec(LEAFLET_PACKAGE)
    try:
        folder = Path(str(found and found.origin)).parent / "static" / LEAFLET_PACKAGE
        return (folder / name).read_text(encoding="utf-8")
    except OSError:
        raise ExtraMissing("--map needs", LEAFLET_EXTRA) from None


@cache
def _data(name: str) -> str:
    return (files("geolocate") / "data" / "map" / name).read_text(encoding="utf-8")
