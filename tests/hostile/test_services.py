"""A geocoding service that is busy, silent, in the way or mad; and the run that needs no network at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hostile.program import row_of, run

from geolocate import geocoding

Answer = Callable[[BaseHTTPRequestHandler], None]

FOUND = json.dumps({"lat": "1", "lon": "2", "display_name": "Here", "address": {"town": "Here"}}).encode()


def reply(body: bytes, status: int = 200, **headers: str) -> Answer:
    """One whole answer."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return send


def silence(handler: BaseHTTPRequestHandler) -> None:
    """No answer until the other side has hung up."""
    handler.connection.settimeout(30)
    handler.connection.recv(1)


def flood(handler: BaseHTTPRequestHandler) -> None:
    """50 MB of JSON that has no end."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(800):
        handler.wfile.write(b"[" + b"7," * 32_768)


@pytest.fixture
def answers() -> list[Answer]:
    """What the service says, in order; the last is said again and again."""
    return []


@pytest.fixture
def locate(
    answers: list[Answer], good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Result]]:
    """Runs the program with a service on this machine; waiting takes no time, and is noted in `slept`."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            try:
                answers[min(len(asked), len(answers)) - 1](self)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    slept: list[float] = []
    now = [1000.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    defaults = dict(geocoding.open_namer.__kwdefaults__)
    monkeypatch.setattr(
        geocoding.open_namer, "__kwdefaults__", {**defaults, "sleep": sleep, "clock": lambda: now[0]}
    )
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def run_it(*photos: Path) -> Result:
        domain = f"http://127.0.0.1:{server.server_address[1]}"
        words = ["--geocoder", "nominatim", "--geocoder-domain", domain]
        result = run(*(photos or [good]), *words, XDG_CACHE_HOME=str(tmp_path / "cache"))
        result.asked, result.slept = len(asked), slept  # type: ignore[attr-defined]
        return result

    yield run_it
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.row(44)
def test_a_busy_service_is_asked_again_after_the_time_that_it_names(
    answers: list[Answer], locate: Callable[..., Any]
) -> None:
    answers += [reply(b"", 429, Retry_After="7"), reply(FOUND)]
    done = locate()
    assert row_of(done)["place"] == "Here"
    assert done.slept == [pytest.approx(7)]


@pytest.mark.row(44)
def test_a_service_that_does_not_answer_in_time_leaves_the_place_blank(
    answers: list[Answer], locate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers += [silence]
    monkeypatch.setattr(geocoding, "TIMEOUT_S", 0.2)
    begun = time.monotonic()
    row = row_of(locate())
    assert (bool(row["latitude"]), row["place"], row["country"]) == (True, "", "")
    assert time.monotonic() - begun < 10


@pytest.mark.row(44)
@pytest.mark.parametrize("status", [401, 403])
def test_a_service_that_refuses_is_not_asked_again(
    answers: list[Answer], locate: Callable[..., Any], status: int, drawn_photos: Path
) -> None:
    answers += [reply(b"no", status), reply(FOUND)]
    done = locate(drawn_photos)
    assert done.exit_code == 0
    assert done.asked == 1
    assert "Here" not in done.stdout
    assert "nominatim" in done.stderr


@pytest.mark.row(44)
@pytest.mark.parametrize(
    "answer",
    [
        reply(b"<!DOCTYPE html><html><body>Sign in to the hotel's network</body></html>"),
        reply(b"[" * 100_000),
        reply(b'{"lat": "NaN", "lon": "1", "display_name": "x"}'),
        flood,
    ],
    ids=["HTML", "deep", "NaN", "50 MB"],
)
def test_what_is_no_answer_leaves_the_place_blank(
    answers: list[Answer], locate: Callable[..., Any], answer: Answer
) -> None:
    answers += [answer]
    row = row_of(locate())
    assert (bool(row["latitude"]), row["place"]) == (True, "")


@pytest.mark.row(45)
def test_the_default_run_opens_no_socket_at_all(good: Path, tree: Path) -> None:
    code = (
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event.startswith('socket.') or event in ('urllib.Request', 'http.client.connect'):\n"
        "        sys.stderr.write(f'SOCKET {event}\\n')\n"
        "sys.addaudithook(watch)\n"
        "import geolocate.__main__ as program\n"
        "program.main()\n"
    )
    words = [good, "--album", "-k", "3", "--csv", tree / "out.csv", "--model", "starter"]
    environment = {**os.environ, "XDG_CACHE_HOME": os.fspath(tree)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "SOCKET" not in done.stderr
    assert (tree / "out.csv").exists()
