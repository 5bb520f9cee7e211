"""Which photos an argument has that is no folder: a prefix of an object store, an archive, one object.

As in folders, endings select, hidden names are skipped, and what is named explicitly is always tried. Nothing
is raised while photos are listed: what cannot be listed is a warning and, where nothing came of an argument
at all, a row with the reason.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

from geolocate.errors import ExtraMissing, PhotoError, UsageError
from geolocate.photo_names import extension_of, without_dots
from geolocate.sources.archives import ARCHIVES
from geolocate.sources.limits import FetchLimits
from geolocate.sources.retrying import NOT_FOUND
from geolocate.sources.urls import (
    ARCHIVE_SCHEMES,
    CHAIN,
    STORE_SCHEMES,
    archive_kind,
    check_url,
    file_path,
    is_url,
    member_url,
    rest_of,
    scheme_of,
    split_member,
    without_secrets,
)
from geolocate.text_safety import printable

#: Of a name in a warning, in characters.
_SHOWN_LENGTH = 200


def is_source(argument: str) -> bool:
    """Whether an argument is a URL, or a file that is called like an archive."""
    return is_url(argument) or (archive_kind(argument) is not None and os.path.isfile(argument))


def check_source(argument: str, limits: FetchLimits) -> None:
    """Checks before any work what can be known of an argument; asks a store whether a prefix can be listed.

    Raises:
        UsageError: it makes no sense, its archive is no file, or it cannot be listed.
        ExtraMissing: what reads it is not installed.
    """
    if not is_url(argument):
        return
    check_url(argument)
    scheme = scheme_of(argument) or ""
    if scheme in ARCHIVE_SCHEMES:
        archive = split_member(argument).archive
        path = file_path(archive) if scheme_of(archive) == "file" else archive
        if not is_url(path) and not os.path.isfile(path):
            raise UsageError(f"no such archive: {_shown(path)}")
        check_source(archive, limits)
    elif scheme in STORE_SCHEMES and _names_folder(argument):
        try:
            reason = "" if _has_below(argument, limits) else NOT_FOUND
        except PhotoError as error:
            reason = str(error)
        if reason:
            raise UsageError(f"{_shown(argument)} cannot be listed: {reason}")


def photos_in(
    argument: str, selects: Callable[[str], bool], on_warning: Callable[[str], None], limits: FetchLimits
) -> Iterator[str]:
    """Yields the photos of a URL or an archive, lazily.

    Args:
        selects: whether a name in a folder is that of a photo, by its ending.
        on_warning: told of what cannot be listed and of what is passed over.
    """
    scheme = scheme_of(argument)
    if scheme in ARCHIVE_SCHEMES:
        member = split_member(argument)
        if member.archive:
            yield from _members(*member, selects, on_warning, limits)
            return
    elif kind := archive_kind(argument):
        yield from _members(kind, "", argument, selects, on_warning, limits)
        return
    elif scheme in STORE_SCHEMES and (_names_folder(argument) or not _has_ending(argument)):
        try:
            check_url(argument)
            folder = _has_below(argument, limits)
        except (PhotoError, UsageError, ExtraMissing):
            folder = False  # fetching it says why
        if folder:
            yield from _objects(argument, selects, on_warning, limits)
            return
    yield argument


def _shown(text: str) -> str:
    text = printable(without_secrets(text))
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}..."


def _names_folder(url: str) -> bool:
    """Whether a name in a store can only be that of a prefix: it ends so, or is that of a bucket."""
    key = rest_of(url).partition("/")[2]
    return not key or key.endswith("/")


def _has_ending(url: str) -> bool:
    return bool(extension_of(url.rpartition("/")[2]))


def _has_below(url: str, limits: FetchLimits) -> bool:
    from geolocate.sources.object_store import has_below

    return has_below(url, limits)


def _objects(
    url: str, selects: Callable[[str], bool], on_warning: Callable[[str], None], limits: FetchLimits
) -> Iterator[str]:
    """Photos below a prefix, depth-first by name as bytes; memory is the names of one at each depth."""
    from geolocate.sources.object_store import Entry, entries

    def enter(prefix: str) -> Iterator[tuple[str, Entry]]:
        try:
            found = entries(prefix, limits)
        except PhotoError as error:
            on_warning(f"{_shown(prefix)} cannot be listed, its photos are left out: {error}")
            return iter(())
        if not exact and any(not entry.name for entry in found):
            found = [entry for entry in found if entry.name]
            on_warning(f"{_shown(prefix)}: left out objects whose names have an empty part (//)")
        wanted = (e for e in found if not _is_hidden(e.name) and (e.is_folder or selects(e.name)))
        return iter([(prefix + entry.name, entry) for entry in wanted])

    exact = scheme_of(url) == "s3"  # the others' clients take two slashes for one, and lead round and round
    levels = [enter(url.rstrip("/") + "/")]
    while levels:
        if (found := next(levels[-1], None)) is None:
            levels.pop()
        elif found[1].is_folder:
            levels.append(enter(found[0] + "/"))
        else:
            yield found[0]


def _members(
    kind: str,
    pattern: str,
    place: str,
    selects: Callable[[str], bool],
    on_warning: Callable[[str], None],
    limits: FetchLimits,
) -> Iterator[str]:
    """Members of an archive: one, those below a folder, those that a pattern means, or all photos."""
    shown = _shown(place)
    means = _meaning(pattern, selects)
    found = unnameable = 0
    if is_url(place):
        ARCHIVES.forget(place)
    try:
        with ARCHIVES.hold(kind, place, pattern, limits) as archive:
            for name in archive.names():
                if not means(name):
                    continue
                if CHAIN in name:
                    unnameable += 1
                    continue
                found += 1
                yield member_url(kind, name, place)
            fault, passed_over = archive.fault, archive.passed_over
    except PhotoError:
        found = 0
        fault, passed_over = None, 0
    if not found:  # fetching it says why
        yield member_url(kind, pattern, place)
        return
    if fault:
        on_warning(f"{shown}: {fault}; what stands before that is read")
    if passed_over:
        on_warning(f"{shown}: left out {passed_over:,} links, devices or members of a name that came before")
    if unnameable:
        on_warning(f"{shown}: left out {unnameable:,} members whose names hold {CHAIN}")


def _meaning(pattern: str, selects: Callable[[str], bool]) -> Callable[[str], bool]:
    """Which members a pattern means: the one of that name, those below, or by * and ? (no /) and **."""
    pattern = without_dots(pattern)
    folder = pattern.strip("/") + "/" if pattern.strip("/") else ""
    glob = _glob(pattern) if any(mark in pattern for mark in "*?") else None

    def means(name: str) -> bool:
        if name == pattern:
            return True
        if glob is not None:
            return glob.fullmatch(name) is not None
        if not name.startswith(folder):
            return False
        parts = name[len(folder) :].split("/")
        return not any(map(_is_hidden, parts)) and selects(parts[-1])

    return means


def _is_hidden(name: str) -> bool:
    """Whether one part of a name hides what it is of; `..` does not: it is a name here, and leads nowhere."""
    return name.startswith(".") and name not in (".", "..")


def _glob(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/?|\*|\?)", pattern)
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(words.get(part, re.escape(part)) for part in parts), re.DOTALL)
