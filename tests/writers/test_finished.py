"""What an earlier run finished is left out exactly as often as it was finished."""

from __future__ import annotations

import tracemalloc

from geolocate.writers.finished import FinishedPhotos


def test_a_photo_that_was_named_twice_and_done_once_is_done_once_more() -> None:
    finished = FinishedPhotos()
    for photo in ("a.jpg", "b\udcff.jpg", "b\udcff.jpg"):
        finished.add(photo)
    assert len(finished) == 3
    assert [finished.take(photo) for photo in ("b\udcff.jpg", "a.jpg", "c.jpg")] == [True, True, False]
    assert [finished.take(photo) for photo in ("a.jpg", "b\udcff.jpg", "b\udcff.jpg")] == [False, True, False]


def test_nothing_is_finished_where_nothing_was_done() -> None:
    assert not FinishedPhotos().take("a.jpg")


def test_a_hundred_thousand_photos_never_take_more_than_fourteen_bytes_each() -> None:
    one = FinishedPhotos()
    one.add("a.jpg")
    assert one.take("a.jpg")  # numpy is imported here
    tracemalloc.start()
    try:
        finished = FinishedPhotos()
        for number in range(100_000):
            finished.add(f"photos/{number}.jpg")
        assert finished.take("photos/7.jpg")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_400_000
