"""Parts in one order: any photos in any number of shards come back as they were, whatever the parts are."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geolocate.duplicates import file_state
from geolocate.errors import TableError, UsageError
from geolocate.merging.by_path import SortedByPath
from geolocate.merging.merge import merge_by_path, merge_runs
from geolocate.records import Candidate, Position, Prediction
from geolocate.sharding.listing import ShardListing
from geolocate.sharding.shard import Shard
from geolocate.writers import open_writers

RUN = {"program": "geolocate 0", "inputs": ["photos"], "options": {"device": "cpu"}, "bundle": {"name": "x"}}


def predicted(photo: str) -> Prediction:
    if "bad" in photo:
        return Prediction(photo, error="damaged")
    ranks = range(1, 2 + len(photo) % 3)
    return Prediction(photo, tuple(Candidate(rank, Position(1.0, 2.0), 0.5 / rank) for rank in ranks))


def write_part(path: Path, listed: Sequence[str], shard: Shard, earlier: Iterable[str] = ()) -> Path:
    """What predict writes for a shard of these photos, when the `earlier` ones are there already."""
    listing = ShardListing(shard)
    with open_writers({path.suffix[1:]: path}, overwrite=True) as writers:
        for photo in earlier:
            listing.earlier(photo)
            writers.write(predicted(photo))
        for photo in listed:
            listing.found("photos", photo)
            if not listing.skip(photo):
                writers.write(predicted(photo))
        count = sum(shard.holds_photo("photos", photo) for photo in listed)
        writers.close({**RUN, "shard": listing.facts(), "photos": count, "failed": 0, "model": []})
    return path


def merged(paths: Iterable[Path]) -> list[str]:
    return [prediction.photo for prediction in merge_runs([os.fspath(path) for path in paths]).predictions]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(request: pytest.FixtureRequest) -> Iterator[None]:
    with patch("os.fsync"):
        yield


names = st.lists(
    st.text("abé/\udcff,\n'=", min_size=1, max_size=6).map(
        lambda name: f"photos/{name.strip('/') or 'x'}.jpg"
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=40)
@given(names, st.integers(1, 7), st.sampled_from(["csv", "jsonl"]), st.randoms())
def test_any_photos_come_back_in_their_order_whatever_the_order_of_the_parts(
    tmp_path_factory: pytest.TempPathFactory, photos: list[str], count: int, form: str, chance: object
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    paths = [
        write_part(folder / f"{index}.{form}", photos, Shard(index, count)) for index in range(1, count + 1)
    ]
    chance.shuffle(paths)  # type: ignore[attr-defined]
    assert merged(paths) == photos


@settings(deadline=None, max_examples=40)
@given(names, st.integers(1, 4), st.randoms())
def test_rows_that_were_there_in_any_order_find_their_place(
    tmp_path_factory: pytest.TempPathFactory, photos: list[str], count: int, chance: object
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    paths = []
    for index in range(1, count + 1):
        own = [photo for photo in photos if Shard(index, count).holds_photo("photos", photo)]
        earlier = chance.sample(own, chance.randint(0, len(own)))  # type: ignore[attr-defined]
        paths.append(write_part(folder / f"{index}.csv", photos, Shard(index, count), earlier))
    assert merged(paths) == photos


def test_more_parts_than_files_can_be_open_at_first(tmp_path: Path) -> None:
    photos = [f"photos/{number}.jpg" for number in range(300)]
    for index in range(1, 121):
        write_part(tmp_path / f"{index}.csv", photos, Shard(index, 120))
    code = f"""
        import glob, resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        from geolocate.merging.merge import merge_runs
        merge = merge_runs(glob.glob({os.fspath(tmp_path)!r} + "/*.csv"))
        print(*[prediction.photo for prediction in merge.predictions])
    """
    if sys.platform == "win32":
        pytest.skip("POSIX limits")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == photos


def test_memory_does_not_grow_with_the_photos(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        photos = [f"photos/{number}.jpg" for number in range(count)]
        paths = [
            os.fspath(write_part(tmp_path / f"{index}.csv", photos, Shard(index, 4)))
            for index in (1, 2, 3, 4)
        ]
        tracemalloc.start()
        assert sum(1 for _ in merge_runs(paths).predictions) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)  # imports
    assert peak(6000) < peak(1000) + 100_000


def test_two_parts_with_the_same_photo_or_a_photo_in_none_are_noticed(tmp_path: Path) -> None:
    photos = [f"photos/{number}.jpg" for number in range(40)]
    paths = [write_part(tmp_path / f"{index}.csv", photos, Shard(index, 3)) for index in (1, 2, 3)]
    file = tmp_path / "2.csv.manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    other = json.loads((tmp_path / "1.csv.manifest.json").read_text(encoding="utf-8"))
    manifest["shard"]["ordinals"], manifest["photos"] = other["shard"]["ordinals"], other["photos"]
    file.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(TableError, match="do not fit together: two parts have the same photo"):
        merged(paths)


def test_a_part_with_another_number_of_photos_than_its_manifest_says_is_noticed(tmp_path: Path) -> None:
    photos = [f"photos/{number}.jpg" for number in range(40)]
    paths = [write_part(tmp_path / f"{index}.csv", photos, Shard(index, 2)) for index in (1, 2)]
    lines = paths[0].read_bytes().splitlines(keepends=True)
    for content in (b"".join(lines[:-3]), b"".join([*lines, lines[-1].replace(b"photos/", b"photos/z")])):
        paths[0].write_bytes(content)
        with patch("geolocate.merging.part.Part.check"), pytest.raises(TableError, match="its manifest says"):
            merged(paths)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_manifest_that_is_a_pipe_or_a_device_is_not_read(tmp_path: Path) -> None:
    paths = [write_part(tmp_path / f"{index}.csv", ["photos/a.jpg"], Shard(index, 2)) for index in (1, 2)]
    manifest = tmp_path / "2.csv.manifest.json"
    manifest.unlink()
    os.mkfifo(manifest)
    with pytest.raises(TableError, match=r"2\.csv\.manifest\.json cannot be read: not a regular file"):
        merged(paths)
    manifest.unlink()
    manifest.symlink_to("/dev/zero")
    with pytest.raises(TableError, match=r"2\.csv\.manifest\.json cannot be read: not a regular file"):
        merged(paths)
    manifest.unlink()
    with patch("geolocate.merging.part.MAX_MANIFEST_BYTES", 100):
        manifest.write_bytes(b" " * 101)
        with pytest.raises(TableError, match="cannot be read: larger than 100 bytes"):
            merged(paths[1:])


def test_sorted_by_path_is_the_order_in_which_folders_are_searched() -> None:
    photos = ["a/x.jpg", "a/z/1.jpg", "a.jpg", "a0.jpg", "b\udcff.jpg", "c.jpg"]
    parts = [map(predicted, photos[::-2]), map(predicted, photos[-2::-2])]
    assert [prediction.photo for prediction in SortedByPath(parts)] == photos


def test_of_repeats_the_first_that_did_not_fail_counts_with_all_its_digits() -> None:
    failed, first, second = Prediction("a.jpg", error="damaged"), predicted("a.jpg"), Prediction("a.jpg")
    by_path = SortedByPath([iter([failed, first]), iter([second, failed])])
    assert list(by_path) == [first]
    assert by_path.repeats == 3


def test_urls_that_look_alike_because_a_value_is_hidden_are_no_repeats() -> None:
    photos = ["https://h/a?id=1&sig=REDACTED", *["https://h/a?key=REDACTED"] * 2]
    by_path = SortedByPath([map(predicted, photos), map(predicted, photos[:1])])
    assert [prediction.photo for prediction in by_path] == photos
    assert by_path.repeats == 1  # a signature tells no photo from another


def test_what_is_no_part_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    for path in ("gone.csv", "results"):
        with pytest.raises(UsageError):
            merge_runs([os.fspath(tmp_path / path)])
        with pytest.raises(UsageError):
            merge_by_path([os.fspath(tmp_path / path)])
    for url in ("https://host/all.csv", "ftp://host/results", "zip://a.csv::parts.zip"):
        with pytest.raises(UsageError, match="is a folder or lies at s3://"):
            merge_runs([url])


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """OUTPUT of a job of three partitions."""
    pytest.importorskip("pyarrow", reason="partitions are Parquet: pip install 'geolocate[parquet]'")
    from geolocate.decoded_item import FoundFile, SeenPhoto
    from geolocate.distributed import partitions
    from geolocate.distributed.plan import write_plan
    from geolocate.distributed.store import Folder

    store = Folder(tmp_path / "results")
    photos = [f"photos/{number}.jpg" for number in range(10)]
    with store.claimed():
        seen = (SeenPhoto(FoundFile(photo, file_state(photo)), None, False) for photo in photos)
        plan = write_plan(store, RUN, seen, 4)
        done = {
            number: partitions.write_partition(
                store, number, map(predicted, photos[4 * number : 4 * number + 4])
            )
            for number in range(3)
        }
        partitions.write_manifest(store, plan, done)
    return tmp_path / "results"


def test_partitions_of_a_job_follow_each_other(job: Path, tmp_path: Path) -> None:
    merge = merge_runs([os.fspath(job)])
    assert [prediction.photo for prediction in merge.predictions] == [
        f"photos/{number}.jpg" for number in range(10)
    ]
    assert merge.photos == 10
    assert os.fspath(job / "part-000000.parquet") in merge.files
    assert merge.run["inputs"] == ["photos"]


def test_a_job_with_a_partition_that_is_missing_or_changed_is_refused(job: Path) -> None:
    part = job / "part-000001.parquet"
    content = part.read_bytes()
    part.write_bytes(content[:-1] + b"x")
    with pytest.raises(TableError, match=r"part-000001\.parquet is not what the manifest describes"):
        list(merge_runs([os.fspath(job)]).predictions)
    part.unlink()
    with pytest.raises(TableError, match=r"part-000001\.parquet is missing"):
        merge_runs([os.fspath(job)])


def test_a_job_that_is_not_complete_or_not_alone_is_refused(job: Path) -> None:
    with pytest.raises(UsageError, match="merged by itself"):
        merge_runs([os.fspath(job), os.fspath(job)])
    (job / "manifest.json").write_text('{"partitions": [{}], "photos": 10}', encoding="utf-8")
    with pytest.raises(TableError, match=r"manifest.json: sha256 is missing"):
        merge_runs([os.fspath(job)])
    (job / "manifest.json").unlink()
    with pytest.raises(UsageError, match="is not complete"):
        merge_runs([os.fspath(job)])


def test_a_damaged_parquet_file_is_an_error_of_ours(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pip install 'geolocate[parquet]'")
    from pyarrow import parquet

    from geolocate.results import results_in

    for content in (b"PAR1", b"PAR1" + b"x" * 100 + b"PAR1", b"PAR1" + b"\xff" * 8 + b"\x00\x00\x00\x7fPAR1"):
        with pytest.raises(TableError):
            list(results_in(content, "a.parquet"))
    other = io.BytesIO()
    parquet.write_table(arrow.table({"photo": [1, 2]}), other)
    with pytest.raises(TableError, match=r"a\.parquet cannot be read"):
        list(results_in(other.getvalue(), "a.parquet"))
