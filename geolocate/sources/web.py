"""Objects at http(s) URLs, read forwards; a connection that breaks is taken up where it broke.

urllib and nothing else: proxies of the environment are respected, there are no cookies and no credentials.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from functools import lru_cache
from typing import IO, Any

from geolocate.errors import PhotoError, PhotoNotFound, PhotoNotReadable
from geolocate.sources.limits import FetchLimits
from geolocate.sources.retrying import NOT_FOUND, Patience, Transient
from geolocate.sources.urls import WEB_SCHEMES
from geolocate.text_safety import printable

USER_AGENT = "geolocate"
#: So much is read at a time, and the clock looked at between.
PIECE_BYTES = 2**18
#: Characters that a URL keeps; all others go as their bytes.
_KEPT = "%/:=&?~+!$,;'@()*[]-._"
_PARTIAL_CONTENT = 206
BROKEN_OFF = "the connection broke off"


class WebStream:
    """The content of one URL, read forwards.

    Attributes:
        size: in bytes, as the server says after the first read; None where it does not.

    Raises:
        PhotoError: at each read, for all that can go wrong.
    """

    def __init__(self, url: str, patience: Patience) -> None:
        self.size: int | None = None
        self._patience = patience
        self._opener = urllib.request.build_opener(
            _Http(patience), _Https(patience, context=_certificates()), _Redirects(patience.limits)
        )
        self._url = _encoded(url)
        self._answer: Any = None
        self._position = 0
        self._version: tuple[str | None, str | None] | None = None
        _check_host(self._url, patience.limits)

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        return self._patience.attempt(lambda: self._read(min(size, PIECE_BYTES)))

    def close(self) -> None:
        """Ends the connection."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _read(self, size: int) -> bytes:
        try:
            if self._answer is None:
                self._answer = self._open()
            data: bytes = self._answer.read1(size)
            if not data and self._answer.length:  # of what the header promised
                raise Transient(BROKEN_OFF)
        except (PhotoError, Transient):
            self.close()
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise _fault(error, self._patience.limits) from None
        self._position += len(data)
        return data

    def _open(self) -> Any:
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if self._position:
            headers["Range"] = f"bytes={self._position}-"
        request = urllib.request.Request(self._url, headers=headers)
        timeout = min(self._patience.limits.timeout_s, self._patience.left_s())
        answer = self._opener.open(request, timeout=timeout)
        try:
            self._check(answer)
        except BaseException:
            answer.close()
            raise
        return answer

    def _check(self, answer: Any) -> None:
        """That this is the content, or the rest of it."""
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise PhotoNotReadable("the server sends it compressed, which was not asked for")
        version = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
        if not self._position:
            self._version, self.size = version, answer.length
            return
        if version != self._version:
            raise PhotoNotReadable("it changed while it was read")
        if answer.status == _PARTIAL_CONTENT:
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {self._position}-"):
                raise PhotoNotReadable("the server sends another part than was asked for")
            return
        left = self._position  # a server that knows no ranges begins again
        while left:
            self._patience.left_s()
            data = answer.read1(min(left, PIECE_BYTES))
            if not data:
                raise Transient(BROKEN_OFF)
            left -= len(data)


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """Whom to trust, as the system says; read once, for it takes longer than most photos."""
    return ssl.create_default_context()


class _Hurried(io.RawIOBase):
    """What comes over a connection; header or content, no wait for it outlasts the patience."""

    def __init__(self, connection: socket.socket, patience: Patience) -> None:
        self._connection, self._patience = connection, patience
        self._bytes = connection.makefile("rb", buffering=0)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """As a file's. Raises TimeoutError, and PhotoNotReadable where no time is left."""
        self._connection.settimeout(min(self._patience.limits.timeout_s, self._patience.left_s()))
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        """Lets go of the connection."""
        self._bytes.close()
        super().close()


class _Hurrying(urllib.request.AbstractHTTPHandler):
    """Opens connections whose answers are read so."""

    def __init__(self, patience: Patience, **options: Any) -> None:
        super().__init__(**options)
        self._patience = patience

    def do_open(self, http_class: Any, req: urllib.request.Request, **options: Any) -> Any:
        """As the standard library's."""

        def answer(connection: socket.socket, *arguments: Any, **named: Any) -> http.client.HTTPResponse:
            read = http.client.HTTPResponse(connection, *arguments, **named)
            read.fp.close()
            read.fp = io.BufferedReader(_Hurried(connection, self._patience))
            return read

        def connect(*arguments: Any, **named: Any) -> Any:
            connection = http_class(*arguments, **named)
            connection.response_class = answer
            return connection

        return super().do_open(connect, req, **options)


class _Http(_Hurrying, urllib.request.HTTPHandler):
    pass


class _Https(_Hurrying, urllib.request.HTTPSHandler):
    pass


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but to no file, to nothing in the clear, and to no host that is not allowed."""

    def __init__(self, limits: FetchLimits) -> None:
        self._limits = limits

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request that follows. Raises PhotoNotReadable where it would lead astray."""
        scheme = urllib.parse.urlsplit(newurl).scheme.lower()
        if scheme not in WEB_SCHEMES:
            raise PhotoNotReadable(f"the server redirects to {_word(scheme)}://, which is refused")
        if req.type == "https" and scheme != "https":
            raise PhotoNotReadable("the server redirects from https to http, which is refused")
        _check_host(newurl, self._limits)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_host(url: str, limits: FetchLimits) -> None:
    """Raises PhotoNotReadable for a host beside those that are allowed."""
    try:
        host = (urllib.parse.urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        raise PhotoNotReadable("the URL makes no sense") from None
    allowed = [name.lower().strip(".") for name in limits.allow_hosts]
    below = not host.replace(".", "").isdigit()  # the end of an address is no domain
    if allowed and not any(host == name or (below and host.endswith(f".{name}")) for name in allowed):
        raise PhotoNotReadable(f"the host {_word(host)} is not among those of --allow-host")


def _encoded(url: str) -> str:
    """A URL as it goes over the wire: the host in ASCII, other characters as their bytes, no fragment.

    Raises:
        PhotoNotReadable: it makes no sense.
    """
    try:
        parts = urllib.parse.urlsplit(url.partition("#")[0])
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode("ascii")
        _ = parts.port
        rest = [
            urllib.parse.quote(part, _KEPT, errors="surrogateescape") for part in (parts.path, parts.query)
        ]
    except ValueError:  # UnicodeError is one
        raise PhotoNotReadable("the URL makes no sense") from None
    return urllib.parse.urlunsplit((parts.scheme, host, *rest, ""))


def _fault(error: Exception, limits: FetchLimits) -> PhotoError | Transient:
    """What went wrong, without the URL."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return _status(error)
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return Transient(f"no answer in {limits.timeout_s:g} s")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return PhotoNotReadable("the certificate of the server is not trusted")
    if isinstance(cause, socket.gaierror):
        return Transient("no server of that name is found")
    if isinstance(cause, ConnectionRefusedError):
        return Transient("the server refuses the connection")
    if isinstance(error, urllib.error.URLError):
        return Transient("no connection")
    if isinstance(error, OSError | http.client.HTTPException) and not isinstance(
        error, http.client.InvalidURL
    ):
        return Transient(BROKEN_OFF)
    return PhotoNotReadable("the URL makes no sense")


def _status(error: urllib.error.HTTPError) -> PhotoError | Transient:
    if error.code in (404, 410):
        return PhotoNotFound(NOT_FOUND if error.code == 404 else "not there any more (410)")
    if error.code in (401, 403, 407):
        return PhotoNotReadable(f"access denied ({error.code})")
    if error.code >= 500 or error.code in (408, 429):
        wait = error.headers.get("Retry-After", "")
        return Transient(f"the server said {error.code}", float(wait) if wait.isdecimal() else 0.0)
    if 300 <= error.code < 400:
        return PhotoNotReadable("the server redirects in a loop, or where it must not")
    return PhotoNotReadable(f"the server said {error.code}")


def _word(text: str) -> str:
    """What a stranger wrote, shortened."""
    return printable(text)[:80] or "nowhere"
