"""The log of changes: whole lines count, torn ones do not, and a forged one harms nobody."""

from __future__ import annotations

import json
import os
import random
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tagging.tagged_folders import DARKTABLE, contents, draw, prediction, tag, write_results

from geolocate.errors import UsageError
from geolocate.tagging.change_log import Change, ChangeLog

TEMPORARY = ".geolocate-0123456789abcdef.partial"
CHANGES = [
    Change("/a/b.jpg", "sidecar", TEMPORARY, "", "f" * 64, None, 0o644, 0),
    Change("/a/caf\udce9\n.jpg", "sidecar", TEMPORARY, "0" * 64, "f" * 64, b"\0\xff" * 9, 0o600, -(10**18)),
    Change("/a/c.jpg", "begun", TEMPORARY),
    Change("/a/c.jpg", "photo", TEMPORARY, "0" * 64, "f" * 64),
]


@contextmanager
def opened(results: Path) -> Iterator[ChangeLog]:
    with closing(ChangeLog(os.fspath(results))) as log:
        yield log


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The name of results whose log holds CHANGES."""
    path = tmp_path / "out.csv"
    with opened(path) as log:
        for change in CHANGES:
            log.append(change)
    return path


def test_changes_come_back_the_newest_first(results: Path) -> None:
    with opened(results) as log:
        assert list(log.newest_first()) == CHANGES[::-1]
        log.append(CHANGES[0])
        assert next(log.newest_first()) == CHANGES[0]


def test_a_log_without_changes_leaves_no_file(tmp_path: Path) -> None:
    with opened(tmp_path / "out.csv"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_cut_off_anywhere_it_holds_the_lines_before_and_goes_on(results: Path) -> None:
    path = Path(f"{results}.tagged")
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with opened(results) as log:
            count = max(0, whole[:size].count(b"\n") - 1)
            assert list(log.newest_first()) == CHANGES[:count][::-1]
            log.append(CHANGES[3])
        with opened(results) as log:
            assert list(log.newest_first()) == [CHANGES[3], *CHANGES[:count][::-1]]


def test_a_log_that_is_damaged_is_left_as_it_is(results: Path) -> None:
    path = Path(f"{results}.tagged")
    whole = path.read_bytes()
    chance = random.Random(1)
    for _ in range(100):
        at = chance.randrange(len(whole))
        damaged = whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :]
        path.write_bytes(damaged)
        if whole.find(b"\n", at) < len(whole) - 1:
            with pytest.raises(UsageError, match=r"damaged after line \d: move it away|no log"):
                ChangeLog(os.fspath(results))
            assert path.read_bytes() == damaged


def forge(path: Path, **values: object) -> None:
    """A log of one change with right checksums."""
    change = {
        "photo": "",
        "kind": "sidecar",
        "temporary": TEMPORARY,
        "before": "",
        "after": "",
        "previous": None,
    }
    checksum, lines = 0, []
    for content in ('"geolocate tag 1"', json.dumps(change | {"mode": 0o644, "mtime_ns": 0} | values)):
        checksum = zlib.crc32(content.encode(), checksum)
        lines.append(f'["{checksum:08x}",{content}]\n')
    path.write_text("".join(lines))


@pytest.mark.parametrize(
    "values",
    [
        {"temporary": "../../precious"},
        {"kind": "remove"},
        {"mode": 0o4755},
        {"previous": "?"},
        {"photo": 1},
        {"mtime_ns": 1.5},
    ],
)
def test_a_line_that_says_anything_else_is_refused(values: dict[str, object], tmp_path: Path) -> None:
    forge(tmp_path / "out.csv.tagged", **values)
    refused = tag(tmp_path, tmp_path / "out.csv", "--undo")
    assert refused.exit_code == 2
    assert "line 2: not what this version writes" in refused.stderr


def test_a_forged_log_touches_nothing_that_it_does_not_know_the_content_of(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    draw(folder / "a.jpg")
    (folder / "a.jpg.xmp").write_bytes(DARKTABLE)
    draw(tmp_path / "outside" / "b.jpg")
    results = write_results(tmp_path / "out.csv", [prediction("a.jpg")])
    before = contents(tmp_path)
    for photo in (
        str(folder / "a.jpg"),
        str(tmp_path / "outside" / "b.jpg"),
        "/etc/passwd",
        "",
        "a\0b",
        "s3://a/b",
    ):
        for kind in ("sidecar", "photo"):
            forge(
                Path(f"{results}.tagged"),
                photo=photo,
                kind=kind,
                after="f" * 64,
                before="0" * 64,
                previous="AAAA",
            )
            assert tag(folder, results, "--undo").exit_code == 3
            Path(f"{results}.tagged").unlink()
            assert contents(tmp_path) == before
