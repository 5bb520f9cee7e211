"""How geopy talks to a geocoding service here: with limits on how much is read, and for how long."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from typing import IO, Any

from geopy.adapters import AdapterHTTPError, BaseSyncAdapter
from geopy.exc import GeocoderParseError, GeocoderServiceError, GeocoderTimedOut, GeocoderUnavailable

#: An answer is a few kilobytes; what is longer is no answer, and is not read further.
ANSWER_MAX_BYTES = 2**20
_CHUNK_BYTES = 2**16


class BoundedAdapter(BaseSyncAdapter):  # type: ignore[misc]
    """HTTP over urllib that reads at most ANSWER_MAX_BYTES, and no longer than the time-out.

    The system's proxies are respected. No cookies, no compression, and a new connection each time, since
    services are asked once a second at most. Of an error page nothing but its status and headers is read.
    """

    def __init__(self, *, proxies: Any, ssl_context: Any) -> None:
        super().__init__(proxies=proxies, ssl_context=ssl_context)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=ssl_context)
        )

    def get_json(self, url: str, *, timeout: float, headers: dict[str, str]) -> Any:
        """The answer as JSON.

        Raises:
            GeocoderParseError: it is no JSON, or too long.
            GeocoderTimedOut, GeocoderUnavailable, GeocoderServiceError, AdapterHTTPError: as get_text.
        """
        text = self.get_text(url, timeout=timeout, headers=headers)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise GeocoderParseError("the answer is no JSON") from error

    def get_text(self, url: str, *, timeout: float, headers: dict[str, str]) -> str:
        """The answer as text.

        Raises:
            GeocoderTimedOut: nothing, or not everything, came in time (seconds, in all).
            GeocoderUnavailable: no connection.
            GeocoderParseError: too long, or not in its encoding.
            AdapterHTTPError: the service answered with an error status.
        """
        deadline = time.monotonic() + timeout
        request = urllib.request.Request(url, headers=headers)
        try:
            with self._opener.open(request, timeout=timeout) as page:
                content = _read(page, deadline)
                encoding = page.headers.get_content_charset() or "utf-8"
        except urllib.error.HTTPError as error:
            with error:
                fields = {name.lower(): value for name, value in error.headers.items()}
            raise AdapterHTTPError(
                f"HTTP status {error.code}", status_code=error.code, headers=fields, text=None
            ) from error
        except TimeoutError as error:
            raise GeocoderTimedOut("no answer in time") from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise GeocoderTimedOut("no connection in time") from error
            if isinstance(error.reason, ConnectionError | socket.gaierror | OSError):
                raise GeocoderUnavailable("no connection") from error
            raise GeocoderServiceError("no answer") from error
        except (OSError, http.client.HTTPException) as error:
            raise GeocoderServiceError("the connection broke") from error
        try:
            return content.decode(encoding)
        except (ValueError, LookupError) as error:
            raise GeocoderParseError("the answer is not in its encoding") from error


def _read(page: IO[bytes], deadline: float) -> bytes:
    """The whole body, within the limits."""
    content = bytearray()
    while chunk := page.read1(_CHUNK_BYTES):  # type: ignore[attr-defined]
        content += chunk
        if len(content) > ANSWER_MAX_BYTES:
            raise GeocoderParseError(f"the answer is longer than {ANSWER_MAX_BYTES} bytes")
        if time.monotonic() > deadline:
            raise GeocoderTimedOut("the answer took too long")
    return bytes(content)
