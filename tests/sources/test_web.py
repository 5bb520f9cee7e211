"""Objects at http URLs on loopback: what is read, what is asked again, what is refused."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import subprocess
import sys
import urllib.error
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from servers import Web, broken_off, dribbled, dribbled_header, in_turn, once, redirected, silent, with_ranges

from geolocate.errors import PhotoError
from geolocate.sources import web as web_module
from geolocate.sources.fetch import fetched
from geolocate.sources.limits import FetchLimits


def content(url: str, limits: FetchLimits) -> bytes:
    with fetched(url, limits) as path, open(path, "rb") as file:
        return file.read()


BODY = bytes(i % 251 for i in range(300_000))


def test_a_url_is_read_whole_by_one_request_without_credentials(web: Web, hasty: FetchLimits) -> None:
    web.gives("/a%20b/%C3%A9.jpg?id=3", BODY)
    assert content(f"{web.url}/a b/é.jpg?id=3#part", hasty) == BODY
    assert web.asked == ["GET /a%20b/%C3%A9.jpg?id=3"]
    assert set(web.headers[-1]) == {"Host", "User-Agent", "Accept-Encoding", "Connection"}


def test_a_connection_that_breaks_is_taken_up_where_it_broke(web: Web, hasty: FetchLimits) -> None:
    web.rules["/a.jpg"] = once(_cut(BODY, 100_000), with_ranges(BODY))
    assert content(web.url + "/a.jpg", hasty) == BODY
    assert web.headers[1]["Range"].startswith("bytes=")


def _cut(body: bytes, after: int):  # type: ignore[no-untyped-def]
    def answer(handler) -> None:  # type: ignore[no-untyped-def]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", '"1"')
        handler.end_headers()
        handler.wfile.write(body[:after])
        handler.hang_up()

    return answer


def test_a_server_that_knows_no_parts_is_read_from_the_start_again(web: Web, hasty: FetchLimits) -> None:
    web.rules["/a.jpg"] = once(broken_off(BODY, 100_000), lambda handler: handler.say(200, BODY))
    assert content(web.url + "/a.jpg", hasty) == BODY


def test_two_halves_of_different_files_are_never_put_together(web: Web, hasty: FetchLimits) -> None:
    web.rules["/a.jpg"] = once(_cut(BODY, 100_000), lambda handler: handler.say(200, BODY, ETag='"2"'))
    with pytest.raises(PhotoError, match=r"^it changed while it was read$"):
        content(web.url + "/a.jpg", hasty)
    other_part = lambda handler: handler.say(206, BODY, ETag='"1"', Content_Range="bytes 0-9/10")  # noqa: E731
    web.rules["/a.jpg"] = once(_cut(BODY, 100_000), other_part)
    with pytest.raises(PhotoError, match=r"^the server sends another part than was asked for$"):
        content(web.url + "/a.jpg", hasty)


def test_busy_and_broken_servers_are_asked_again_and_others_not(web: Web, hasty: FetchLimits) -> None:
    for fault in (500, 502, 503, 429, 408):
        web.rules["/a.jpg"] = once(lambda handler, fault=fault: handler.say(fault), with_ranges(BODY))  # type: ignore[misc]
        assert content(web.url + "/a.jpg", hasty) == BODY
        web.rules["/b.jpg"] = lambda handler, fault=fault: handler.say(fault)  # type: ignore[misc]
        web.asked.clear()
        with pytest.raises(PhotoError, match=f"^the server said {fault} after 3 tries$"):
            content(web.url + "/b.jpg", hasty)
        assert len(web.asked) == 3
    for status, reason in (
        (404, r"not found \(404\)"),
        (410, r"not there any more \(410\)"),
        (401, r"access denied \(401\)"),
        (403, r"access denied \(403\)"),
        (400, "the server said 400"),
        (304, "the server redirects in a loop, or where it must not"),
    ):
        web.rules["/c.jpg"] = lambda handler, status=status: handler.say(status)  # type: ignore[misc]
        web.asked.clear()
        with pytest.raises(PhotoError, match=f"^{reason}$"):
            content(web.url + "/c.jpg", hasty)
        assert len(web.asked) == 1, status


def test_a_server_that_asks_for_patience_gets_it(web: Web, hasty: FetchLimits) -> None:
    waits: list[float] = []
    from geolocate.sources.retrying import Patience
    from geolocate.sources.web import WebStream

    busy = lambda handler: handler.say(429, Retry_After="7")  # noqa: E731
    endless = lambda handler: handler.say(503, Retry_After="99999")  # noqa: E731
    web.rules["/a.jpg"] = in_turn([busy, endless], with_ranges(b"x"))
    stream = WebStream(web.url + "/a.jpg", Patience(hasty, None, sleep=waits.append))
    assert stream.read(10) == b"x"
    stream.close()
    assert waits == [7, 30]


def test_silent_and_slow_servers_cost_their_time_and_no_more(web: Web, hasty: FetchLimits) -> None:
    web.rules["/silent.jpg"] = silent
    with pytest.raises(PhotoError, match=r"^no answer in 0\.2 s after 2 tries$"):
        content(web.url + "/silent.jpg", replace(hasty, timeout_s=0.2, tries=2))
    web.rules["/slow.jpg"] = dribbled(BODY, 0.05)
    with pytest.raises(PhotoError, match=r"^took longer than 0\.5 s to come$"):
        content(web.url + "/slow.jpg", replace(hasty, total_s=0.5))
    web.rules["/header.jpg"] = dribbled_header(0.05)
    with pytest.raises(PhotoError, match=r"^took longer than 0\.5 s to come$"):
        content(web.url + "/header.jpg", replace(hasty, total_s=0.5))


def test_nobody_there_is_an_error_after_some_tries(hasty: FetchLimits) -> None:
    with pytest.raises(PhotoError, match=r"^the server refuses the connection after 3 tries$"):
        content("http://127.0.0.1:9/a.jpg", hasty)
    fault = web_module._fault(urllib.error.URLError(socket.gaierror(-2, "unknown")), hasty)
    assert str(fault) == "no server of that name is found"


def test_a_huge_body_is_not_read(web: Web, hasty: FetchLimits) -> None:
    def endless(handler) -> None:  # type: ignore[no-untyped-def]
        handler.send_response(200)
        handler.end_headers()
        while not handler.server.web.stopping.is_set():
            handler.wfile.write(bytes(65536))

    web.rules["/endless.jpg"] = endless
    web.rules["/promised.jpg"] = broken_off(bytes(10), 10)
    with pytest.raises(PhotoError, match=r"^larger than 1,000,000 bytes, the limit of --max-bytes$"):
        content(web.url + "/endless.jpg", hasty)
    url = web.gives("/large.jpg", bytes(1_000_001))
    with pytest.raises(PhotoError, match=r"^larger than 1,000,000 bytes"):
        content(url, hasty)
    assert len(content(web.gives("/just.jpg", bytes(1_000_000)), hasty)) == 1_000_000


def test_redirects_are_followed_but_not_astray(web: Web, hasty: FetchLimits) -> None:
    web.gives("/a.jpg", BODY)
    web.rules["/to"] = redirected("/a.jpg")
    assert content(web.url + "/to", hasty) == BODY
    web.rules["/round"] = redirected("/round")
    with pytest.raises(PhotoError, match=r"^the server redirects in a loop, or where it must not$"):
        content(web.url + "/round", hasty)
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/a.jpg", "s3://bucket/a.jpg", "data:,x"):
        web.rules["/astray"] = redirected(target)
        with pytest.raises(PhotoError, match=r"^the server redirects (to ftp://, which|in a loop, or where)"):
            content(web.url + "/astray", hasty)


def test_no_redirect_leads_out_of_https(web: Web, hasty: FetchLimits) -> None:
    import email.message
    import io
    import urllib.request

    redirects = web_module._Redirects(hasty)
    request = urllib.request.Request("https://host.invalid/a.jpg")
    with pytest.raises(PhotoError, match="from https to http"):
        redirects.redirect_request(
            request,
            io.BytesIO(),
            302,
            "",
            email.message.Message(),
            web.url,  # type: ignore[arg-type]
        )


def test_a_certificate_that_nobody_vouches_for_is_not_asked_again(hasty: FetchLimits) -> None:
    fault = web_module._fault(ssl.SSLCertVerificationError("self-signed"), hasty)
    assert str(fault) == "the certificate of the server is not trusted"
    assert isinstance(fault, PhotoError)


def test_other_hosts_than_those_allowed_are_not_asked(web: Web, hasty: FetchLimits) -> None:
    url = web.gives("/a.jpg", b"x")
    assert content(url, replace(hasty, allow_hosts=("127.0.0.1",))) == b"x"
    web.asked.clear()
    for allowed in ("example.org", "0.0.1", "1"):
        with pytest.raises(PhotoError, match=r"^the host 127\.0\.0\.1 is not among those of --allow-host$"):
            content(url, replace(hasty, allow_hosts=(allowed,)))
    assert web.asked == []
    only = replace(hasty, allow_hosts=("127.0.0.1",))
    web.rules["/to"] = redirected(f"http://localhost:{web.url.rpartition(':')[2]}/a.jpg")
    with pytest.raises(PhotoError, match=r"^the host localhost is not among those"):
        content(web.url + "/to", only)
    web.gives("/below.jpg", b"x")
    port = web.url.rpartition(":")[2]
    assert content(f"http://localhost:{port}/below.jpg", replace(hasty, allow_hosts=("LOCALHOST.",))) == b"x"


@pytest.mark.parametrize("url", ["http://[/x", "http://h:port/x", "http://h:99999/x", "http://é\u0000/x"])
def test_a_url_that_makes_no_sense_is_an_error(url: str, hasty: FetchLimits) -> None:
    with pytest.raises(PhotoError):
        content(url, hasty)


def test_what_is_sent_compressed_is_no_photo(web: Web, hasty: FetchLimits) -> None:
    url = web.gives("/a.jpg", b"x", Content_Encoding="gzip")
    with pytest.raises(PhotoError, match="compressed, which was not asked for"):
        content(url, hasty)


def test_files_fetched_are_private_and_gone_afterwards(web: Web, hasty: FetchLimits) -> None:
    with fetched(web.gives("/a.jpg", b"x"), hasty) as path:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert not os.path.exists(path)


def test_the_end_of_the_program_leaves_no_file_of_threads_that_still_fetch(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "temporary").mkdir()
    code = f"""
import threading, time
from geolocate.sources.fetch import fetched
from geolocate.sources.limits import FetchLimits
def fetch():
    while True:
        with fetched("file://{tmp_path}/a.jpg", FetchLimits()):
            pass
for _ in range(48):
    threading.Thread(target=fetch, daemon=True).start()
time.sleep(0.2)
"""
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    for _ in range(4):  # at each, one thread or another is about to make one
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, stderr=subprocess.DEVNULL)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_https_is_read_where_the_certificate_is_trusted_and_refused_where_not(
    hasty: FetchLimits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x509 = pytest.importorskip("cryptography.x509", reason="needs cryptography, of the extra test")
    certificate = self_signed(x509, tmp_path)
    server = Web()
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.wrap(context)
        url = server.gives("/a.jpg", BODY).replace("http://127.0.0.1", "https://localhost")
        server.rules["/out"] = redirected(url.replace("https", "http"))
        with pytest.raises(PhotoError, match="the certificate of the server is not trusted"):
            content(url, hasty)
        trusted = ssl.create_default_context(cafile=certificate)
        monkeypatch.setattr(web_module, "_certificates", lambda: trusted)
        assert content(url, hasty) == BODY
        with pytest.raises(PhotoError, match="redirects from https to http, which is refused"):
            content(url.replace("/a.jpg", "/out"), hasty)
    finally:
        server.close()


def self_signed(x509: Any, folder: Path) -> Path:
    """A certificate of localhost with its key."""
    from datetime import UTC, datetime, timedelta

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file
