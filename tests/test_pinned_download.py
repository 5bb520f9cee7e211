"""Downloads: what was fetched is not fetched again, and only the very file is taken."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from geolocate.errors import OutputError, WeightsError
from geolocate.pinned_download import PARTIAL_SUFFIX, SafeRedirects, fetch, missing_bytes
from geolocate.published import GEOCLIP, HUB_ENDPOINT_VARIABLE, PinnedFile

CONTENT = bytes(range(256)) * 20_000


class Server(ThreadingHTTPServer):
    """Serves CONTENT on this machine; remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.cut_after: list[int] = []
        self.refuse: list[int] = []
        self.ranges = True
        self.redirect: str | None = None
        self.shift = 0
        self.more = b""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.asked.append(wanted)
        if self.server.refuse:
            self.send_error(self.server.refuse.pop(0))
            return
        start = int(wanted[6:-1]) if wanted and self.server.ranges else 0
        body = CONTENT[start:]
        if self.server.redirect is not None:
            self.send_response(302)
            self.send_header("Location", self.server.redirect)
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            begin = start + self.server.shift
            self.send_header("Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = self.server.cut_after.pop(0) if self.server.cut_after else len(body)
        self.wfile.write(body[:cut])

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def file(server: Server) -> PinnedFile:
    url = f"http://127.0.0.1:{server.server_address[1]}/weights"
    return PinnedFile("weights", url, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def no_wait(seconds: float) -> None:
    """Time flies."""


def test_a_file_is_fetched_once(server: Server, file: PinnedFile, tmp_path: Path) -> None:
    told: list[int] = []
    folder = tmp_path / "cache"
    assert missing_bytes(file, folder) == len(CONTENT)
    path = fetch(file, folder, advance=told.append)
    assert path.read_bytes() == CONTENT
    assert sum(told) == len(CONTENT)
    assert fetch(file, folder) == path
    assert server.asked == [None]
    assert [entry.name for entry in folder.iterdir()] == ["weights"]
    assert missing_bytes(file, folder) == 0


def test_a_later_run_goes_on_where_the_earlier_was_cut_off(
    server: Server, file: PinnedFile, tmp_path: Path
) -> None:
    (tmp_path / ("weights" + PARTIAL_SUFFIX)).write_bytes(CONTENT[:1_000_000])
    assert missing_bytes(file, tmp_path) == len(CONTENT) - 1_000_000
    told: list[int] = []
    assert fetch(file, tmp_path, advance=told.append).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000000-"]
    assert told[0] == 1_000_000
    assert sum(told) == len(CONTENT)


def test_a_dropped_connection_is_taken_up_again(server: Server, file: PinnedFile, tmp_path: Path) -> None:
    server.cut_after = [100_000, 50_000]
    assert fetch(file, tmp_path, wait=no_wait).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_a_server_that_starts_over_is_followed(server: Server, file: PinnedFile, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / ("weights" + PARTIAL_SUFFIX)).write_bytes(b"of another day")
    told: list[int] = []
    assert fetch(file, tmp_path, advance=told.append).read_bytes() == CONTENT
    assert sum(told) == len(CONTENT)


def test_a_busy_server_is_asked_again_a_refusing_one_is_not(
    server: Server, file: PinnedFile, tmp_path: Path
) -> None:
    server.refuse = [503, 429]
    waited: list[float] = []
    fetch(file, tmp_path / "a", wait=waited.append)
    assert waited == sorted(waited)
    assert len(waited) == 2
    server.refuse = [404]
    with pytest.raises(WeightsError, match="404"):
        fetch(file, tmp_path / "b", wait=no_wait)
    assert len(server.asked) == 4


def test_a_server_that_never_recovers_is_given_up(server: Server, file: PinnedFile, tmp_path: Path) -> None:
    server.refuse = [500] * 100
    with pytest.raises(WeightsError, match=r"cannot be fetched: .*Internal Server Error"):
        fetch(file, tmp_path, wait=no_wait)
    assert len(server.asked) == 5


def test_another_file_is_refused_and_not_kept(server: Server, file: PinnedFile, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="SHA-256"):
        fetch(replace(file, sha256="0" * 64), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("begun", [b"of another day" * 1000, CONTENT[:1000] + b"x" + CONTENT[1001:5000]])
def test_what_was_begun_with_another_file_is_thrown_away_and_fetched_whole_once(
    server: Server, file: PinnedFile, tmp_path: Path, begun: bytes
) -> None:
    (tmp_path / ("weights" + PARTIAL_SUFFIX)).write_bytes(begun)
    told: list[int] = []
    assert fetch(file, tmp_path, advance=told.append).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(begun)}-", None]
    assert sum(told) == len(CONTENT)
    (tmp_path / "weights").rename(tmp_path / ("weights" + PARTIAL_SUFFIX))
    with pytest.raises(WeightsError, match="SHA-256"):
        fetch(replace(file, sha256="0" * 64), tmp_path)
    assert len(server.asked) == 3
    assert list(tmp_path.iterdir()) == []


def test_another_part_than_asked_for_is_not_appended(
    server: Server, file: PinnedFile, tmp_path: Path
) -> None:
    server.shift = 1
    partial = tmp_path / ("weights" + PARTIAL_SUFFIX)
    partial.write_bytes(CONTENT[:1000])
    with pytest.raises(WeightsError, match="another part than asked for"):
        fetch(file, tmp_path, wait=no_wait)
    assert partial.read_bytes() == CONTENT[:1000]


def test_a_shorter_and_a_longer_file_are_refused(server: Server, file: PinnedFile, tmp_path: Path) -> None:
    server.more = b"\0" * 2_000_000
    assert fetch(file, tmp_path / "a").stat().st_size == len(CONTENT)  # the rest is never read
    longer = replace(file, size=len(CONTENT) + 3_000_000)
    with pytest.raises(WeightsError, match="cannot be fetched"):
        fetch(longer, tmp_path / "b", wait=no_wait)
    assert not (tmp_path / "b" / "weights").exists()


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "//"])
def test_a_redirect_to_anything_but_the_web_is_refused(
    server: Server, file: PinnedFile, tmp_path: Path, target: str
) -> None:
    server.redirect = target
    with pytest.raises(WeightsError):
        fetch(file, tmp_path, wait=no_wait)
    assert not (tmp_path / "weights").exists()


def test_a_redirect_out_of_https_is_refused_and_within_it_followed() -> None:
    redirects, headers = SafeRedirects(), HTTPMessage()
    asked = urllib.request.Request("https://hub.example/weights")
    body = io.BytesIO()
    followed = redirects.redirect_request(asked, body, 302, "Found", headers, "https://cdn.example/w")
    assert followed is not None
    assert followed.full_url == "https://cdn.example/w"
    with pytest.raises(WeightsError, match="redirects to http, which is refused"):
        redirects.redirect_request(asked, body, 302, "Found", headers, "http://cdn.example/w")


def test_an_address_that_is_not_on_the_web_is_refused(file: PinnedFile, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    with pytest.raises(WeightsError, match="https or http"):
        fetch(replace(file, url=(tmp_path / "source").as_uri()), tmp_path / "cache")


def test_the_proxy_of_the_environment_is_asked_and_the_hash_holds_there_too(
    server: Server, file: PinnedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_address[1]}")
    far = replace(file, url="http://hub.example/weights")
    assert fetch(far, tmp_path / "a").read_bytes() == CONTENT
    with pytest.raises(WeightsError, match="SHA-256"):
        fetch(replace(far, sha256="0" * 64), tmp_path / "b")


def test_what_is_fetched_is_readable_by_its_user_alone(file: PinnedFile, tmp_path: Path) -> None:
    path = fetch(file, tmp_path / "cache")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_is_begun_again_is_readable_by_its_user_alone(
    server: Server, file: PinnedFile, tmp_path: Path
) -> None:
    (tmp_path / ("weights" + PARTIAL_SUFFIX)).write_bytes(b"of another day")
    server.refuse = [416]
    before = os.umask(0)
    try:
        path = fetch(file, tmp_path, wait=no_wait)
    finally:
        os.umask(before)
    assert server.asked == ["bytes=14-", None]
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("there", [None, b"short", b"x" * len(CONTENT), CONTENT + b"x", CONTENT])
@pytest.mark.parametrize("begun", [None, CONTENT[:1000], CONTENT, CONTENT + b"x"])
def test_what_is_said_to_be_missing_is_what_is_fetched(
    file: PinnedFile, tmp_path: Path, there: bytes | None, begun: bytes | None
) -> None:
    for name, content in (("weights", there), ("weights" + PARTIAL_SUFFIX, begun)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
    missing, told = missing_bytes(file, tmp_path), list[int]()
    assert fetch(file, tmp_path, advance=told.append).read_bytes() == CONTENT
    assert missing == len(CONTENT) - told[0] == sum(told[1:])


def test_no_more_is_read_than_the_file_has(server: Server, file: PinnedFile, tmp_path: Path) -> None:
    short = replace(file, size=1000, sha256=hashlib.sha256(CONTENT[:1000]).hexdigest())
    assert fetch(short, tmp_path).read_bytes() == CONTENT[:1000]


def test_without_network_it_fails_at_once(tmp_path: Path) -> None:
    nobody = PinnedFile("weights", "http://127.0.0.1:9/weights", 10, "0" * 64)
    waited: list[float] = []
    with pytest.raises(WeightsError, match="cannot be fetched: Connection refused"):
        fetch(nobody, tmp_path, wait=waited.append)
    assert waited == []


def test_a_folder_that_cannot_be_made_is_a_message(file: PinnedFile, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        fetch(file, tmp_path / "file" / "cache")


def test_published_weights_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HUB_ENDPOINT_VARIABLE, raising=False)
    for file in GEOCLIP.files:
        assert file.url.startswith("https://huggingface.co/")
        assert len(bytes.fromhex(file.sha256)) == 32
        assert "/main/" not in file.url
    assert 1.6e9 < GEOCLIP.download_bytes < 1.8e9
    monkeypatch.setenv(HUB_ENDPOINT_VARIABLE, "https://mirror.example/")
    assert GEOCLIP.files[0].url.startswith("https://mirror.example/openai/")
