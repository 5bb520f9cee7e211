"""Promises of the cache of geocoding answers."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from geolocate.geocode_cache import MAX_AGE_DAYS, AnswerCache, default_cache_path
from geolocate.records import Place, Position

AREZZO = Place("Arezzo", "Tuscany", "Italy", "IT", Position(43.4628, 11.8807))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "geocoding.sqlite3"


def opened(path: Path, told: list[str]) -> closing[AnswerCache]:
    return closing(AnswerCache(path, told.append))


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM answers").fetchone()[0])


def test_a_later_run_finds_the_same_place(path: Path) -> None:
    told: list[str] = []
    with opened(path, told) as cache:
        assert cache.get("nominatim", 4346, 1188) == (False, None)
        cache.put("nominatim", 4346, 1188, AREZZO)
        cache.put("nominatim", 0, -3000, None)
    with opened(path, told) as cache:
        assert cache.get("nominatim", 4346, 1188) == (True, AREZZO)
        assert cache.get("nominatim", 0, -3000) == (True, None)
        assert cache.get("photon", 4346, 1188) == (False, None)
    assert told == []


def test_the_cache_is_private(path: Path) -> None:
    with opened(path, []) as cache:
        cache.put("nominatim", 1, 2, AREZZO)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        files = list(path.parent.iterdir())
        assert len(files) == 3  # the side files of write-ahead logging are there while the cache is open
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_file_that_is_no_cache_is_set_aside_and_a_new_one_begins(path: Path) -> None:
    told: list[str] = []
    path.parent.mkdir()
    path.write_bytes(b"this was a database once " * 400)
    with opened(path, told) as cache:
        cache.put("nominatim", 1, 2, AREZZO)
        assert cache.get("nominatim", 1, 2) == (True, AREZZO)
    assert len(told) == 1
    assert path.with_name(path.name + ".damaged").read_bytes().startswith(b"this was")
    assert count(path) == 1


@pytest.mark.parametrize("first_bad_byte", [200, 4096, 8192])
def test_a_cache_that_is_damaged_inside_is_set_aside(path: Path, first_bad_byte: int) -> None:
    told: list[str] = []
    with opened(path, told) as cache:
        for row in range(300):
            cache.put("nominatim", row, row, AREZZO)
    content = bytearray(path.read_bytes())
    content[first_bad_byte:] = b"\xaa" * (len(content) - first_bad_byte)
    path.write_bytes(content)
    with opened(path, told) as cache:
        for row in range(300):
            cache.get("nominatim", row, row)
        cache.put("nominatim", 1, 2, AREZZO)
        assert cache.get("nominatim", 1, 2) == (True, AREZZO)
    assert len(told) == 1
    assert path.with_name(path.name + ".damaged").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x"}', "not json", '{"position": 7}'])
def test_an_entry_that_makes_no_sense_is_no_answer(path: Path, text: str) -> None:
    with opened(path, []) as cache:
        cache.put("nominatim", 1, 2, AREZZO)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE answers SET place = ?", (text,))
        assert cache.get("nominatim", 1, 2) == (False, None)


def test_an_old_answer_is_forgotten(path: Path) -> None:
    told: list[str] = []
    now = 1.8e9
    with closing(AnswerCache(path, told.append, now=lambda: now)) as cache:
        cache.put("nominatim", 1, 2, AREZZO)
        now += (MAX_AGE_DAYS - 1) * 86_400
        assert cache.get("nominatim", 1, 2) == (True, AREZZO)
        now += 2 * 86_400
        assert cache.get("nominatim", 1, 2) == (False, None)
    with closing(AnswerCache(path, told.append, now=lambda: now)):
        pass
    assert count(path) == 0


def test_a_cache_that_cannot_be_written_is_said_once_and_does_without(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "file").write_text("in the way")
    with opened(tmp_path / "file" / "geocoding.sqlite3", told) as cache:
        cache.put("nominatim", 1, 2, AREZZO)
        assert cache.get("nominatim", 1, 2) == (False, None)
    assert len(told) == 1


def test_the_default_cache_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_path().parent.name == "geolocate"


def test_runs_that_share_a_cache_do_not_lock_each_other_out(path: Path) -> None:
    code = """
import sys
from pathlib import Path
from geolocate.geocode_cache import AnswerCache
from geolocate.records import Place, Position
told = []
cache = AnswerCache(Path(sys.argv[1]), told.append)
for row in range(1000):
    cache.put("nominatim", row, int(sys.argv[2]), Place("x", "", "", "", Position(0, 0)))
    cache.get("nominatim", row, 1 - int(sys.argv[2]))
cache.close()
print(told)
"""
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(row)], stdout=subprocess.PIPE, text=True)
        for row in range(2)
    ]
    assert [run.communicate()[0].strip() for run in runs] == ["[]", "[]"]
    assert count(path) == 2000
