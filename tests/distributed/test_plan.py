"""The plan of a job, and what is finished of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from geolocate.decoded_item import FoundFile, SeenPhoto
from geolocate.distributed.partitions import (
    Partition,
    discard_job,
    finished_partitions,
    marker_name,
    part_name,
    write_manifest,
    write_partition,
)
from geolocate.distributed.plan import (
    JOB,
    PlannedPhoto,
    plan_name,
    read_partition,
    read_plan,
    write_plan,
)
from geolocate.distributed.store import Folder
from geolocate.errors import OutputError, UsageError
from geolocate.records import Prediction


def seen(*photos: str | tuple[str, str]) -> Iterator[SeenPhoto]:
    for photo in photos:
        path, original = (photo, None) if isinstance(photo, str) else photo
        yield SeenPhoto(FoundFile(path, None), None if original is None else FoundFile(original, None))


def test_photos_are_read_as_they_were_listed_odd_names_and_originals_included(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    listed = ("a.jpg", "\udcff.jpg", ("b\n.jpg", "a.jpg"), "ü.jpg", '"].jpg')
    plan = write_plan(store, {"inputs": ["\udcfe"]}, seen(*listed), 2)
    assert (plan.photos, plan.partitions, plan.size(2)) == (5, 3, 1)
    assert read_plan(store) == plan
    photos = [photo for index in range(3) for photo in read_partition(store, plan, index)]
    assert photos == [PlannedPhoto(p, None) if isinstance(p, str) else PlannedPhoto(*p) for p in listed]


def test_the_job_is_there_only_when_its_listing_is_complete(tmp_path: Path) -> None:
    def failing() -> Iterator[SeenPhoto]:
        yield from seen("a", "b", "c")
        raise KeyboardInterrupt

    store = Folder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write_plan(store, {}, failing(), 2)
    assert list(store.sizes()) == [plan_name(0)]
    assert write_plan(store, {}, seen("a", "b", "c"), 2).photos == 3


def test_other_listings_are_other_hashes(tmp_path: Path) -> None:
    plans = {
        write_plan(Folder(tmp_path / str(number)), {}, seen(*photos), 2).sha256
        for number, photos in enumerate((["a", "b"], ["b", "a"], ["a"], [("a", "b")], []))
        if not (tmp_path / str(number)).mkdir()
    }
    assert len(plans) == 5


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b'["a"]', b'["a","b","c"]', b"[" * 10_000, b'[["a","b","c"],"a"]']
)
def test_a_plan_that_was_edited_is_refused(content: bytes, tmp_path: Path) -> None:
    store = Folder(tmp_path)
    plan = write_plan(store, {}, seen("a", "b"), 2)
    (tmp_path / plan_name(0)).write_bytes(content)
    with pytest.raises(UsageError, match="not as it was written"):
        read_partition(store, plan, 0)


@pytest.mark.parametrize("content", [*(f'{{"format": "geolocate distributed {n}"}}' for n in (0, 1, 2))])
def test_a_job_of_another_version_or_without_its_counts_does_not_go_on(content: str, tmp_path: Path) -> None:
    (tmp_path / JOB).write_text(content)
    with pytest.raises(UsageError, match=r"holds no job that can go on.*--overwrite"):
        read_plan(Folder(tmp_path))
    discard_job(Folder(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{}", "[]", "[" * 100_000, '{"format": "other"}', '{"format": 1}'])
def test_a_job_of_another_program_neither_goes_on_nor_is_discarded(content: str, tmp_path: Path) -> None:
    for name in (JOB, "manifest.json", part_name(0)):
        (tmp_path / name).write_text(content)
    for touch in (read_plan, discard_job):
        with pytest.raises(UsageError, match="no job of geolocate"):
            touch(Folder(tmp_path))
    assert len(list(tmp_path.iterdir())) == 3


def predictions(count: int) -> list[Prediction]:
    return [Prediction(f"{number}.jpg", error="none") for number in range(count)]


def test_a_partition_counts_as_finished_when_its_mark_and_its_file_agree(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    plan = write_plan(store, {}, seen("a", "b", "c"), 1)
    done = [write_partition(store, index, predictions(1)) for index in range(3)]
    assert finished_partitions(store, plan) == dict(enumerate(done))
    (tmp_path / part_name(0)).write_bytes(b"cut off")
    (tmp_path / marker_name(1)).write_text("{}")
    (tmp_path / marker_name(2)).unlink()
    assert finished_partitions(store, plan) == {}


def test_a_partition_written_twice_has_the_same_bytes_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    first = write_partition(store, 7, predictions(3))
    content = (tmp_path / part_name(7)).read_bytes()
    assert write_partition(store, 7, predictions(3)) == first
    assert (tmp_path / part_name(7)).read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == [marker_name(7), part_name(7)]
    assert first == Partition(7, 3, 3, 3, len(content), first.sha256)


def test_the_manifest_names_every_partition_and_all_counts(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    plan = write_plan(store, {"inputs": ["x"]}, seen("a", "b", "c"), 2)
    finished = {index: write_partition(store, index, predictions(plan.size(index))) for index in (1, 0)}
    write_manifest(store, plan, finished)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["inputs"], manifest["photos"], manifest["failed"], manifest["rows"]) == (["x"], 3, 3, 3)
    assert [part["file"] for part in manifest["partitions"]] == [part_name(0), part_name(1)]


def test_a_job_is_discarded_and_nothing_else(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    write_plan(store, {}, seen("a"), 1)
    write_partition(store, 0, predictions(1))
    others = ["notes.txt", "part-1.parquet", "part-000000.csv", "my/part-000000.parquet", "plan/x.json"]
    for name in others:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    discard_job(store)
    assert sorted(store.sizes()) == sorted(others)


def test_what_writers_were_killed_over_is_swept_and_nothing_else(tmp_path: Path) -> None:
    left = f".part-000000.parquet.{'0' * 32}.tmp"
    for name in (left, ".mine.tmp", "plan"):
        (tmp_path / name).mkdir() if name == "plan" else (tmp_path / name).touch()
    (tmp_path / "plan" / f".000001.json.{'a' * 32}.tmp").touch()
    with Folder(tmp_path).claimed():
        assert list(Folder(tmp_path).sizes()) == [".mine.tmp"]


def test_two_jobs_cannot_write_one_folder(tmp_path: Path) -> None:
    with (
        Folder(tmp_path).claimed(),
        pytest.raises(UsageError, match="another job"),
        Folder(tmp_path).claimed(),
    ):
        pass


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Folder(tmp_path)
    store.put("job.json", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        store.put("job.json", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("job.json", b"old")]
