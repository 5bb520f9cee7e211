"""Object stores (s3://, gs://) through fsspec: prefixes listed like folders, objects read forwards.

Credentials are found by the stores' own clients, in the environment and their usual files. Nothing that a
client says is repeated, since it may hold them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from geolocate.errors import ExtraMissing, PhotoError, PhotoNotFound, PhotoNotReadable
from geolocate.sources.limits import FetchLimits
from geolocate.sources.retrying import ACCESS_DENIED, NOT_FOUND, Patience, Transient
from geolocate.sources.urls import STORE_SCHEMES, rest_of, scheme_of

Value = TypeVar("Value")

#: Read in one request: most photos are smaller.
PIECE_BYTES = 8 * 2**20
#: Seconds for a listing that comes all at once.
LISTING_LIMIT_S = 3600.0
_NO_SUCH_RANGE = 416
_opening = threading.Lock()


class Entry(NamedTuple):
    """What a prefix holds: the last part of a name, and whether more is below it."""

    name: str
    is_folder: bool


class ObjectStream:
    """The content of one object, read forwards.

    Attributes:
        size: in bytes; None until it is known.

    Raises:
        PhotoError: at each read, for all that can go wrong.
    """

    def __init__(self, url: str, patience: Patience) -> None:
        self.size: int | None = None
        self._url, self._path = url, rest_of(url)
        self._patience = patience
        self._position = 0
        self._piece = memoryview(b"")

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        if not self._piece and (self.size is None or self._position < self.size):
            self._piece = memoryview(self._patience.attempt(self._next_piece))
            self._position += len(self._piece)
            if self.size is None and len(self._piece) < PIECE_BYTES:
                self.size = self._position
        data, self._piece = self._piece[:size], self._piece[size:]
        return bytes(data)

    def close(self) -> None:
        """Nothing is held open."""

    def _next_piece(self) -> bytes:
        start = self._position
        if start and self.size is None:
            self.size = self._ask("_info")["size"]
        try:
            data: bytes = self._ask("_cat_file", start=start, end=start + PIECE_BYTES)
        except _NoSuchRange:  # an empty object has none, not even from 0
            data = b""
        if start and start + len(data) != min(start + PIECE_BYTES, self.size or 0):
            raise PhotoNotReadable("it changed while it was read")
        return data

    def _ask(self, method: str, **arguments: Any) -> Any:
        return _ask(self._url, self._patience, method, self._path, **arguments)


def entries(url: str, limits: FetchLimits) -> list[Entry]:
    """What lies directly below a prefix, by name as bytes; names of objects and folders, no more.

    A folder without a name is what is behind two slashes.

    Args:
        url: of a prefix, with the slash at its end.

    Raises:
        PhotoError: it cannot be listed.
    """
    patience = Patience(limits, None)
    prefix = rest_of(url)
    below = _below_s3 if scheme_of(url) == "s3" else _below
    found = [
        Entry(name, folder)
        for name, folder in below(url, prefix, patience)
        if (name or folder) and "/" not in name
    ]
    return sorted(found, key=lambda entry: entry.name.encode("utf-8", "surrogateescape"))


def _below_s3(url: str, prefix: str, patience: Patience) -> Iterator[tuple[str, bool]]:
    """Names below a prefix and whether they are folders, a page at a time: s3fs keeps 1.4 KB of each object.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
    """
    bucket, _, key = prefix.partition("/")
    asked: dict[str, Any] = {"Bucket": bucket, "Prefix": key, "Delimiter": "/"}
    while True:
        page = patience.attempt(lambda: _ask(url, patience, "_call_s3", "list_objects_v2", **asked))
        for folder in page.get("CommonPrefixes", []):
            yield folder["Prefix"][len(key) : -1], True
        for item in page.get("Contents", []):
            yield item["Key"][len(key) :], False
        if not (token := page.get("NextContinuationToken")):
            return
        asked["ContinuationToken"] = token


def _below(url: str, prefix: str, patience: Patience) -> Iterator[tuple[str, bool]]:
    """The same through fsspec, all at once."""
    found = patience.attempt(
        lambda: _ask(url, patience, "_ls", prefix.rstrip("/"), limit_s=LISTING_LIMIT_S, detail=True)
    )
    for item in found:
        if item["name"].startswith(prefix):
            yield item["name"].removeprefix(prefix).rstrip("/"), item["type"] == "directory"


def has_below(url: str, limits: FetchLimits) -> bool:
    """Whether something lies below a name.

    Raises:
        PhotoError: nobody can tell.
    """
    patience = Patience(limits, limits.total_s)
    prefix = rest_of(url).rstrip("/") + "/"
    if scheme_of(url) != "s3":
        found = patience.attempt(lambda: _ask(url, patience, "_info", prefix.rstrip("/")))
        return bool(found["type"] == "directory")
    bucket, _, key = prefix.partition("/")
    asked: dict[str, Any] = {"Bucket": bucket, "Prefix": key, "MaxKeys": 1}
    page = patience.attempt(lambda: _ask(url, patience, "_call_s3", "list_objects_v2", **asked))
    return bool(page.get("Contents"))


class _NoSuchRange(Exception):
    """The object ends before."""


def _ask(
    url: str, patience: Patience, method: str, path: str, *, limit_s: float | None = None, **arguments: Any
) -> Any:
    """One request. Raises PhotoError, Transient or _NoSuchRange."""
    from fsspec.asyn import sync

    store = _store(scheme_of(url) or "", patience.limits)
    call: Callable[..., Any] = getattr(store, method)
    try:
        return sync(store.loop, call, path, timeout=limit_s or patience.left_s(), **arguments)
    except PhotoError:
        raise
    except Exception as error:  # clients raise what their libraries raise: botocore, aiohttp, google.auth
        raise _fault(error, patience.limits) from None


def _store(scheme: str, limits: FetchLimits) -> Any:
    """The client of a store, one for the process and these limits."""
    with _opening:
        return _open_store(scheme, limits)


def forget_stores() -> None:
    """The next request finds endpoint and credentials anew."""
    _open_store.cache_clear()


@lru_cache(maxsize=8)
def _open_store(scheme: str, limits: FetchLimits) -> Any:
    extra = STORE_SCHEMES[scheme][1]
    try:
        import fsspec

        if scheme == "s3":
            config = {
                "connect_timeout": limits.timeout_s,
                "read_timeout": limits.timeout_s,
                "retries": {"total_max_attempts": 1},  # asked again here, so that tries are counted once
                "max_pool_connections": limits.parallel + 4,
            }
            store = fsspec.filesystem(
                "s3", skip_instance_cache=True, use_listings_cache=False, config_kwargs=config
            )
            store.retries = 1
            return store
        return fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    except ImportError:
        raise ExtraMissing(f"{scheme}:// addresses need", extra) from None


def _fault(error: Exception, limits: FetchLimits) -> Exception:
    """What went wrong, in our words."""
    status = _status(error)
    kind = type(error).__name__
    if status == _NO_SUCH_RANGE:
        return _NoSuchRange()
    if isinstance(error, FileNotFoundError) or status == 404:
        return PhotoNotFound(NOT_FOUND)
    if isinstance(error, PermissionError) or status in (401, 403) or "Credential" in kind:
        return PhotoNotReadable(ACCESS_DENIED)
    if isinstance(error, TimeoutError) or "Timeout" in kind:
        return Transient(f"no answer in {limits.timeout_s:g} s")
    if status is not None and (status >= 500 or status in (408, 429)):
        return Transient(f"the server said {status}")
    if status is not None:
        return PhotoNotReadable(f"the server said {status}")
    if "EndpointConnection" in kind:
        return Transient("no connection")
    if isinstance(error, OSError) or any(
        word in kind for word in ("Connection", "Payload", "IncompleteRead", "HTTPClient")
    ):
        return Transient("the connection broke off")
    return PhotoNotReadable(f"cannot be read ({kind})")


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error, as botocore and gcsfs keep it."""
    for each in (error, error.__cause__):
        answer = getattr(each, "response", None)
        if isinstance(answer, dict):
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return int(status) if status else None
        code = getattr(each, "code", None)
        if type(each).__name__ == "HttpError" and str(code).isdecimal():  # aiohttp has codes of its own
            return int(str(code))
    return None
