"""URLs on their way through the program: never looked for on the disk, fetched side by side, in order."""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError
from contextlib import closing
from pathlib import Path

import pytest
from servers import Web

from geolocate import Geolocator, decoding
from geolocate.decode_worker import settings_to_json
from geolocate.decoded_item import decode_item
from geolocate.decoding import DecodeOptions, decode_batches
from geolocate.duplicates import told_apart
from geolocate.sources.limits import FetchLimits
from geolocate.sources.threads import WaitingThreads


def test_a_url_is_never_looked_for_on_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "https:" / "host").mkdir(parents=True)
    (tmp_path / "https:" / "host" / "a.jpg").write_bytes(b"x")
    urls = ["https://host/a.jpg?sig=s3cret", "s3://b/a.jpg", "https://host/a.jpg?sig=s3cret"]
    asked: list[str] = []
    seen = list(told_apart(iter(urls), lambda name: bool(asked.append(name))))
    assert [photo.file.path for photo in seen] == urls
    assert all(photo.file.state is None and photo.original is None for photo in seen)
    assert asked[0] == "https://host/a.jpg?sig=REDACTED"


def test_photos_are_fetched_side_by_side_and_come_in_order(web: Web, drawn_photos: Path) -> None:
    photo = next(drawn_photos.iterdir()).read_bytes()
    together = threading.Barrier(4)

    def answer(handler) -> None:  # type: ignore[no-untyped-def]
        together.wait(20)  # passes when four are asked for at the same time
        handler.say(200, photo)

    web.rules["/"] = answer
    urls = [f"{web.url}/{number}.jpg" for number in range(8)]
    options = DecodeOptions(workers=1, fetch=FetchLimits(parallel=4))
    with closing(decode_batches(iter(urls), 64, 2, options, exif=True)) as batches:
        items = [item for batch in batches for item in batch]
    assert [item.photo for item in items] == urls
    assert all(item.pixels is not None and item.facts is not None for item in items)


def test_what_is_ready_is_not_kept_waiting_for_a_photo_that_is_slow_to_come(
    web: Web, drawn_photos: Path
) -> None:
    photo = next(drawn_photos.iterdir()).read_bytes()
    go_on = threading.Event()

    def slow(handler) -> None:  # type: ignore[no-untyped-def]
        go_on.wait(20)
        handler.say(200, photo)

    web.gives("/ok.jpg", photo)
    web.rules["/slow.jpg"] = slow
    urls = [web.url + name for name in ("/ok.jpg", "/slow.jpg", "/ok.jpg")]
    with closing(decode_batches(iter(urls), 64, 8, DecodeOptions(workers=1), exif=True)) as batches:
        first = next(batch for batch in batches if batch)
        assert [item.photo for item in first] == urls[:1]  # full batches have eight
        assert next(batches) == []
        go_on.set()
        assert [item.photo for batch in batches for item in batch] == urls[1:]


def test_photos_that_come_at_their_pace_fill_their_batches(
    drawn_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "IDLE_S", 60.0)  # no pause, however busy the machine is
    paths = [os.fspath(path) for path in sorted(drawn_photos.iterdir())] * 2
    batches = decode_batches(iter(paths), 64, 4, DecodeOptions(workers=1), exif=False)
    assert [len(batch) for batch in batches] == [4, 4, 2]


def test_a_photo_is_the_same_from_a_url_as_from_its_file(
    web: Web, drawn_photos: Path, hasty: FetchLimits
) -> None:
    path = next(drawn_photos.iterdir())
    url = web.gives("/a.jpg", path.read_bytes())
    options = DecodeOptions(fetch=hasty)
    fetched, local = (decode_item(photo, 64, options, True) for photo in (url, os.fspath(path)))
    assert fetched.pixels is not None
    assert local.pixels is not None
    assert (fetched.pixels == local.pixels).all()
    assert fetched.facts == local.facts
    assert decode_item(web.url + "/none.jpg", 64, options, True).error == "not found (404)"


def test_python_users_name_urls_as_paths(web: Web, drawn_photos: Path) -> None:
    url = web.gives("/a.jpg", next(drawn_photos.iterdir()).read_bytes())
    geolocator = Geolocator.load("starter", say=lambda text: None)
    (prediction,) = geolocator.locate([url])
    assert prediction.photo == url
    assert prediction.candidates


def test_decoder_processes_are_told_nothing_of_what_is_fetched() -> None:
    assert "fetch" not in settings_to_json(64, DecodeOptions(fetch=FetchLimits(allow_hosts=("host",))), True)


def test_threads_that_wait_drop_what_has_not_begun() -> None:
    threads = WaitingThreads[int](1, "test")
    begun, go_on = threading.Event(), threading.Event()

    def first() -> int:
        begun.set()
        go_on.wait(20)
        return 1

    results = [threads.submit(first), threads.submit(lambda: 2)]
    begun.wait(20)
    threads.close()
    go_on.set()
    assert results[0].result(20) == 1
    with pytest.raises(CancelledError):
        results[1].result(20)
    failing = WaitingThreads[int](1, "test")
    fault = failing.submit(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        fault.result(20)
    failing.close()
