"""No output replaces a photo, what the run reads, or another output; nothing waits in silence."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from geolocate.errors import OutputError, UsageError
from geolocate.records import Prediction
from geolocate.writers import open_writers

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX names of files")


def within_seconds(call: Callable[[], object], seconds: float = 10) -> BaseException | None:
    """What `call` raises, if it comes back at all."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)
        else:
            raised.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert raised, "it still waits"
    return raised[0]


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF"])
def test_a_picture_is_never_replaced_whatever_it_is_called(tmp_path: Path, file_format: str) -> None:
    picture = tmp_path / "out.csv"
    Image.new("RGB", (8, 8), "teal").save(picture, format=file_format)
    before = picture.read_bytes()
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=rf"--csv would replace .*out\.csv, a {file_format} picture"):
            open_writers({"csv": picture}, overwrite=overwrite)
    assert picture.read_bytes() == before
    assert list(tmp_path.iterdir()) == [picture]


@pytest.mark.parametrize("name", ["a.jpg", "a.NEF", "a.cr3", "a.mp4", "a.heic"])
def test_what_is_called_like_a_photo_is_replaced_only_if_it_is_text(
    tmp_path: Path, name: str, failed: Prediction
) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(range(256)))
    with pytest.raises(UsageError, match="a photo or video by its name"):
        open_writers({"jsonl": path})
    path.write_text("an output of yesterday: zażółć\n", encoding="utf-8")
    with open_writers({"csv": path}) as writers:
        writers.write(failed)
        writers.close()
    assert "bad.jpg" in path.read_text(encoding="utf-8")


def test_texts_and_empty_files_are_no_pictures(tmp_path: Path) -> None:
    for content in (b"", b"BMW,1\n", b"photo,rank\n\xff.jpg,1\n"):
        path = tmp_path / "out.csv"
        path.write_bytes(content)
        with open_writers({"csv": path}):
            pass
        assert path.read_bytes() == content


def test_what_the_run_reads_is_never_an_output_through_links_either(tmp_path: Path) -> None:
    source = tmp_path / "places.csv"
    source.write_text("LAT,LON\n1,2\n", encoding="utf-8")
    (tmp_path / "link").symlink_to(source)
    for path in (source, tmp_path / "link", tmp_path / "." / "places.csv"):
        with pytest.raises(UsageError, match=r"--jsonl would overwrite .*, which this run reads"):
            open_writers({"jsonl": path}, inputs=["no such", "", "a\0b", os.fspath(source)])
    (tmp_path / "o.csv.manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match=r"o\.csv\.manifest\.json, which this run reads"):
        open_writers({"csv": tmp_path / "o.csv"}, inputs=[tmp_path / "o.csv.manifest.json"])


@pytest.mark.parametrize("ending", [".partial", ".manifest.json", ".manifest.json.partial"])
@pytest.mark.parametrize("there", [False, True])
def test_no_output_is_another_ones_manifest_or_partial_file(tmp_path: Path, ending: str, there: bool) -> None:
    first, second = tmp_path / "a.csv", tmp_path / f"a.csv{ending}"
    if there:
        first.write_text("old", encoding="utf-8")
        second.write_text("old", encoding="utf-8")
    with pytest.raises(UsageError, match="--csv and --jsonl cannot both"):
        open_writers({"csv": first, "jsonl": second})
    with pytest.raises(UsageError, match="--csv and --jsonl cannot both"):
        open_writers({"csv": second, "jsonl": first})


@pytest.mark.parametrize("name", ["out.csv.partial", "out.csv.manifest.json"])
def test_a_pipe_beside_the_output_is_refused_and_never_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    error = within_seconds(lambda: open_writers({"csv": tmp_path / "out.csv"}, overwrite=True))
    assert isinstance(error, OutputError)
    assert f"{name}: it is no regular file" in str(error)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_pipe_that_takes_the_partial_files_place_at_the_last_moment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "out.csv.partial")
    monkeypatch.setattr("geolocate.writers.target.check_replaceable", lambda path: None)
    error = within_seconds(lambda: open_writers({"csv": tmp_path / "out.csv"}))
    assert isinstance(error, OutputError)
    reader = os.open(tmp_path / "out.csv.partial", os.O_RDONLY | os.O_NONBLOCK)
    try:
        error = within_seconds(lambda: open_writers({"csv": tmp_path / "out.csv"}))
    finally:
        os.close(reader)
    assert isinstance(error, OutputError)
    assert "no regular file" in str(error)


def test_a_folder_in_the_manifests_place_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "out.csv.manifest.json").mkdir()
    with pytest.raises(OutputError, match=r"manifest\.json: Is a directory"):
        open_writers({"csv": tmp_path / "out.csv"})


def test_a_pipe_without_a_reader_is_waited_for_and_that_is_said(tmp_path: Path, failed: Prediction) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    readers: list[threading.Thread] = []

    def say(text: str) -> None:
        assert text == f"waiting for a reader of {pipe}"
        readers.append(threading.Thread(target=lambda: received.append(pipe.read_bytes())))
        readers[0].start()

    def run() -> None:
        with open_writers({"csv": pipe}, say=say) as writers:
            writers.write(failed)
            writers.close()

    assert within_seconds(run) is None
    readers[0].join(10)
    assert b"bad.jpg" in received[0]


def test_an_ordinary_file_below_dev_is_an_ordinary_output(failed: Prediction) -> None:
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK):
        pytest.skip("needs /dev/shm")
    out = folder / f"geolocate-test-{os.getpid()}.csv"
    out.write_text("a much longer file of yesterday\n" * 100, encoding="utf-8")
    try:
        with open_writers({"csv": out}) as writers:
            writers.write(failed)
            assert "yesterday" in out.read_text(encoding="utf-8")
            writers.close({"photos": 1})
        assert out.read_text(encoding="utf-8").count("\n") == 2
    finally:
        for path in folder.glob(f"{out.name}*"):
            path.unlink()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/./fd/1"])
def test_standard_output_is_one_place_under_all_its_names(name: str) -> None:
    for other in ("-", "/dev/stdout"):
        with pytest.raises(UsageError, match="cannot both be written to standard output"):
            open_writers({"csv": other, "jsonl": name})


def test_an_open_descriptor_is_written_at_its_place(tmp_path: Path, failed: Prediction) -> None:
    path = tmp_path / "log"
    with path.open("wb", buffering=0) as log:
        log.write(b"before\n")
        with open_writers({"csv": f"/dev/fd/{log.fileno()}"}) as writers:
            writers.write(failed)
            writers.close({"photos": 1})
        log.write(b"after\n")
    lines = path.read_bytes().splitlines()
    assert (lines[0], lines[1][:5], lines[-1]) == (b"before", b"photo", b"after")
    assert list(tmp_path.iterdir()) == [path]


def test_a_descriptor_that_takes_no_rows_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with (tmp_path / "a").open("rb") as source, pytest.raises(OutputError, match="Bad file descriptor"):
        open_writers({"csv": f"/dev/fd/{source.fileno()}"})
    with pytest.raises(OutputError, match="Bad file descriptor"):
        open_writers({"csv": "/dev/fd/987654"})


def test_nothing_takes_any_number_of_outputs(failed: Prediction) -> None:
    with open_writers({"csv": os.devnull, "jsonl": os.devnull}) as writers:
        writers.write(failed)
        writers.close()


def test_a_relative_output_in_a_folder_that_is_gone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(OutputError, match=r"cannot write out\.csv: No such file or directory"):
        open_writers({"csv": "out.csv"})
