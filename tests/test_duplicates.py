"""A file that comes again is told before it is decoded, and encoded once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from geolocate import duplicates
from geolocate.decoded_item import DecodedItem, DecodeOptions, FoundFile, decode_item
from geolocate.duplicates import NOTE_DUPLICATE, Recent, SeenPhotos, told_apart
from geolocate.geolocator import Geolocator


def picture(path: Path, colour: int) -> str:
    Image.new("RGB", (40, 30), (colour, 90, 30)).save(path)
    return os.fspath(path)


def copied(path: str, name: str) -> str:
    target = Path(path).with_name(name)
    target.write_bytes(Path(path).read_bytes())
    return os.fspath(target)


def original(seen: SeenPhotos, path: str) -> str | None:
    """As the pipeline asks."""
    found = seen.original(FoundFile(path, duplicates.file_state(path)))
    return found and found.path


@pytest.fixture
def first(tmp_path: Path) -> str:
    return picture(tmp_path / "first.png", 1)


def test_links_and_copies_are_the_photo_that_came_first(first: str, tmp_path: Path) -> None:
    os.link(first, tmp_path / "hard.png")
    (tmp_path / "soft.png").symlink_to(first)
    copy = copied(first, "copy.png")
    seen = SeenPhotos()
    links = [os.fspath(tmp_path / name) for name in ("hard.png", "soft.png")]
    assert [original(seen, path) for path in (first, *links)] == [None, first, first]
    assert original(seen, copy) == first
    assert original(seen, copied(first, "again.png")) == first


def test_files_of_one_size_and_other_content_are_other_photos(tmp_path: Path) -> None:
    seen = SeenPhotos()
    for number in range(5):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(b"\xff\xd8\xff" + bytes([number]) * 100)
        assert original(seen, os.fspath(path)) is None
    assert original(seen, copied(os.fspath(tmp_path / "3.jpg"), "x.jpg")) == os.fspath(tmp_path / "3.jpg")


def test_of_many_files_of_one_size_each_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bitmaps and thumbnails have one size by the thousand: none is held against each of the others."""
    looked_at: list[str] = []
    for name in ("file_state", "_digest"):
        real = getattr(duplicates, name)
        monkeypatch.setattr(duplicates, name, lambda path, real=real: looked_at.append(path) or real(path))
    seen = SeenPhotos()
    paths = [os.fspath(tmp_path / f"{number:03}.bmp") for number in range(200)]
    for path in paths:
        Path(path).write_text(path)
        assert original(seen, path) is None
    assert len(looked_at) <= 2 * len(paths) + 1
    assert original(seen, copied(paths[7], "copy.bmp")) == paths[7]


def test_no_file_is_read_while_no_two_have_one_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geolocate.duplicates._digest", lambda path: pytest.fail("it was read"))
    seen = SeenPhotos()
    for number in range(20):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(b"x" * number)
        assert original(seen, os.fspath(path)) is None


def test_a_photo_that_changed_since_is_no_measure_of_others(first: str, tmp_path: Path) -> None:
    copy = copied(first, "copy.png")
    seen = SeenPhotos()
    assert original(seen, first) is None
    Path(first).write_bytes(Path(first).read_bytes()[::-1])
    os.utime(first, ns=(1, 1))
    assert original(seen, copy) is None
    assert original(seen, first) is None, "its content is new"


def test_what_is_no_file_is_new_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "other.jpg").touch()
    seen = SeenPhotos()
    for name in ("pipe.jpg", "pipe.jpg", "gone.jpg", "gone.jpg", "empty.jpg", "other.jpg", ".", "a\0b"):
        assert original(seen, os.fspath(tmp_path / name)) is None


def test_what_is_remembered_is_bounded_and_the_oldest_goes(tmp_path: Path) -> None:
    seen = SeenPhotos(remembered=3)
    paths = []
    for number in range(4):
        paths.append(picture(tmp_path / f"{number}.png", number))
        original(seen, paths[-1])
    assert len(seen._by_state) == sum(map(len, seen._by_size.values())) == 3
    assert original(seen, copied(paths[3], "c.png")) == paths[3]
    assert original(seen, copied(paths[0], "d.png")) is None


def test_a_skipped_photo_still_counts_as_the_first(first: str) -> None:
    """So that a run that goes on after an interruption has the notes of one that was never interrupted."""
    copies = [copied(first, "b.png"), copied(first, "c.png")]
    found = list(told_apart(iter([first, *copies]), lambda photo: photo == first))
    assert [(photo.file.path, photo.original and photo.original.path, photo.at_hand) for photo in found] == [
        (copies[0], first, False),
        (copies[1], first, True),
    ]


def test_what_is_too_long_ago_is_at_hand_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "REMEMBERED_IMAGES", 2)
    paths = [picture(tmp_path / f"{number}.png", 10 * number) for number in range(3)]
    copies = [copied(path, f"c{number}.png") for number, path in enumerate(paths)]
    found = list(told_apart(iter([*paths, *copies]), lambda photo: False))
    assert [photo.at_hand for photo in found[3:]] == [False, False, False]
    again = list(told_apart(iter([*paths, copies[2], copies[1]]), lambda photo: False))
    assert [photo.at_hand for photo in again[3:]] == [True, True]


def test_files_without_numbers_are_told_by_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = duplicates.file_state

    def unnumbered(path: str) -> object:
        found = state(path)
        return found and found._replace(inode=0, modified_ns=7)

    monkeypatch.setattr(duplicates, "file_state", unnumbered)
    seen = SeenPhotos()
    paths = [os.fspath(tmp_path / f"{number}.bmp") for number in range(3)]
    for path in paths:
        Path(path).write_text(path)
        assert original(seen, path) is None
    assert original(seen, copied(paths[1], "c.bmp")) == paths[1]


def test_recent_values_go_in_the_order_they_were_put() -> None:
    recent: Recent[int] = Recent(2)
    a, b, c = (FoundFile(path, None) for path in "abc")
    recent.put(a, 1)
    recent.put(b, 2)
    recent.put(a, 3)
    recent.put(c, 4)
    assert [file in recent for file in (a, b, c)] == [True, False, True]
    assert (recent[a], recent[c]) == (3, 4)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[Geolocator, list[int]]:
    """A starter, and how many photos each call of its image encoder got."""
    starter = Geolocator.load("starter", device="cpu", batch_size=4, say=lambda text: None)
    encode = starter._encoders.image_encoder
    calls: list[int] = []

    def watched(pixels: Any, rows: int) -> Any:
        calls.append(len(pixels))
        return encode(pixels, rows)

    monkeypatch.setattr(starter._encoders, "image_encoder", watched)
    return starter, calls


def test_each_file_is_encoded_once_and_has_a_row_for_each_path(
    counted: tuple[Geolocator, list[int]], first: str, tmp_path: Path
) -> None:
    starter, calls = counted
    second = picture(tmp_path / "second.png", 200)
    paths = [first, copied(first, "b.png"), second, *(copied(first, f"c{n}.png") for n in range(9)), second]
    found = list(starter.locate(paths, top_k=3))
    assert sum(calls) == 2
    assert [prediction.photo for prediction in found] == paths
    assert all(prediction.candidates for prediction in found)
    for prediction in found[1:2] + found[3:12]:
        assert prediction.candidates == found[0].candidates
    notes = [NOTE_DUPLICATE in prediction.notes for prediction in found]
    assert notes == [False, True, False] + 10 * [True]


def test_a_photo_that_comes_again_after_a_skipped_one_is_encoded_and_noted(
    counted: tuple[Geolocator, list[int]], first: str, tmp_path: Path
) -> None:
    starter, calls = counted
    copies = [copied(first, "b.png"), copied(first, "c.png")]
    others = [picture(tmp_path / f"other{number}.png", 20 * number) for number in range(1, 4)]
    whole = list(starter.locate([*others, first, *copies]))  # it is one of a batch of four
    calls.clear()
    done = [*others, first]
    rest = list(starter.locate([*done, *copies], skip=done.__contains__))
    assert rest == whole[4:]
    assert sum(calls) == 1, "the first of them in this run stands for the others"


def test_a_copy_of_a_damaged_photo_fails_by_itself(counted: tuple[Geolocator, list[int]], first: str) -> None:
    starter, calls = counted
    Path(first).write_bytes(Path(first).read_bytes()[:60])
    found = list(starter.locate([first, copied(first, "b.png")]))
    assert found[0].error == found[1].error
    assert found[0].error is not None
    assert not calls


def test_a_photo_that_went_away_before_it_was_read_does_not_take_its_copy_along(
    counted: tuple[Geolocator, list[int]], first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter, _ = counted
    copy = copied(first, "b.png")
    ask = SeenPhotos.original

    def then_gone(self: SeenPhotos, file: FoundFile) -> FoundFile | None:
        found = ask(self, file)
        if file.path == copy:
            os.unlink(first)
        return found

    monkeypatch.setattr(SeenPhotos, "original", then_gone)
    monkeypatch.setattr("geolocate.decoding.decode_item", _when_gone(first, decode_item))
    found = list(starter.locate([first, copy]))
    assert found[0].error == "no such file"
    assert found[1].error is None
    assert found[1].notes == (NOTE_DUPLICATE,)


def test_a_path_that_comes_again_with_other_content_is_not_taken_for_what_it_was(
    counted: tuple[Geolocator, list[int]], first: str, tmp_path: Path
) -> None:
    starter, _ = counted
    old, other = copied(first, "old.png"), picture(tmp_path / "other.png", 250)
    before, after = (next(iter(starter.locate([path]))).candidates for path in (first, other))

    def paths() -> Iterator[str]:
        yield first
        yield copied(first, "hashed.png")  # so that the first is known by its content
        time.sleep(0.5)
        os.replace(other, first)
        yield first
        yield old

    found = [prediction.candidates for prediction in starter.locate(paths())]
    assert found == [before, before, after, before]


def test_a_photo_that_became_another_before_it_was_decoded_lends_its_copy_nothing(
    counted: tuple[Geolocator, list[int]], first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its content was that of the copy when they were told to be the same, but not when it was decoded."""
    starter, _ = counted
    copy = copied(first, "b.png")
    expected = next(iter(starter.locate([copy]))).candidates
    other = picture(tmp_path / "other.png", 250)
    decode = decode_item

    def after_a_change(photo: str, *arguments: Any) -> DecodedItem:
        if photo == first and os.path.exists(other):
            time.sleep(0.3)  # by now the copy was told
            os.replace(other, first)
        return decode(photo, *arguments)

    monkeypatch.setattr("geolocate.decoding.decode_item", after_a_change)
    found = list(starter.locate([first, copy]))
    assert found[0].candidates != expected
    assert found[1].candidates == expected
    assert found[1].notes == (NOTE_DUPLICATE,)


def _when_gone(path: str, decode: Callable[..., DecodedItem]) -> Callable[..., DecodedItem]:
    """Decodes, but this photo only when it has gone."""

    def wait_and_decode(photo: str, *arguments: Any) -> DecodedItem:
        while photo == path and os.path.exists(path):
            time.sleep(0.01)
        return decode(photo, *arguments)

    return wait_and_decode


def test_isolated_decoding_knows_copies_too(first: str) -> None:
    isolated = Geolocator.load(
        "starter", device="cpu", decode=DecodeOptions(workers=1, isolate=True), say=lambda text: None
    )
    broken = copied(first, "x.png")
    Path(broken).write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    paths = [first, copied(first, "b.png"), broken, copied(broken, "y.png")]
    found = list(isolated.locate(paths))
    assert [prediction.error is None for prediction in found] == [True, True, False, False]
    assert found[0].candidates == found[1].candidates
