"""Promises of geocoding, kept against a real HTTP server on 127.0.0.1; no test waits."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from geolocate import geocode_http, geocoding
from geolocate.errors import UsageError
from geolocate.geocoding import Namer, open_namer
from geolocate.records import Position
from geolocate.sphere import EARTH_RADIUS_KM

Answer = Callable[[BaseHTTPRequestHandler], None]

AREZZO = Position(43.467448, 11.885127)
NOMINATIM_AREZZO = {
    "lat": "43.4628",
    "lon": "11.8807",
    "display_name": "Arezzo, Toscana, Italia",
    "address": {
        "town": "Arezzo",
        "county": "Arezzo",
        "state": "Tuscany",
        "country": "Italy",
        "country_code": "it",
    },
}


def reply(body: bytes | object, status: int = 200, **headers: str) -> Answer:
    """An answer with JSON, or with bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json; charset=utf-8")
        handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return send


@dataclass
class Service:
    """A geocoding service that answers as told: the last answer is given again and again."""

    answers: list[Answer]
    domain: str = ""
    requests: list[str] = field(default_factory=list)
    user_agents: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_answer(self, handler: BaseHTTPRequestHandler) -> Answer:
        with self.lock:
            self.requests.append(handler.path)
            self.user_agents.append(handler.headers.get("User-Agent", ""))
            return self.answers[min(len(self.requests), len(self.answers)) - 1]


@dataclass
class Time:
    """A clock that only sleeping moves on."""

    now: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def service() -> Iterator[Service]:
    state = Service([reply(NOMINATIM_AREZZO)])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                state.next_answer(self)(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.domain = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


class Session:
    """A namer of the service with its clock and what it told the user."""

    def __init__(self, service: Service, cache: Path, name: str = "nominatim") -> None:
        self.time = Time()
        self.told: list[str] = []
        self.namer: Namer = open_namer(
            name,
            domain=service.domain,
            cache_path=cache,
            warn=self.told.append,
            clock=self.time.clock,
            sleep=self.time.sleep,
        )

    def place(self, latitude: float, longitude: float) -> str | None:
        (named,) = self.namer.names([Position(latitude, longitude)])
        return named.place.name if named is not None and named.place is not None else None


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "geocoding.sqlite3"


@pytest.fixture
def session(service: Service, cache: Path) -> Iterator[Session]:
    session = Session(service, cache)
    yield session
    session.namer.close()


def test_nominatims_answer_becomes_a_place(session: Session) -> None:
    (named,) = session.namer.names([AREZZO])
    assert named is not None
    assert named.place is not None
    place = named.place
    assert (place.name, place.region, place.country, place.country_code) == (
        "Arezzo",
        "Tuscany",
        "Italy",
        "IT",
    )
    assert place.position == Position(43.4628, 11.8807)
    # 0.62 km by hand: 0.00465 degrees north and 0.00443 degrees east at that latitude.
    degree_km = EARTH_RADIUS_KM * 3.141592653589793 / 180
    assert named.distance_km == pytest.approx(
        degree_km * (0.004648**2 + (0.004427 * 0.7257) ** 2) ** 0.5, rel=1e-3
    )
    assert session.namer.attribution == "Place names: © OpenStreetMap contributors, ODbL 1.0"


def test_photons_answer_becomes_a_place(service: Service, cache: Path) -> None:
    properties = {
        "name": "Via Roma 1",
        "type": "house",
        "city": "Arezzo",
        "state": "Tuscany",
        "country": "Italy",
    }
    feature = {
        "geometry": {"coordinates": [11.88, 43.46], "type": "Point"},
        "properties": {**properties, "countrycode": "IT"},
    }
    service.answers = [reply({"features": [feature]})]
    session = Session(service, cache, "photon")
    (named,) = session.namer.names([AREZZO])
    session.namer.close()
    assert named is not None
    assert named.place is not None
    place = named.place
    assert (place.name, place.region, place.country, place.country_code) == (
        "Arezzo",
        "Tuscany",
        "Italy",
        "IT",
    )


def test_an_answer_without_known_fields_gives_its_one_line_address(
    service: Service, session: Session
) -> None:
    service.answers = [reply({"lat": "43.4", "lon": "11.8", "display_name": "Somewhere\nin\tItaly\x1b[31m"})]
    assert session.place(43.4, 11.8) == "Somewhere in Italy [31m"


def test_only_rounded_positions_leave_the_machine(service: Service, session: Session) -> None:
    session.namer.names([AREZZO, Position(-0.004999, -179.99999)])
    sent = [parse_qs(urlsplit(path).query) for path in service.requests]
    assert [(float(query["lat"][0]), float(query["lon"][0])) for query in sent] == [
        (43.47, 11.89),
        (0.0, 180.0),
    ]
    assert not any("467" in path or "885" in path for path in service.requests)


def test_the_program_says_its_own_name(service: Service, session: Session) -> None:
    session.place(1, 2)
    assert service.user_agents[0].startswith("geolocate/")


def test_each_distinct_place_is_asked_once_at_the_services_pace(service: Service, session: Session) -> None:
    session.namer.names([Position(1.001, 2.001), Position(1.002, 2.002), Position(5, 6), Position(7, 8)])
    session.namer.names([Position(1.0, 2.0), Position(7.0, 8.0)])
    assert len(service.requests) == 3
    assert session.time.slept == [pytest.approx(1.0)] * 2


def test_a_later_run_asks_nothing_again(service: Service, session: Session, cache: Path) -> None:
    assert session.place(43.467, 11.885) == "Arezzo"
    session.namer.close()
    later = Session(service, cache)
    assert later.place(43.467, 11.885) == "Arezzo"
    later.namer.close()
    assert len(service.requests) == 1


def test_a_place_without_a_name_is_remembered_as_such(
    service: Service, session: Session, cache: Path
) -> None:
    service.answers = [reply({"error": "Unable to geocode"})]
    assert session.place(0, -30) is None
    session.namer.close()
    later = Session(service, cache)
    assert later.place(0, -30) is None
    later.namer.close()
    assert len(service.requests) == 1


def test_a_busy_service_is_asked_again_after_the_time_it_names(service: Service, session: Session) -> None:
    service.answers = [reply(b"busy", 429, Retry_After="7"), reply(NOMINATIM_AREZZO)]
    assert session.place(43.467, 11.885) == "Arezzo"
    assert session.time.slept == [pytest.approx(7.0)]
    assert session.told == []


def test_a_service_that_stays_busy_leaves_the_place_blank(service: Service, session: Session) -> None:
    service.answers = [reply(b"busy", 429)]
    assert session.place(1, 2) is None
    assert len(service.requests) == 1 + geocoding.BUSY_RETRIES
    assert session.time.slept == [pytest.approx(geocoding.DEFAULT_RETRY_AFTER_S)] * geocoding.BUSY_RETRIES


def test_a_service_that_wants_an_hour_is_not_asked_again(service: Service, session: Session) -> None:
    service.answers = [reply(b"busy", 429, Retry_After="3600"), reply(NOMINATIM_AREZZO)]
    assert session.place(1, 2) is None
    assert session.place(3, 4) is None
    assert len(service.requests) == 1
    assert session.time.slept == []
    assert len(session.told) == 1
    assert "3600 s" in session.told[0]


@pytest.mark.parametrize("status", [401, 403, 402])
def test_a_refusal_ends_the_asking_and_is_said_once(service: Service, session: Session, status: int) -> None:
    service.answers = [reply(b"no", status), reply(NOMINATIM_AREZZO)]
    assert [session.place(row, row) for row in range(5)] == [None] * 5
    assert len(service.requests) == 1
    assert len(session.told) == 1
    assert "nominatim" in session.told[0]


def test_a_service_that_fails_again_and_again_is_left_alone(service: Service, session: Session) -> None:
    service.answers = [reply(b"oops", 500)]
    assert [session.place(row, row) for row in range(20)] == [None] * 20
    assert len(service.requests) == geocoding.MAX_FAILURES
    assert len(session.told) == 1


def test_a_silent_service_gives_a_blank_place_in_time(
    service: Service, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    service.answers = [lambda handler: (released.wait(30), None)[1], reply(NOMINATIM_AREZZO)]
    monkeypatch.setattr(geocoding, "TIMEOUT_S", 0.2)
    start = time.monotonic()
    assert session.place(1, 2) is None
    assert time.monotonic() - start < 5
    released.set()
    assert session.place(3, 4) == "Arezzo"
    assert session.told == []


def test_an_answer_that_drips_is_cut_off(
    service: Service, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(200):
            handler.wfile.write(b" ")
            time.sleep(0.05)

    service.answers = [drip]
    monkeypatch.setattr(geocoding, "TIMEOUT_S", 0.3)
    start = time.monotonic()
    assert session.place(1, 2) is None
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html><body>Sign in to the hotel</body></html>",
        b"",
        b"[" * 100_000,
        b'"text"',
        b"[]",
        b"7",
        b'{"lat": "north", "lon": "11"}',
        b'{"lat": "NaN", "lon": "11", "display_name": "x"}',
        b'{"lat": "123", "lon": "11", "display_name": "x"}',
        b'{"lat": "1", "lon": "1", "display_name": 7, "address": {"city": ["x"], "country": null}}',
        b'{"error": {"code": 7}}',
        b'{"lat": 1' + b"0" * 400 + b', "lon": "11", "display_name": "x"}',
        b"\xff\xfe\xfd",
    ],
)
def test_what_is_no_answer_leaves_the_place_blank(service: Service, session: Session, body: bytes) -> None:
    service.answers = [reply(body), reply(NOMINATIM_AREZZO)]
    assert session.place(1, 2) is None
    assert session.place(3, 4) == "Arezzo"
    assert session.told == []


def test_fifty_megabytes_of_json_are_not_read(service: Service, session: Session) -> None:
    sent = 0

    def flood(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.end_headers()
        for _ in range(800):
            handler.wfile.write(b"[" + b"7," * 32_768)
            sent += 2**16

    service.answers = [flood]
    session.place(3, 4)  # imports and buffers of a first request are not what is measured
    tracemalloc.start()
    assert session.place(1, 2) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * geocode_http.ANSWER_MAX_BYTES
    assert sent < 20 * 2**20


def test_no_server_at_all_leaves_places_blank(cache: Path) -> None:
    told: list[str] = []
    namer = open_namer(
        "nominatim",
        domain="http://127.0.0.1:9",
        cache_path=cache,
        warn=told.append,
        sleep=lambda seconds: None,
    )
    assert namer.names([Position(row, row) for row in range(20)]) == [None] * 20
    namer.close()
    assert len(told) == 1


def test_positions_that_are_none_are_refused_before_anything_is_asked(
    service: Service, session: Session
) -> None:
    with pytest.raises(ValueError, match="outside latitude"):
        session.namer.names([AREZZO, Position(91, 0)])
    assert service.requests == []


def test_without_a_place_for_the_cache_names_still_come(service: Service, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    session = Session(service, tmp_path / "file" / "geocoding.sqlite3")
    assert session.place(1, 2) == "Arezzo"
    assert len(session.told) == 1


def test_one_name_offline_and_no_name_with_none() -> None:
    (named,) = open_namer("offline").names([AREZZO])
    assert named is not None
    assert named.place is not None
    assert named.place.name == "Arezzo"
    assert open_namer("offline").attribution == "Place names: GeoNames, CC BY 4.0"
    assert open_namer("none").names([AREZZO, AREZZO]) == [None, None]
    assert open_namer("none").attribution is None


def test_offline_and_none_open_no_socket_and_leave_geopy_alone() -> None:
    code = """
import socket, sys
class NoSocket(socket.socket):
    def __init__(self, *arguments, **options):
        raise AssertionError("a socket was opened")
socket.socket = NoSocket
from geolocate.geocoding import open_namer
from geolocate.records import Position
for name in ("offline", "none"):
    open_namer(name).names([Position(43.4, 11.8)])
print("geopy" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nominatum", {}, "did you mean 'nominatim'"),
        ("offlin", {}, "did you mean 'offline'"),
        ("zzzzzz", {}, "known: offline, none, "),
        ("databc", {}, "not names of positions"),
        ("opencage", {}, "--geocoder-key"),
        ("geonames", {}, "user name: --geocoder-key"),
        ("nominatim", {"key": "secret"}, "takes no key"),
        ("pelias", {}, "--geocoder-domain"),
        ("nominatim", {"domain": "gopher://example.org"}, "cannot be used"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(
    name: str, options: dict[str, str], message: str, cache: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        open_namer(name, cache_path=cache, **options)  # type: ignore[arg-type]
    assert not cache.exists()


def test_every_service_of_geopy_can_be_opened_or_says_what_it_lacks(cache: Path) -> None:
    from geopy.geocoders import SERVICE_TO_GEOCODER

    opened = set()
    for name in SERVICE_TO_GEOCODER:
        for key in (None, "key"):
            try:
                open_namer(name, key=key, cache_path=cache).close()
                opened.add(name)
            except UsageError:
                pass
    assert SERVICE_TO_GEOCODER.keys() - opened == {"databc", "geolake", "liveaddress", "pelias"}


def test_keys_are_not_written_into_the_cache(service: Service, cache: Path) -> None:
    namer = open_namer(
        "opencage", key="sEcReT", domain=service.domain, cache_path=cache, sleep=lambda seconds: None
    )
    namer.names([AREZZO])
    namer.close()
    assert "sEcReT" in service.requests[0]
    assert not any(b"sEcReT" in file.read_bytes() for file in cache.parent.iterdir())
