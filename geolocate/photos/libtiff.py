"""libtiff writes what it thinks of a file on standard error itself: amid the progress line, and with --quiet.

Pillow raises the same as an exception, which becomes the photo's row: libtiff's own lines are switched off.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import PIL


@cache
def silence() -> None:
    """Switches the lines off in each libtiff that Pillow may use; where none is found, they stay."""
    for path in _libraries():
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(path)  # the one that is loaded, not another
            for setter in (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler):
                setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
                setter(None)


def _libraries() -> Iterator[str]:
    """Linux says what is loaded; elsewhere wheels have their libraries beside them."""
    found = set()
    with suppress(OSError):
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        found = {line.split(maxsplit=5)[5] for line in lines if "libtiff" in line.rpartition("/")[2]}
    package = Path(PIL.__file__).parent
    for folder in (package.parent / "pillow.libs", package / ".dylibs"):
        found |= {str(path) for path in folder.glob("libtiff*")}
    yield from sorted(found)
