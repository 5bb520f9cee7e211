"""Downloads of files whose size and SHA-256 are known beforehand, taken up again where a run was cut off.

The hash decides whether a file is taken, wherever it came from; so mirrors, proxies of the environment and
redirects are followed, but none out of HTTPS, where everyone on the way could see what is asked for.
"""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from geolocate.bundle import sha256_of
from geolocate.errors import OutputError, WeightsError
from geolocate.private_files import make_private_file, make_private_folder
from geolocate.published import PinnedFile

CHUNK_BYTES = 2**20
TIMEOUT_S = 60.0
#: A connection that drops is taken up again so many times in a row, unless something arrived in between.
RETRIES = 4
RETRY_WAIT_S = 2.0
USER_AGENT = "geolocate"
PARTIAL_SUFFIX = ".partial"

PARTIAL_CONTENT, NO_SUCH_RANGE = 206, 416

#: Where a file may come from; plain HTTP only where the user names such a mirror.
SCHEMES = ("https", "http")

Open = Callable[..., Any]
Advance = Callable[[int], object]


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from HTTPS to anything else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request that follows; raises WeightsError where it would be in the clear."""
        scheme = urllib.parse.urlsplit(newurl).scheme.lower()
        if scheme not in SCHEMES or (req.type == "https" and scheme != "https"):
            raise WeightsError(
                f"{req.full_url}: the server redirects to {scheme or 'nowhere'}, which is refused"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_safely(request: urllib.request.Request, *, timeout: float) -> Any:
    """As `urllib.request.urlopen`, with :class:`SafeRedirects`."""
    return urllib.request.build_opener(SafeRedirects).open(request, timeout=timeout)


def missing_bytes(file: PinnedFile, folder: Path) -> int:
    """How much of a file :func:`fetch` will fetch; reads all of a file that is there.

    Raises:
        OutputError: what is there cannot be read.
    """
    try:
        return 0 if _is_whole(folder / file.name, file) else file.size - _begun(_partial(folder, file), file)
    except OSError as error:
        raise OutputError(f"{folder} cannot be read: {error.strerror or error}") from error


def _partial(folder: Path, file: PinnedFile) -> Path:
    return folder / (file.name + PARTIAL_SUFFIX)


def _is_whole(path: Path, file: PinnedFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size and sha256_of(path) == file.sha256


def _begun(partial: Path, file: PinnedFile) -> int:
    """How much an earlier run brought that can be gone on with."""
    size = partial.stat().st_size if partial.is_file() else 0
    return size if size <= file.size else 0


def fetch(
    file: PinnedFile,
    folder: Path,
    *,
    advance: Advance = lambda count: None,
    open_url: Open = open_safely,
    wait: Callable[[float], None] = time.sleep,
) -> Path:
    """Brings a file into a folder, unless it is there; what an earlier run brought is not fetched again.

    Args:
        advance: is told how many bytes arrived since it was last called; what is there already first.
        open_url: as `urllib.request.urlopen`.
        wait: takes seconds.

    Raises:
        WeightsError: the server cannot be reached or refuses, or what came is another file, twice where it
            was pieced together from two runs.
        OutputError: the folder cannot be written.
    """
    if urllib.parse.urlsplit(file.url).scheme.lower() not in SCHEMES:
        raise WeightsError(f"{file.url} is no address that files are fetched from: {' or '.join(SCHEMES)}")
    target, partial = folder / file.name, _partial(folder, file)
    try:
        make_private_folder(folder)
        if _is_whole(target, file):
            advance(file.size)
            return target
        present = _begun(partial, file)
        if not present:
            partial.unlink(missing_ok=True)
        advance(present)
        make_private_file(partial)
        _bring(file, partial, advance, open_url, wait)
        if sha256_of(partial) != file.sha256 and present:  # the file there is another than the one begun here
            partial.unlink()
            advance(-file.size)
            make_private_file(partial)
            _bring(file, partial, advance, open_url, wait)
        if sha256_of(partial) != file.sha256:
            partial.unlink()
            raise WeightsError(f"{file.url} is not the file it has to be: its SHA-256 is another one")
        os.replace(partial, target)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error
    return target


def _bring(
    file: PinnedFile, partial: Path, advance: Advance, open_url: Open, wait: Callable[[float], None]
) -> None:
    """Appends to `partial` until it has the size of the file."""
    failures = arrived_in_all = 0
    while (present := partial.stat().st_size if partial.is_file() else 0) < file.size:
        try:
            _bring_some(file, partial, present, advance, open_url)
            problem: Exception | str = "the connection was closed early"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == NO_SUCH_RANGE and present:
                os.truncate(partial, 0)  # a new file would be open to others by the umask
                advance(-present)
                problem = error
            elif error.code < 500 and error.code != 429:
                raise WeightsError(f"{file.url}: the server says {error.code} {error.reason}") from error
            else:
                problem = error
        except _NetworkError as error:
            problem = error.cause
        arrived = (partial.stat().st_size if partial.is_file() else 0) - present
        arrived_in_all += max(arrived, 0)
        failures = 0 if arrived > 0 else failures + 1
        # Without network from the start there is nothing to wait for; later it may come back.
        offline = not arrived_in_all and _is_offline(problem)
        if failures > RETRIES or offline:
            reason = getattr(problem, "reason", None) or problem
            raise WeightsError(f"{file.url} cannot be fetched: {getattr(reason, 'strerror', None) or reason}")
        if failures:
            wait(RETRY_WAIT_S * failures)


def _goes_on(response: Any, present: int) -> bool:
    """Whether an answer begins where the file here ends."""
    if response.status != PARTIAL_CONTENT:
        return False
    extent = response.headers.get("Content-Range", "")
    if not extent.startswith(f"bytes {present}-"):
        raise _NetworkError(OSError(f"the server sends another part than asked for: {ascii(extent)[:60]}"))
    return True


def _is_offline(problem: Exception | str) -> bool:
    return isinstance(problem, urllib.error.URLError) and not isinstance(problem, urllib.error.HTTPError)


class _NetworkError(Exception):
    """What went wrong on the network's side, apart from what goes wrong on the disk's."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _bring_some(file: PinnedFile, partial: Path, present: int, advance: Advance, open_url: Open) -> None:
    """One connection's worth."""
    headers = {"User-Agent": USER_AGENT}
    if present:
        headers["Range"] = f"bytes={present}-"
    try:
        response = open_url(urllib.request.Request(file.url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _NetworkError(error) from error
    with response:
        if present and not _goes_on(response, present):  # the server starts over, so do we
            advance(-present)
            present = 0
        with partial.open("ab" if present else "wb") as output:
            left = file.size - present
            while left:
                try:
                    chunk = response.read(min(left, CHUNK_BYTES))
                except (OSError, http.client.HTTPException) as error:
                    raise _NetworkError(error) from error
                if not chunk:
                    return
                output.write(chunk)
                left -= len(chunk)
                advance(len(chunk))
