"""The journal: what is in it survives; what is torn is noticed; what is another run's is refused."""

from __future__ import annotations

import errno
import itertools
import os
import random
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from geolocate.errors import OutputError, UsageError
from geolocate.records import Candidate, Concept, NamedPosition, Place, Position, Prediction
from geolocate.writers.journal import SYNC_INTERVAL_S, Journal

RUN = {"inputs": ["photos"], "options": {"top_k": 1, "near": (1.0, 2.0, 3.0)}, "bundle": {"sha256": "ab"}}
PLACE = Place("Bad Ischl", "Upper Austria", "Austria", "AT", Position(47.7, 13.6), 2782067)
CANDIDATE = Candidate(1, Position(0.1 + 0.2, -73.9), 1 / 3, 12.5, NamedPosition(PLACE, 1.25), None)


def prediction(number: int) -> Prediction:
    if number % 3 == 2:
        return Prediction(f"photos/{number}\udcff.jpg", error="damaged")
    return Prediction(
        f"photos/{number}.jpg", (CANDIDATE,), (Concept("alp", 0.5),), Position(1, 2), "m", ("x",)
    )


def written(output: Path, count: int) -> Path:
    """A journal that a killed program left, with so many photos."""
    journal = Journal(output)
    journal.begin(RUN)
    for number in range(count):
        journal.write(prediction(number))
    journal.close()
    return journal.path


def resumed(output: Path) -> list[Prediction]:
    journal = Journal(output)
    journal.begin(RUN)
    earlier = list(journal.earlier())
    assert journal.photos == len(earlier)
    journal.close()
    return earlier


def test_what_was_written_comes_back_in_order_and_more_can_follow(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    path = written(output, 4)
    assert path == tmp_path / "out.csv.journal"
    journal = Journal(output)
    journal.begin(RUN)
    assert list(journal.earlier()) == [prediction(number) for number in range(4)]
    journal.write(prediction(4))
    journal.close()
    assert resumed(output) == [prediction(number) for number in range(5)]


def test_a_last_line_torn_at_any_byte_is_cut_and_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    output = tmp_path / "out.csv"
    path = written(output, 5)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 6
    for size in range(len(b"".join(lines[:4])), len(whole) + 1):
        path.write_bytes(whole[:size])
        journal = Journal(output)
        journal.begin(RUN)
        kept = list(journal.earlier())
        assert len(kept) == whole[:size].count(b"\n") - 1, size
        for number in range(len(kept), 5):
            journal.write(prediction(number))
        journal.close()
        assert path.read_bytes() == whole, size


def test_a_first_line_torn_at_any_byte_is_a_run_without_photos(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    written(output, 1)
    header = (tmp_path / "out.csv.journal").read_bytes().splitlines(keepends=True)[0]
    for size in range(len(header)):
        (tmp_path / "out.csv.journal").write_bytes(header[:size])
        journal = Journal(output)
        assert journal.photos == 0
        journal.close()
        assert not journal.path.exists()


@pytest.mark.parametrize("seed", range(40))
def test_garbage_of_a_power_cut_ends_the_journal_before_it(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    output = tmp_path / "out.csv"
    path = written(output, 6)
    data = bytearray(path.read_bytes())
    first = data.index(b"\n") + 1
    start = chance.randrange(first, len(data))
    end = min(len(data), start + chance.choice((1, 7, 300)))
    before = data.count(b"\n", first, start)  # whole lines that nothing happened to
    for position in range(start, end):
        data[position] = 0 if seed % 2 else data[position] ^ chance.randrange(1, 256)
    path.write_bytes(data + bytes(chance.choice((0, 4096))))
    assert resumed(output) == [prediction(number) for number in range(before)]
    assert not before or path.read_bytes().count(b"\n") == before + 1


def test_a_line_that_is_missing_doubled_or_out_of_place_is_noticed(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    lines = written(output, 4).read_bytes().splitlines(keepends=True)
    for order in ((0, 1, 3, 4), (0, 1, 1, 2), (0, 1, 3, 2, 4)):
        (tmp_path / "out.csv.journal").write_bytes(b"".join(lines[number] for number in order))
        assert resumed(output) == [prediction(0)], order


def test_a_file_of_zeros_is_what_a_power_cut_left_of_a_journal(tmp_path: Path) -> None:
    (tmp_path / "out.csv.journal").write_bytes(bytes(5000))
    assert resumed(tmp_path / "out.csv") == []


def test_another_file_of_that_name_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "out.csv.journal"
    path.write_text("dear journal,\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no journal of an unfinished run; --overwrite discards it"):
        Journal(tmp_path / "out.csv")
    assert path.read_text(encoding="utf-8") == "dear journal,\n"
    journal = Journal(tmp_path / "out.csv", overwrite=True)
    journal.begin(RUN)
    journal.write(prediction(0))
    journal.close()
    assert resumed(tmp_path / "out.csv") == [prediction(0)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": {"top_k": 5, "near": (1.0, 2.0, 3.0)}}, "top_k was 1 and is 5"),
        ({"options": {"top_k": 1, "near": None}}, r"near was \[1.0, 2.0, 3.0\] and is null"),
        ({"inputs": ["photos", "more"]}, r'inputs was \["photos"\] and is \["photos", "more"\]'),
        ({"inputs": ["photo" * 50]}, "inputs differs"),
        ({"bundle": {"sha256": "cd"}}, 'sha256 was "ab" and is "cd"'),
        ({"program": "2"}, 'program was null and is "2"'),
    ],
)
def test_a_run_that_differs_is_refused_and_told_in_what(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = written(tmp_path / "out.csv", 2)
    before = path.read_bytes()
    journal = Journal(tmp_path / "out.csv")
    with pytest.raises(UsageError, match=said):
        journal.begin(RUN | change)
    journal.close()
    assert path.read_bytes() == before


def test_a_run_that_differs_but_has_nothing_done_is_in_nobodys_way(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    first = Journal(output)
    first.begin(RUN | {"program": "an older one, with a longer name"})
    header = first.path.read_bytes()
    first.close()
    first.path.write_bytes(header)  # as a killed program leaves it
    assert resumed(output) == []
    assert written(output, 1).read_bytes().count(b"\n") == 2


def test_two_runs_cannot_write_one_journal(tmp_path: Path) -> None:
    first = Journal(tmp_path / "out.csv")
    with pytest.raises(UsageError, match="another run is writing"):
        Journal(tmp_path / "out.csv", overwrite=True)
    first.close()


def test_a_full_disk_leaves_whole_lines_and_the_rest_can_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.csv"
    journal = Journal(output)
    journal.begin(RUN)
    journal.write(prediction(0))
    whole = journal.path.read_bytes()
    write, room = os.write, 100

    def write_while_there_is_room(descriptor: int, data: Any) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = write(descriptor, data[:room])
        room -= count
        return count

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_while_there_is_room)
        with pytest.raises(OutputError, match=r"out\.csv\.journal: No space left on device"):
            journal.write(prediction(1))
    assert journal.path.read_bytes() == whole
    journal.write(prediction(1))
    journal.close()
    assert resumed(output) == [prediction(0), prediction(1)]


def test_what_is_done_reaches_the_disk_every_few_seconds_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    times = itertools.count(0.0, SYNC_INTERVAL_S / 10)
    journal = Journal(tmp_path / "out.csv", clock=lambda: next(times))
    journal.begin(RUN)
    begun = len(synced)
    assert begun >= 1
    for number in range(100):
        journal.write(prediction(number))
    assert 8 <= len(synced) - begun <= 11
    during = len(synced)
    journal.close()
    assert len(synced) == during + 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_the_journal_of_a_private_output_is_private(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    output.touch(mode=0o600)
    assert written(output, 1).stat().st_mode & 0o777 == 0o600


def test_a_link_in_place_of_the_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"")
    try:
        (tmp_path / "out.csv.journal").symlink_to(tmp_path / "precious")
    except OSError:
        pytest.skip("needs symbolic links")
    with pytest.raises(OutputError):
        Journal(tmp_path / "out.csv", overwrite=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"photo":', b'"foto":'),
        (b'"photos/0.jpg"', b"7"),
        (b'"notes":["x"]', b'"notes":[7]'),
        (b'"latitude":0.30000000000000004', b'"latitude":1' + b"0" * 400),
        (b'"candidates":[{', b'"candidates":[7,{'),
        (b'"score":0.5', b'"score":"0.5"'),
        (b'"ocean":false', b'"ocean":null'),
        (b'"model":"m"', b'"model":"\xff"'),
        (b'"model":"m"', b'"model":' + b"[" * 100_000),
        (b'"model":"m"', b'"model":"m","newer":1'),
    ],
)
def test_a_line_that_was_edited_with_its_checksum_is_refused_by_number(
    tmp_path: Path, before: bytes, after: bytes
) -> None:
    path = written(tmp_path / "out.csv", 1)
    run, photo = (line[12:-1] for line in path.read_bytes().splitlines())
    assert before in photo
    photo = photo.replace(before, after, 1)
    checksum = zlib.crc32(run)
    lines = b'["%08x",%b]\n["%08x",%b]\n' % (checksum, run, zlib.crc32(photo, checksum), photo)
    path.write_bytes(lines)
    journal = Journal(tmp_path / "out.csv")
    try:
        journal.begin(RUN)
        with pytest.raises(UsageError, match="line 2: not what this version writes"):
            list(journal.earlier())
    finally:
        journal.close()
    assert path.read_bytes() == lines


@pytest.mark.parametrize("run", [b"7", b'"x"', b"[[]]", b'{"a":' * 100_000])
def test_a_first_line_that_tells_of_no_run_is_no_journal(tmp_path: Path, run: bytes) -> None:
    content = b'["geolocate journal 1",' + run + b"]"
    (tmp_path / "out.csv.journal").write_bytes(b'["%08x",%b]\n' % (zlib.crc32(content), content))
    with pytest.raises(UsageError, match="is no journal of an unfinished run"):
        Journal(tmp_path / "out.csv")
