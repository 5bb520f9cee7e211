"""Objects and prefixes of an S3 server on loopback, with everything that can go wrong there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from servers import Bucket, broken_off, dribbled, once, silent

from geolocate.errors import PhotoError, UsageError
from geolocate.photo_names import is_photo_name
from geolocate.sources import listing, object_store
from geolocate.sources.fetch import fetched
from geolocate.sources.limits import FetchLimits
from geolocate.sources.listing import check_source, photos_in


def content(url: str, limits: FetchLimits) -> bytes:
    with fetched(url, limits) as path, open(path, "rb") as file:
        return file.read()


def listed(url: str, limits: FetchLimits) -> tuple[list[str], list[str]]:
    warnings: list[str] = []
    return list(photos_in(url, is_photo_name, warnings.append, limits)), warnings


def test_an_object_is_read_whole(bucket: Bucket, hasty: FetchLimits) -> None:
    url = bucket.put("a/b.jpg", b"content")
    assert content(url, hasty) == b"content"
    assert len(bucket.front.asked) == 1  # one request, where one is enough


def test_an_object_of_several_pieces_is_read_whole(
    bucket: Bucket, hasty: FetchLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "PIECE_BYTES", 1000)
    for size in (0, 1, 999, 1000, 1001, 3000, 3500):
        body = bytes(i % 251 for i in range(size))
        assert content(bucket.put("x.jpg", body), hasty) == body, size


def test_a_prefix_is_searched_like_a_folder(bucket: Bucket, hasty: FetchLimits) -> None:
    for key in (
        "p/b.jpg",
        "p/a/z.jpg",
        "p/a/B.JPG",
        "p/a.jpg",
        "p/a-b/x.png",
        "p/.hidden/x.jpg",
        "p/.x.jpg",
        "p/notes.txt",
        "p/é.jpg",
        "p/",
        "q/other.jpg",
    ):
        bucket.put(key, b"x")
    found, warnings = listed("s3://album/p/", hasty)
    wanted = ["a/B.JPG", "a/z.jpg", "a-b/x.png", "a.jpg", "b.jpg", "é.jpg"]
    assert found == [f"s3://album/p/{name}" for name in wanted]
    assert warnings == []
    assert listed("s3://album/p", hasty)[0] == found
    assert listed("s3://album", hasty)[0] == [*found, "s3://album/q/other.jpg"]


def test_an_object_and_a_prefix_of_one_name_are_told_apart(bucket: Bucket, hasty: FetchLimits) -> None:
    bucket.put("trip", b"object")
    bucket.put("trip/a.jpg", b"x")
    bucket.put("alone", b"object")
    assert listed("s3://album/trip/", hasty)[0] == ["s3://album/trip/a.jpg"]
    assert listed("s3://album/alone", hasty)[0] == ["s3://album/alone"]
    assert content("s3://album/trip", hasty) == b"object"


def test_names_with_empty_parts_or_dots_are_names_as_any_other(bucket: Bucket, hasty: FetchLimits) -> None:
    keys = ["//r.jpg", "p//a.jpg", "p///a.jpg", "p/../a.jpg", "p/./a.jpg", "p/a.jpg", "p/.h/a.jpg", "p/"]
    urls = {bucket.put(key, key.encode()) for key in keys}
    found, warnings = listed("s3://album", hasty)
    assert sorted(found) == sorted(urls - {"s3://album/p/.h/a.jpg", "s3://album/p/"})
    assert warnings == []
    for url in found:
        assert content(url, hasty) == url.removeprefix("s3://album/").encode()


def test_where_names_with_empty_parts_cannot_be_listed_that_is_said(
    monkeypatch: pytest.MonkeyPatch, hasty: FetchLimits
) -> None:
    found = [object_store.Entry("", True), object_store.Entry("a.jpg", False)]
    monkeypatch.setattr(object_store, "entries", lambda url, limits: found)
    monkeypatch.setattr(object_store, "has_below", lambda url, limits: True)
    monkeypatch.setattr(listing, "check_url", lambda url: None)  # gcsfs may not be there
    assert listed("gs://album/p/", hasty) == (
        ["gs://album/p/a.jpg"],
        ["gs://album/p/: left out objects whose names have an empty part (//)"],
    )


@pytest.mark.parametrize("url", ["s3://album/none/", "s3://no-such-bucket/", "s3://no-such-bucket"])
def test_a_prefix_that_is_not_there_is_refused_before_any_work(
    bucket: Bucket, hasty: FetchLimits, url: str
) -> None:
    with pytest.raises(UsageError, match=r"cannot be listed: not found \(404\)"):
        check_source(url, hasty)
    assert listed(url, hasty)[0] == [url]  # of a list it is a row with the reason
    with pytest.raises(PhotoError):
        content(url, hasty)


def test_a_missing_object_is_an_error_at_once(bucket: Bucket, hasty: FetchLimits) -> None:
    with pytest.raises(PhotoError, match=r"^not found \(404\)$"):
        content("s3://album/none.jpg", hasty)
    assert len(bucket.front.asked) == 1


def test_a_server_that_stumbles_is_asked_again(bucket: Bucket, hasty: FetchLimits) -> None:
    url = bucket.put("a.jpg", b"content")
    store = bucket.front.rules["/"]
    for fault in (
        lambda handler: handler.say(500),
        lambda handler: handler.say(503, b"<Error><Code>SlowDown</Code></Error>"),
        lambda handler: handler.hang_up(),
        broken_off(b"content", 3),
        silent,
    ):
        bucket.break_at("a.jpg", once(fault, store))
        assert content(url, hasty) == b"content"


def test_a_server_that_stays_broken_is_an_error_with_the_number_of_tries(
    bucket: Bucket, hasty: FetchLimits
) -> None:
    url = bucket.put("a.jpg", b"content")
    bucket.break_at("a.jpg", lambda handler: handler.say(500))
    with pytest.raises(PhotoError, match=r"^the server said 500 after 3 tries$"):
        content(url, hasty)
    assert len(bucket.front.asked) == 3
    bucket.break_at("a.jpg", silent)
    with pytest.raises(PhotoError, match=r"^no answer in 0\.5 s after 2 tries$"):
        content(url, replace(hasty, tries=2))
    bucket.break_at("a.jpg", broken_off(b"content", 3))
    with pytest.raises(PhotoError, match=r"^the connection broke off after 3 tries$"):
        content(url, hasty)


def test_an_archive_may_come_slowly_as_long_as_it_comes(bucket: Bucket, hasty: FetchLimits) -> None:
    from geolocate.sources.object_store import ObjectStream
    from geolocate.sources.retrying import Patience

    url = bucket.put("x.tar", b"x" * 20)
    bucket.break_at("x.tar", dribbled(b"x" * 20, 0.05))
    assert ObjectStream(url, Patience(replace(hasty, timeout_s=0.3), None)).read(100) == b"x" * 20


def test_wrong_credentials_are_named_and_not_repeated(bucket: Bucket, hasty: FetchLimits) -> None:
    url = bucket.put("p/a.jpg", b"content")
    denied = b"<Error><Code>SignatureDoesNotMatch</Code><Message>a-s3cret-key</Message></Error>"
    bucket.front.rules = {"/": lambda handler: handler.say(403, denied, Content_Type="application/xml")}
    with pytest.raises(PhotoError, match=r"^access denied: check the credentials in the environment$"):
        content(url, hasty)
    with pytest.raises(UsageError, match="cannot be listed: access denied: check the credentials"):
        check_source("s3://album/p/", hasty)


def test_a_store_that_checks_credentials_itself_refuses_false_ones(
    bucket: Bucket, hasty: FetchLimits
) -> None:
    import moto.core
    from moto.core import set_initial_no_auth_action_count

    url = bucket.put("a.jpg", b"content")

    @set_initial_no_auth_action_count(0)
    def asked() -> None:
        with pytest.raises(PhotoError, match=r"^access denied: check the credentials in the environment$"):
            content(url, hasty)

    assert moto.core is not None
    asked()


def test_no_credentials_at_all_are_an_error_of_the_photo(
    bucket: Bucket, hasty: FetchLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = bucket.put("a.jpg", b"content")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    object_store.forget_stores()
    with pytest.raises(PhotoError, match=r"^access denied: check the credentials in the environment$"):
        content(url, hasty)


def test_too_large_an_object_is_not_read_to_its_end(
    bucket: Bucket, hasty: FetchLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "PIECE_BYTES", 1000)
    url = bucket.put("a.jpg", bytes(50_000))
    with pytest.raises(PhotoError, match=r"larger than 2,000 bytes, the limit of --max-bytes"):
        content(url, replace(hasty, max_bytes=2000))
    assert len([asked for asked in bucket.front.asked if asked.startswith("GET")]) <= 3
    assert content(url, replace(hasty, max_bytes=50_000)) == bytes(50_000)


def test_a_listing_that_fails_amid_loses_one_prefix_and_says_so(bucket: Bucket, hasty: FetchLimits) -> None:
    for key in ("p/a/x.jpg", "p/b/x.jpg", "p/c/x.jpg"):
        bucket.put(key, b"x")
    store = bucket.front.rules["/"]

    def listing(handler: object) -> None:
        broken = "prefix=p%2Fb%2F" in handler.path  # type: ignore[attr-defined]
        handler.say(500) if broken else store(handler)  # type: ignore[attr-defined, arg-type]

    bucket.front.rules = {"/": listing}
    found, warnings = listed("s3://album/p/", hasty)
    assert found == ["s3://album/p/a/x.jpg", "s3://album/p/c/x.jpg"]
    assert warnings == [
        "s3://album/p/b/ cannot be listed, its photos are left out: the server said 500 after 3 tries"
    ]


def test_a_tar_in_a_store_is_read_while_it_comes_and_a_zip_whole(bucket: Bucket, hasty: FetchLimits) -> None:
    import io
    import tarfile
    import zipfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in ("b.jpg", "b.json", "a.jpg"):
            member = tarfile.TarInfo(name)
            member.size = len(name)
            tar.addfile(member, io.BytesIO(name.encode()))
    url = bucket.put("shard.tar.gz", packed.getvalue())
    found, warnings = listed(url, hasty)
    assert found == [f"tar://b.jpg::{url}", f"tar://a.jpg::{url}"]
    assert warnings == []
    assert content(found[1], hasty) == b"a.jpg"
    assert len(bucket.front.asked) == 1

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("b.jpg", b"b.jpg")
        archive.writestr("a.jpg", b"a.jpg")
    url = bucket.put("photos.zip", packed.getvalue())
    found, warnings = listed(url, hasty)
    assert found == [f"zip://a.jpg::{url}", f"zip://b.jpg::{url}"]
    assert content(found[1], hasty) == b"b.jpg"


def test_without_its_client_a_store_is_refused_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, hasty: FetchLimits
) -> None:
    from geolocate.errors import ExtraMissing
    from geolocate.sources import urls

    monkeypatch.setattr(urls.importlib.util, "find_spec", lambda name: None)
    for url, line in (("s3://b/a.jpg", r"geolocate\[remote\]"), ("gs://b/", r"geolocate\[gcs\]")):
        with pytest.raises(ExtraMissing, match=f"pip install '{line}'"):
            check_source(url, hasty)
        with pytest.raises(PhotoError, match=f"pip install '{line}'"):
            content(url, hasty)
        assert listed(url, hasty)[0] == [url]
