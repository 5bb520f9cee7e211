"""Files below a folder are opened without being led out of it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from geolocate import confined_open
from geolocate.confined_open import open_beneath, read_beneath, walk


@pytest.fixture(params=[True, False], ids=["by parts", "by path"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder beside a secret; read as on systems with and without openat."""
    if not request.param:
        monkeypatch.setattr(confined_open, "BY_PARTS", False)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "b" / "sub").mkdir(parents=True)
    (tmp_path / "b" / "sub" / "file").write_bytes(b"content")
    return tmp_path / "b"


def test_a_file_in_a_folder_is_read_also_through_a_link_to_the_folder_itself(folder: Path) -> None:
    assert read_beneath(folder, "sub/file", 7) == b"content"
    (folder.parent / "link").symlink_to(folder)
    assert read_beneath(folder.parent / "link", "sub/file", 7) == b"content"


def test_no_more_than_the_limit_is_read(folder: Path) -> None:
    with pytest.raises(OSError, match="larger than 6 bytes") as caught:
        read_beneath(folder, "sub/file", 6)
    assert caught.value.errno == errno.EFBIG


def test_a_link_is_not_followed_wherever_it_stands(folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "away").symlink_to(folder.parent)
    for name in ("link", "away/secret", "away/b/sub/file"):
        with pytest.raises(OSError, match=r"symbolic links|Not a directory|not a regular file"):
            open_beneath(folder, name)


def test_what_is_no_file_is_refused_at_once(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    for name in ("fifo", "sub", "nothing", "sub/file/inside"):
        with pytest.raises(OSError, match=r"not a regular file|No such file|Not a directory"):
            open_beneath(folder, name)


@pytest.mark.skipif(not confined_open.BY_PARTS, reason="needs openat")
@pytest.mark.parametrize("folder", [True], indirect=True)
def test_a_folder_that_becomes_a_link_after_the_look_leads_nowhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_open = os.open

    def swapped(path: str, flags: int, *rest: int, dir_fd: int | None = None) -> int:
        if path == "file":  # `sub` was opened: from here on another folder has its name
            (folder / "sub").rename(folder / "moved")
            (folder.parent / "trap").mkdir()
            (folder.parent / "trap" / "file").write_bytes(b"trap")
            (folder / "sub").symlink_to(folder.parent / "trap")
        return plain_open(path, flags, *rest, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapped)
    assert read_beneath(folder, "sub/file", 100) == b"content"


def test_a_walk_follows_no_link_and_goes_on_where_something_went_away(tmp_path: Path) -> None:
    for name in ("b", "sub/a", "sub/deep/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"content")
    (tmp_path / "out").symlink_to(tmp_path.parent)
    (tmp_path / "broken").symlink_to("nowhere")
    names = ["b", "broken", "out", "sub/a", "sub/deep/c"]
    assert [name for name, _ in walk(tmp_path)] == names
    assert [name for name, status in walk(tmp_path) if stat.S_ISREG(status.st_mode)] == [
        "b",
        "sub/a",
        "sub/deep/c",
    ]
    found = walk(tmp_path)
    next(found)
    (tmp_path / "broken").unlink()
    assert [name for name, _ in found] == names[2:]
