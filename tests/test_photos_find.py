"""Which photos there are, in which order, and what is never opened."""

from __future__ import annotations

import io
import os
import socket
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from geolocate.errors import PhotoNotFound, PhotoNotReadable, UsageError
from geolocate.photos import check_arguments, count_photos, decode_photo, find_photos, read_path_list

#: Folders in each other: with names of four letters more bytes of path than any system call takes.
DEPTH = 1300

posix_only = pytest.mark.skipif(os.name != "posix", reason="the file system of POSIX systems")


def find(*arguments: object, **options: object) -> tuple[list[str], list[str]]:
    warnings: list[str] = []
    found = find_photos(map(os.fspath, arguments), on_warning=warnings.append, **options)  # type: ignore[call-overload, arg-type]
    return list(found), warnings


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_come_depth_first_by_name_with_files_and_folders_interleaved(inside: Path) -> None:
    touch(inside, "p/b.jpg", "p/a/z.png", "p/a.jpg", "p/c/y/1.webp", "p/c/x.tif", "p/B.JPG", "p/é.jpg")
    assert find("p")[0] == [
        "p/B.JPG",
        "p/a/z.png",
        "p/a.jpg",
        "p/b.jpg",
        "p/c/x.tif",
        "p/c/y/1.webp",
        "p/é.jpg",
    ]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("p", "p/a.jpg"),
        ("p/", "p/a.jpg"),
        ("p//", "p/a.jpg"),
        ("./p", "./p/a.jpg"),
        ("./", "./p/a.jpg"),
        (".", "./p/a.jpg"),
    ],
)
def test_a_photo_is_called_as_it_was_reached_from_the_argument(
    inside: Path, argument: str, expected: str
) -> None:
    touch(inside, "p/a.jpg")
    assert find(argument)[0] == [expected]


def test_arguments_keep_their_order_and_explicit_files_are_always_tried(inside: Path) -> None:
    touch(inside, "z.jpg", "p/a.jpg", "notes.txt", ".hidden")
    assert find("z.jpg", "notes.txt", "p", ".hidden", "z.jpg")[0] == [
        "z.jpg",
        "notes.txt",
        "p/a.jpg",
        ".hidden",
        "z.jpg",
    ]


def test_extensions_select_in_folders_and_hidden_names_are_skipped(inside: Path) -> None:
    touch(inside, "p/a.jpeg", "p/b.txt", "p/.c.jpg", "p/.d/e.jpg", "p/f", "p/g.HEIC", "p/out.csv", "p/h.eps")
    assert find("p")[0] == ["p/a.jpeg", "p/g.HEIC"]


def test_raw_and_video_files_are_counted_in_one_note(inside: Path) -> None:
    touch(inside, "p/a.jpg", "p/b.NEF", "p/q/c.dng", "p/d.mp4")
    found, warnings = find("p")
    assert found == ["p/a.jpg"]
    assert warnings == ["left out 2 RAW and 1 video files, which are not decoded"]


def test_an_empty_folder_gives_nothing_and_no_complaint(inside: Path) -> None:
    assert find(inside) == ([], [])


def test_counting_follows_the_rules_of_finding(inside: Path) -> None:
    touch(inside, "p/a.jpg", "p/b.txt", "p/q/c.png", "x.bin")
    assert count_photos(["p", "x.bin"]) == 3


def test_each_photo_is_told_with_the_argument_that_it_was_reached_from(inside: Path) -> None:
    touch(inside, "photos/a.jpg", "photos/deep/b.jpg", "c.jpg")
    told: list[tuple[str, str]] = []
    found, _ = find("photos/", "c.jpg", "photos", on_found=lambda *pair: told.append(pair))
    assert told == [("photos/", "photos/a.jpg"), ("photos/", "photos/deep/b.jpg"), ("c.jpg", "c.jpg")]
    assert [photo for _, photo in told] == found
    assert count_photos(["photos", "c.jpg"], counts=lambda argument, photo: argument == "photos") == 2


def test_finding_is_lazy(inside: Path) -> None:
    touch(inside, "p/a.jpg")

    def arguments() -> Iterator[str]:
        yield "p"
        raise AssertionError("the second argument was asked for too early")

    assert next(find_photos(arguments(), on_warning=print)) == "p/a.jpg"


@posix_only
def test_a_link_to_a_parent_folder_gives_each_photo_once(inside: Path) -> None:
    touch(inside, "p/a.jpg", "p/q/b.jpg")
    (inside / "p/q/loop").symlink_to(inside / "p")
    (inside / "p/self.jpg").symlink_to("self.jpg")
    found, warnings = find("p", "p/q")
    assert found == ["p/a.jpg", "p/q/b.jpg", "p/self.jpg"]
    assert warnings == []
    with pytest.raises(PhotoNotReadable):
        decode_photo("p/self.jpg", size=8)


@posix_only
def test_links_to_files_are_followed_and_a_dangling_one_is_a_failed_photo(inside: Path) -> None:
    touch(inside, "elsewhere/a.jpg", "p/c.txt")
    (inside / "p/b.jpg").symlink_to(inside / "elsewhere/a.jpg")
    (inside / "p/gone.jpg").symlink_to("nowhere.jpg")
    (inside / "p/gone.txt").symlink_to("nowhere.txt")
    assert find("p")[0] == ["p/b.jpg", "p/gone.jpg"]
    with pytest.raises(PhotoNotFound, match=r"^no such file$"):
        decode_photo("p/gone.jpg", size=8)


@posix_only
def test_hard_links_keep_a_row_each(inside: Path) -> None:
    touch(inside, "p/a.jpg")
    (inside / "p/b.jpg").hardlink_to(inside / "p/a.jpg")
    assert find("p")[0] == ["p/a.jpg", "p/b.jpg"]


@posix_only
@pytest.mark.timeout(20)
def test_fifo_socket_and_device_are_never_opened(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(inside, "p/z.jpg")
    os.mkfifo(inside / "p/fifo.jpg")
    (inside / "p/null.jpg").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("p/socket.jpg")
        assert find("p")[0] == ["p/z.jpg"]
        monkeypatch.setattr(os, "open", lambda *_, **__: pytest.fail("opened"))
        for name in ("fifo", "null", "socket"):
            assert find(f"p/{name}.jpg")[0] == [f"p/{name}.jpg"]
            with pytest.raises(PhotoNotReadable, match=r"^not a regular file$"):
                decode_photo(f"p/{name}.jpg", size=8)


def test_an_unreadable_folder_is_a_warning_and_its_siblings_go_on(
    inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(inside, "p/a/1.jpg", "p/b/2.jpg", "p/c/3.jpg")
    scandir = os.scandir

    def guarded(folder: str) -> object:
        if folder == "p/b":  # as for a folder of another user; the tests may run as root, whom nothing stops
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    found, warnings = find("p")
    assert found == ["p/a/1.jpg", "p/c/3.jpg"]
    assert warnings == ["folder p/b cannot be read, its photos are left out: Permission denied"]


def test_what_cannot_be_looked_at_is_told_and_photos_among_it_fail_in_their_rows(
    inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that may be read but not entered: its names are known, and nothing about them."""
    touch(inside, "p/a/1.jpg", "p/b/2.jpg", "p/b/sub/3.jpg", "p/b/notes.txt", "p/b/raw.nef", "p/c.jpg")
    real = os.stat

    def guarded(path: str, **options: Any) -> os.stat_result:
        if os.fspath(path).startswith("p/b/"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, **options)

    monkeypatch.setattr(os, "stat", guarded)
    found, warnings = find("p")
    assert found == ["p/a/1.jpg", "p/b/2.jpg", "p/c.jpg"]
    assert warnings == [
        "p/b/sub cannot be looked at, what may be in it is left out: Permission denied",
        "left out 1 RAW file, which is not decoded",
    ]


@posix_only
def test_folders_too_deep_for_the_system_are_told_and_the_others_go_on(inside: Path) -> None:
    touch(inside, "p/a.jpg", "p/z.jpg")
    at = os.open("p", os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("deep", dir_fd=at)
        below = os.open("deep", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("lost.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    try:
        found, warnings = find("p")
    finally:
        for _ in range(DEPTH - 1):  # a deep folder is more than a recursive removal can do
            os.rename("p/deep/deep", "p/below")
            os.rmdir("p/deep")
            os.rename("p/below", "p/deep")
    assert found == ["p/a.jpg", "p/z.jpg"]
    (warning,) = warnings
    assert warning.startswith("p/deep/deep/")
    assert warning.endswith("/deep cannot be looked at, what may be in it is left out: File name too long")
    assert len(warning) < 400


def test_outputs_of_the_run_are_never_read_as_input(inside: Path) -> None:
    touch(inside, "p/a.jpg", "p/map.png", "p/q/map.png")
    assert find("p", exclude=["./p/../p/map.png", "p/not-yet.png"])[0] == ["p/a.jpg", "p/q/map.png"]
    found, warnings = find("p/map.png", "p/a.jpg", exclude=[str(inside / "p/map.png")])
    assert found == ["p/a.jpg"]
    assert warnings == ["p/map.png is an output of this run: not read as a photo"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are not UTF-8")
def test_names_that_are_not_utf8_or_hold_control_characters_survive(inside: Path) -> None:
    names = [b"\xff\xfe.jpg", b"a\nb\t\x1b[31m.jpg", b"-x.jpg", b"=cmd|'.jpg"]
    for name in names:
        Path(os.fsdecode(b"p/" + name)).parent.mkdir(exist_ok=True)
        Path(os.fsdecode(b"p/" + name)).touch()
    found, _ = find("p")
    assert [os.fsencode(path) for path in found] == [b"p/" + name for name in sorted(names)]
    assert find(os.fsdecode(names[0]))[0] == [os.fsdecode(names[0])]


def test_a_missing_argument_is_named_before_any_work(inside: Path) -> None:
    touch(inside, "a.jpg", "-x.jpg")
    check_arguments(["a.jpg", ".", "-x.jpg"])
    with pytest.raises(UsageError, match=r"no such file or folder: missing\.jpg"):
        check_arguments(["a.jpg", "missing\x1b.jpg"])
    with pytest.raises(UsageError):
        check_arguments(["a.jpg/b.jpg"])
    with pytest.raises(UsageError):
        check_arguments(["nul\0.jpg"])


@posix_only
def test_a_dangling_link_as_argument_is_there(inside: Path) -> None:
    (inside / "gone.jpg").symlink_to("nowhere.jpg")
    check_arguments(["gone.jpg"])


@pytest.mark.parametrize(
    ("data", "null", "expected"),
    [
        (b"a.jpg\nb c.jpg\n", False, ["a.jpg", "b c.jpg"]),
        (b"\n\na.jpg\r\n\r\nb.jpg\r", False, ["a.jpg", "b.jpg"]),
        (b"a.jpg\0b.jpg\0", False, ["a.jpg", "b.jpg"]),
        (b"a\nb.jpg\0\0c.jpg\r\0-x.jpg", True, ["a\nb.jpg", "c.jpg\r", "-x.jpg"]),
        (b"", False, []),
        (b"\xff.jpg", False, [os.fsdecode(b"\xff.jpg")]),
        (b"BMW.jpg\0b.jpg\0", True, ["BMW.jpg", "b.jpg"]),
    ],
)
def test_lists_of_paths_may_have_blank_lines_crlf_and_nul(
    data: bytes, null: bool, expected: list[str]
) -> None:
    assert list(read_path_list(io.BytesIO(data), null)) == expected


def test_a_list_is_read_as_it_arrives() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb", buffering=0) as pipe:
        paths = read_path_list(stream, null=False)
        pipe.write(b"a.jpg\nb.j")
        assert next(paths) == "a.jpg"
        pipe.write(b"pg\n")
        assert next(paths) == "b.jpg"


@pytest.mark.parametrize(
    "beginning", [b"\xff\xd8\xff\xe1\0\n/\n", b"\x89PNG\r\n\x1a\n/\n", b"BM6\0\x0c\0\0\0\0\0\n/\n"]
)
@pytest.mark.parametrize("null", [False, True])
def test_a_photo_in_place_of_a_list_is_no_search_of_the_whole_disk(beginning: bytes, null: bool) -> None:
    with pytest.raises(UsageError, match=r"is a (JPEG|PNG|BMP) picture: name the file"):
        next(read_path_list(io.BytesIO(beginning), null))


def packed(kind: str) -> bytes:
    made = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("a.jpg", "/\n/etc/passwd\n")
        return made.getvalue()
    with tarfile.open(fileobj=made, mode=f"w:{kind}") as tar:
        tar.addfile(tarfile.TarInfo("a.jpg"))
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        *(
            (packed(kind), r"(archive|compressed by \w+): name the file")
            for kind in ("zip", "", "gz", "bz2", "xz")
        ),
        (b"%PDF-1.7\n/\n", "a PDF document: name the file"),
        (b"\x7fELF\2\1\1\0\0\0/\n", "binary: a list is text"),
        ("a.jpg\n".encode("utf-16"), "UTF-16"),
    ],
)
@pytest.mark.parametrize("null", [False, True])
def test_other_content_in_place_of_a_list_is_refused(content: bytes, kind: str, null: bool) -> None:
    with pytest.raises(UsageError, match=kind):
        next(read_path_list(io.BytesIO(content), null))


@pytest.mark.parametrize("null", [False, True])
def test_odd_names_are_no_binary_content(null: bool) -> None:
    names = [b"BM.jpg", b"PK.jpg", b"\x01\x1b.jpg", b"\xff\xfe.jpg", b"PAR1.jpg", b"7z.jpg"]
    for first in range(len(names)):
        turned = names[first:] + names[:first]
        listed = read_path_list(io.BytesIO((b"\0" if null else b"\n").join(turned)), null)
        assert list(listed) == list(map(os.fsdecode, turned))


def test_a_stream_without_separators_is_refused_and_not_collected() -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return b"x" * size

    with pytest.raises(UsageError, match="longer than any path"):
        next(read_path_list(Endless(), null=False))  # type: ignore[arg-type]


def test_memory_does_not_grow_with_the_tree(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200,000 files in 200 folders, as the file system would tell them: 45 MB of paths, were they kept."""

    class Entry:
        def __init__(self, name: str) -> None:
            self.name = name

        def is_file(self, *, follow_symlinks: bool) -> bool:
            return self.name.endswith(".jpg")

    class Listing(list[Entry]):
        def __enter__(self) -> Listing:
            return self

        def __exit__(self, *_: object) -> None:
            return None

    def scandir(folder: str) -> Listing:
        if folder == "p":
            return Listing(Entry(f"folder{number:06}") for number in range(200))
        return Listing(Entry(f"photo{number:06}.jpg") for number in range(1000))

    real_stat, file_status = os.stat, os.stat(__file__)

    def fake_stat(path: str, **_: object) -> os.stat_result:
        if path.endswith(".jpg"):
            return file_status
        folder = list(real_stat(inside))
        folder[1] = hash(path)
        return os.stat_result(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "stat", fake_stat)
    tracemalloc.start()
    count = sum(1 for _ in find_photos(["p"], on_warning=print))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 200_000
    assert peak < 2**20


def test_a_file_costs_no_look_of_its_own(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they are the folder tells; over a million small files a look at each would take longest of all."""
    touch(inside, "p/a.jpg", "p/notes.txt", "p/q/b.jpg", "p/q/jpg", "p/q/raw.nef")
    looked_at: list[str] = []
    for name in ("stat", "lstat"):
        real = getattr(os, name)

        def noted(path: str, real: Any = real, **options: Any) -> os.stat_result:
            looked_at.append(os.fspath(path))
            status: os.stat_result = real(path, **options)
            return status

        monkeypatch.setattr(os, name, noted)
    found, warnings = find("p", exclude=[os.path.abspath("out.csv")])
    assert found == ["p/a.jpg", "p/q/b.jpg"]
    assert warnings == ["left out 1 RAW file, which is not decoded"]
    assert [path for path in looked_at if path.startswith("p")] == ["p", "p/q"]


@pytest.mark.parametrize(("extension", "bytes_each"), [("txt", 1), ("jpg", 80)])
def test_a_folder_of_very_many_files_keeps_short_names_of_its_photos_alone(
    inside: Path, monkeypatch: pytest.MonkeyPatch, extension: str, bytes_each: int
) -> None:
    class Entry:
        def __init__(self, name: str) -> None:
            self.name = name

        def is_file(self, *, follow_symlinks: bool) -> bool:
            return True

    @contextmanager
    def scandir(folder: str) -> Iterator[Iterator[Entry]]:
        yield (Entry(f"file{number * 7919 % 100_003:09}.{extension}") for number in range(100_000))

    touch(inside, "p/a.jpg")
    monkeypatch.setattr(os, "scandir", scandir)
    tracemalloc.start()
    found = sum(1 for _ in find_photos(["p"], on_warning=print))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == (100_000 if extension == "jpg" else 0)
    assert peak < 100_000 * bytes_each
