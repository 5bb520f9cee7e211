"""URLs of photos: what they are made of, which are refused, and how they are shown without their secrets.

Members of archives are written as fsspec chains them: `zip://trip/a.jpg::photos.zip`,
`tar://000.jpg::https://host/shard-000.tar`.
"""

from __future__ import annotations

import importlib.util
import re
import urllib.parse
from typing import NamedTuple

from geolocate.errors import ExtraMissing, UsageError
from geolocate.sources.query import REDACTED, lasting, redacted
from geolocate.text_safety import printable

#: Two letters at least: one is a drive of Windows.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{1,15})://")
#: Of the archive that a member is in, after the member.
CHAIN = "::"
WEB_SCHEMES = frozenset(("http", "https"))
#: Object stores, by scheme: the module that reads them, and the extra that brings it.
STORE_SCHEMES = {"s3": ("s3fs", "remote"), "gs": ("gcsfs", "gcs")}
#: Object keys and file names hold question marks of their own.
_WITHOUT_QUERY = frozenset((*STORE_SCHEMES, "file"))
ARCHIVE_SCHEMES = frozenset(("zip", "tar"))
SCHEMES = (*sorted(WEB_SCHEMES), *STORE_SCHEMES, "file", *sorted(ARCHIVE_SCHEMES, reverse=True))

#: Endings of archives, by their kind.
_ARCHIVE_ENDINGS = (
    ("zip", (".zip",)),
    ("tar", (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")),
)
#: What follows a semicolon in a path (";jsessionid=...").
_PATH_PARAMETER = re.compile(r"(?<=;)[^/;]+")


class Member(NamedTuple):
    """What a chained URL says: the kind of archive, what is meant of it, and where it is."""

    kind: str
    name: str
    archive: str


def scheme_of(text: str) -> str | None:
    """The scheme of a URL in lower case; None for a path."""
    match = _SCHEME.match(text)
    return match[1].lower() if match else None


def is_url(text: str) -> bool:
    """Whether a photo is read by its URL and not by a path; those of local files are paths already."""
    return "://" in text and scheme_of(text) is not None


def rest_of(url: str) -> str:
    """What follows the scheme."""
    return url.partition("://")[2]


def split_member(url: str) -> Member:
    """The parts of a chained URL; the archive is empty where it names none."""
    name, _, archive = rest_of(url).partition(CHAIN)
    return Member(scheme_of(url) or "", name, archive)


def member_url(kind: str, name: str, archive: str) -> str:
    """The URL of a member of an archive."""
    return f"{kind}://{name}{CHAIN}{archive}"


def archive_kind(name: str) -> str | None:
    """Which archive ends so, "zip" or "tar"; None for what is none."""
    path = urllib.parse.urlsplit(name).path if scheme_of(name) in WEB_SCHEMES else name
    for kind, endings in _ARCHIVE_ENDINGS:
        if path.lower().endswith(endings):
            return kind
    return None


def file_path(url: str) -> str:
    """The path of a file:// URL, bytes that are no UTF-8 as surrogate escapes.

    Raises:
        UsageError: it names another machine.
    """
    host, slash, path = rest_of(url).partition("/")
    if host.lower() not in ("", "localhost"):
        raise UsageError(f"{public_name(url)}: file:// names files of this machine, file:///PATH")
    return urllib.parse.unquote(slash + path, errors="surrogateescape")


def check_url(url: str) -> None:
    """Refuses what no try can read; opens nothing.

    Raises:
        UsageError: a scheme that is not read, a name or password in the URL, an archive in an archive.
        ExtraMissing: what reads it is not installed.
    """
    scheme = scheme_of(url)
    shown = printable(public_name(url))
    if scheme not in SCHEMES:
        raise UsageError(
            f"{shown}: {scheme}:// is not read, only {', '.join(f'{name}://' for name in SCHEMES)}"
        )
    if scheme in ARCHIVE_SCHEMES:
        archive = split_member(url).archive
        if not archive:
            raise UsageError(f"{shown} names no archive: {scheme}://MEMBER::ARCHIVE")
        if scheme_of(archive) in ARCHIVE_SCHEMES:
            raise UsageError(f"{shown}: archives in archives are not opened")
        if is_url(archive):
            check_url(archive)
        return
    if scheme == "file":
        file_path(url)
        return
    host = rest_of(url).partition("/")[0].partition("?")[0]
    if "@" in host:
        raise UsageError(
            f"{shown}: a URL with a name or password in it is refused, since URLs are written down"
        )
    if not host:
        raise UsageError(f"{shown} names no {'bucket' if scheme in STORE_SCHEMES else 'host'}")
    if scheme in STORE_SCHEMES:
        module, extra = STORE_SCHEMES[scheme]
        if importlib.util.find_spec(module) is None:
            raise ExtraMissing(f"{scheme}:// addresses need", extra)


def public_name(photo: str) -> str:
    """A photo as it is shown and written: a path as it is, a URL without name, password and signatures.

    Values of parameters that let others in become `REDACTED`; the rest stays, so that photos are told apart.
    """
    if not is_url(photo):
        return photo
    scheme = scheme_of(photo)
    if scheme in ARCHIVE_SCHEMES:
        member = split_member(photo)
        return (
            member_url(member.kind, member.name, without_secrets(member.archive)) if member.archive else photo
        )
    begin, _, rest = photo.partition("://")
    host, slash, path = rest.partition("/")
    if "@" in host:
        host = f"{REDACTED}@{host.rpartition('@')[2]}"
    if scheme not in _WITHOUT_QUERY:
        path, mark, query = f"{host}{slash}{path}".partition("#")[0].partition("?")
        path = _PATH_PARAMETER.sub(lambda parameter: redacted(parameter[0]), path)
        return f"{begin}://{path}{mark}{redacted(query)}"
    return f"{begin}://{host}{slash}{path}"


def without_secrets(text: str) -> str:
    """What a user wrote, for messages: as :func:`public_name`, of a URL that is not where one begins too."""
    url = _SCHEME.search(text)
    return text[: url.start()] + public_name(text[url.start() :]) if url else text


def is_ambiguous(name: str) -> bool:
    """Whether a photo's name as it is written may be that of several, whose difference is hidden."""
    return is_url(name) and f"={REDACTED}" in lasting_name(name)


def lasting_name(photo: str) -> str:
    """A photo as it is told from others, not to be shown: its URL without what a new signature changes."""
    scheme = scheme_of(photo)
    if scheme in ARCHIVE_SCHEMES:
        member = split_member(photo)
        return member_url(member.kind, member.name, lasting_name(member.archive))
    if scheme not in WEB_SCHEMES:
        return photo
    path, _, query = photo.partition("#")[0].partition("?")
    return f"{path}?{left}" if (left := lasting(query)) else path
