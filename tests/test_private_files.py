"""What the program keeps is for the user's eyes alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from geolocate.bottleneck import Bottleneck, _save
from geolocate.bottleneck import cache_folder as bottleneck_folder
from geolocate.bundle import load_bundle
from geolocate.embedded_gallery import cache_folder, open_gallery
from geolocate.embedding_cache import EmbeddingCache
from geolocate.embedding_cache import default_cache_path as embeddings_path
from geolocate.geocode_cache import AnswerCache, default_cache_path
from geolocate.private_files import cache_root, make_private_file, make_private_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="permissions are inherited on Windows")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """From an open one to a strict one."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fill(tmp_path: Path) -> AnswerCache:
    """Everything that the program keeps, but what is fetched; one file is open, so with its side files."""
    with EmbeddingCache(embeddings_path(), "model", 2, print) as embeddings:
        embeddings.put([("content", np.ones(2, np.float32))])
    answers = AnswerCache(default_cache_path(), print)
    answers.put("nominatim", 1, 2, None)
    (tmp_path / "own.csv").write_text("LAT,LON\n48.85,2.35\n", encoding="utf-8")
    (tmp_path / "own.csv").chmod(0o600)
    open_gallery(tmp_path / "own.csv", load_bundle("starter"), "cpu")
    empty = np.zeros((1, 1))
    layer = Bottleneck(np.array(["IT"]), empty, empty[0], empty[0], 1.0, 1.0, 1.0, 1, 1)
    _save(bottleneck_folder() / f"{'0' * 32}.npz", layer)
    return answers


def test_all_that_is_kept_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    tmp_path.chmod(0o700)
    answers = fill(tmp_path)
    entries = [cache_root(), *cache_root().rglob("*")]
    assert len([path for path in entries if path.is_file()]) >= 8
    assert {mode(path) for path in entries if path.is_dir()} == {0o700}
    assert {mode(path) for path in entries if path.is_file()} == {0o600}
    answers.close()


def test_what_stood_open_in_the_cache_is_closed_and_the_users_own_folders_stay(
    tmp_path: Path, home: Path
) -> None:
    for folder in (home, cache_root(), cache_folder()):
        folder.mkdir(mode=0o777)
        folder.chmod(0o755)
    for name in ("", "-wal"):
        path = default_cache_path().with_name(default_cache_path().name + name)
        path.touch()
        path.chmod(0o644)
    fill(tmp_path).close()
    assert mode(home) == 0o755
    assert mode(cache_root()) == mode(cache_folder()) == 0o700
    assert {mode(path) for path in cache_root().rglob("*") if path.is_file()} == {0o600}


def test_a_folder_that_the_user_names_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs").chmod(0o755)
    make_private_folder(tmp_path / "theirs")
    assert mode(tmp_path / "theirs") == 0o755
    make_private_folder(tmp_path / "theirs" / "new" / "deep")
    assert mode(tmp_path / "theirs" / "new") == mode(tmp_path / "theirs" / "new" / "deep") == 0o700


def test_a_cache_folder_of_another_user_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cache_root().mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    told: list[str] = []
    AnswerCache(default_cache_path(), told.append).put("nominatim", 1, 2, None)
    assert len(told) == 1
    assert "belongs to another user" in told[0]
    assert list(cache_root().iterdir()) == []


def test_a_link_in_place_of_a_private_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    (tmp_path / "secret").chmod(0o644)
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        make_private_file(tmp_path / "link")
    assert mode(tmp_path / "secret") == 0o644


def test_a_pipe_in_place_of_a_private_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", mode=0o600)
    with pytest.raises(OSError, match="is not a regular file"):
        make_private_file(tmp_path / "pipe")


def test_a_link_that_is_put_there_a_moment_later_closes_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").touch()
    (tmp_path / "shared").chmod(0o644)
    (tmp_path / "own").touch()
    (tmp_path / "own").chmod(0o644)
    opened = os.open

    def then_linked(path: Path, *arguments: int) -> int:
        descriptor = opened(path, *arguments)
        path.rename(tmp_path / "moved")
        path.symlink_to(tmp_path / "shared")
        return descriptor

    monkeypatch.setattr(os, "open", then_linked)
    make_private_file(tmp_path / "own")
    assert mode(tmp_path / "shared") == 0o644
    assert mode(tmp_path / "moved") == 0o600
