"""Servers on loopback: one whose answers a test writes, and an S3 store with faults before it."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers by the first rule whose path is the beginning of the one that is asked for."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """See the class."""
        server: Web = self.server.web  # type: ignore[attr-defined]
        with server.lock:
            server.asked.append(f"{self.command} {self.path}")
            server.headers.append(dict(self.headers.items()))
        for path, rule in list(server.rules.items()):
            if self.path.startswith(path):
                with suppress(ConnectionError):
                    rule(self)
                return
        self.say(404)

    do_GET = do_HEAD = do_PUT = do_POST = answer

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang_up(self) -> None:
        """Ends the connection, whatever was promised."""
        self.close_connection = True
        self.wfile.flush()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class Web:
    """A server on loopback.

    Attributes:
        rules: what answers, by the beginning of the path.
        asked: the requests so far.
    """

    def __init__(self) -> None:
        self.rules: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.web = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def gives(self, path: str, body: bytes, **headers: str) -> str:
        """Has a path answered with some content; returns its URL."""
        self.rules[path] = lambda handler: handler.say(200, body, **headers)
        return self.url + path

    def wrap(self, context: ssl.SSLContext) -> None:
        """Speaks TLS from here on."""
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )

    def close(self) -> None:
        """Stops it."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def once(first: Answer, then: Answer) -> Answer:
    """One answer the first time, another from then on."""
    return in_turn([first], then)


def in_turn(answers: list[Answer], then: Answer) -> Answer:
    """Some answers, each once, then another."""
    left = list(answers)
    return lambda handler: (left.pop(0) if left else then)(handler)


def silent(handler: Handler) -> None:
    """No answer until the server stops."""
    handler.server.web.stopping.wait(20)  # type: ignore[attr-defined]
    handler.hang_up()


def broken_off(body: bytes, after: int) -> Answer:
    """The whole length is promised, and the connection ends before."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:after])
        handler.hang_up()

    return answer


def dribbled(body: bytes, pause_s: float) -> Answer:
    """A byte at a time."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for byte in body:
            if handler.server.web.stopping.is_set():  # type: ignore[attr-defined]
                return
            handler.wfile.write(bytes([byte]))
            time.sleep(pause_s)

    return answer


def dribbled_header(pause_s: float) -> Answer:
    """A header without end, a byte at a time; for ten seconds."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.flush_headers()
        for _ in range(round(10 / pause_s)):
            if handler.server.web.stopping.is_set():  # type: ignore[attr-defined]
                break
            handler.wfile.write(b"x")
            time.sleep(pause_s)
        handler.hang_up()

    return answer


def with_ranges(body: bytes) -> Answer:
    """Content of which parts can be asked for."""

    def answer(handler: Handler) -> None:
        start = int(handler.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
        extent = {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        handler.say(206 if start else 200, body[start:], ETag='"1"', **extent)

    return answer


def redirected(target: str) -> Answer:
    """Leads somewhere else."""
    return lambda handler: handler.say(302, Location=target)


@pytest.fixture
def web() -> Iterator[Web]:
    """A server whose answers the test writes."""
    server = Web()
    yield server
    server.close()


def passed_on(port: int) -> Answer:
    """What another server on this machine answers."""

    def answer(handler: Handler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request(handler.command, handler.path, body, dict(handler.headers.items()))
            reply = connection.getresponse()
            content = reply.read()
            handler.send_response(reply.status)
            for name, value in reply.getheaders():
                if name.lower() not in (
                    "connection",
                    "transfer-encoding",
                    "content-length",
                    "date",
                    "server",
                ):
                    handler.send_header(name, value)
            length = reply.getheader("Content-Length") if handler.command == "HEAD" else str(len(content))
            handler.send_header("Content-Length", length or "0")
            handler.end_headers()
            handler.wfile.write(content)
        finally:
            connection.close()

    return answer


class Bucket:
    """A bucket of an S3 server on loopback, reached through one whose answers the test can change.

    Attributes:
        front: the server before it: rules of paths (`/bucket/key`) come before the store.
        client: boto3's, past the front.
    """

    name = "album"

    def __init__(self, front: Web, port: int) -> None:
        import boto3

        self.front = front
        self.client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")
        self.client.create_bucket(Bucket=self.name)
        front.rules["/"] = passed_on(port)

    def put(self, key: str, body: bytes) -> str:
        """Puts an object; returns its URL."""
        self.client.put_object(Bucket=self.name, Key=key, Body=body)
        return f"s3://{self.name}/{key}"

    def break_at(self, key: str, rule: Answer) -> None:
        """Has an object answered by a rule."""
        path = f"/{self.name}/{key}"
        others = {name: other for name, other in self.front.rules.items() if name != path}
        self.front.rules = {path: rule} | others


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """The port of moto's S3 server."""
    server_module = pytest.importorskip("moto.server", reason="needs moto[server], of the extra test")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


@pytest.fixture
def bucket(web: Web, s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket; the environment leads to it and has credentials for it."""
    pytest.importorskip("s3fs", reason="needs s3fs, of the extra remote")
    from geolocate.sources import object_store

    for name, value in {
        "AWS_ENDPOINT_URL": web.url,
        "AWS_ACCESS_KEY_ID": "a-key-id",
        "AWS_SECRET_ACCESS_KEY": "a-s3cret-key",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)
    reset = urllib.request.Request(f"http://127.0.0.1:{s3_port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()
    object_store.forget_stores()
    yield Bucket(web, s3_port)
    object_store.forget_stores()
