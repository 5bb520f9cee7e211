"""Text that comes from file names and metadata, made fit for a terminal or for UTF-8."""

from __future__ import annotations

import re

#: C0 and C1 controls, DEL, and the marks that reorder or hide text on a terminal.
_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e0fff]"
)
_CONTROLS_BUT_NEWLINE = re.compile(r"(?!\n)" + _CONTROLS.pattern)
_SURROGATES = re.compile(r"[\ud800-\udfff]")
#: Surrogates that no undecodable byte gives (PEP 383 uses U+DC80 to U+DCFF).
_STRAY_SURROGATES = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")
REPLACEMENT = "\ufffd"


def printable(text: str, *, encoding: str = "utf-8", newlines: bool = False) -> str:
    """Strips what could steer a terminal and replaces what `encoding` cannot show.

    Args:
        encoding: of the terminal.
        newlines: keep them (messages of several lines).
    """
    text = (_CONTROLS_BUT_NEWLINE if newlines else _CONTROLS).sub("", text)
    text = _SURROGATES.sub(REPLACEMENT, text)
    return text.encode(encoding, "replace").decode(encoding)


def to_bytes(text: str) -> bytes:
    """UTF-8, with undecodable bytes of a file name (PEP 383) as the very bytes that they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _STRAY_SURROGATES.sub(REPLACEMENT, text).encode("utf-8", "surrogateescape")


def to_unicode(text: str) -> str:
    """Valid Unicode: undecodable bytes become U+FFFD."""
    return to_bytes(text).decode("utf-8", "replace")


def first_line(error: BaseException) -> str:
    """What an error says, in short; the name of its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
