"""Outputs are complete or not there, and refused before any work where they cannot be written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from geolocate.errors import OutputError, UsageError
from geolocate.records import Prediction
from geolocate.writers import Writers, open_writers
from geolocate.writers.stream import StreamTarget
from geolocate.writers.target import FileTarget, open_target

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output that an earlier run completed."""
    path = tmp_path / "out.csv"
    path.write_text("old", encoding="utf-8")
    return path


def run(writers: Writers, *predictions: Prediction, interrupt: bool = False) -> None:
    """A run as the program does it: write, then commit; on any error the outputs are aborted."""
    with writers:
        for prediction in predictions:
            writers.write(prediction)
        if interrupt:
            raise KeyboardInterrupt
        writers.close()


def test_the_old_file_is_replaced_only_on_success(out: Path, failed: Prediction) -> None:
    with open_writers({"csv": out}) as writers:
        writers.write(failed)
        assert out.read_text(encoding="utf-8") == "old"
        writers.close()
    assert "bad.jpg" in out.read_text(encoding="utf-8")
    assert list(out.parent.iterdir()) == [out]


def test_rows_reach_the_partial_file_as_they_are_written(out: Path, failed: Prediction) -> None:
    with open_writers({"csv": out}) as writers:
        writers.write(failed)
        assert b"bad.jpg" in out.with_name("out.csv.partial").read_bytes()


def test_an_interrupted_run_keeps_its_rows_and_says_where(out: Path, failed: Prediction) -> None:
    writers = open_writers({"csv": out})
    with pytest.raises(KeyboardInterrupt):
        run(writers, failed, interrupt=True)
    assert writers.kept == [out.with_name("out.csv.partial")]
    assert writers.kept[0].exists()
    assert out.read_text(encoding="utf-8") == "old"


def test_a_run_that_wrote_nothing_leaves_nothing(out: Path) -> None:
    with open_writers({"csv": out}) as writers:
        pass
    assert writers.kept == []
    assert list(out.parent.iterdir()) == [out]


def test_an_unfinished_output_is_refused_unless_overwritten(out: Path, failed: Prediction) -> None:
    partial = out.with_name("out.csv.partial")
    partial.write_text("rows of yesterday", encoding="utf-8")
    with pytest.raises(UsageError, match=r"out\.csv\.partial; --overwrite"):
        open_writers({"csv": out})
    assert partial.read_text(encoding="utf-8") == "rows of yesterday"
    with open_writers({"csv": out}, overwrite=True) as writers:
        writers.write(failed)
        writers.close()
    assert "yesterday" not in out.read_text(encoding="utf-8")
    assert not partial.exists()


def test_two_runs_cannot_write_the_same_output(out: Path) -> None:
    with open_writers({"csv": out}), pytest.raises(UsageError, match="another run is writing"):
        open_writers({"csv": out}, overwrite=True)


def test_a_missing_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        open_writers({"csv": tmp_path / "missing" / "out.csv"})


def test_a_folder_as_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Is a directory"):
        open_writers({"csv": tmp_path})
    assert not Path(f"{tmp_path}.partial").exists()


@pytest.mark.skipif(ROOT, reason="root may write anywhere")
def test_a_read_only_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="Permission denied"):
            open_writers({"csv": tmp_path / "out.csv"})
    finally:
        tmp_path.chmod(0o700)


def test_a_refused_folder_is_an_output_error(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        open_target(out)


def test_one_refused_output_leaves_no_trace_of_the_others(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        open_writers({"csv": tmp_path / "a.csv", "jsonl": tmp_path / "missing" / "a.jsonl"})
    assert list(tmp_path.iterdir()) == []


def test_the_partial_file_ends_with_a_whole_photo_after_a_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = FileTarget(tmp_path / "out")
    target.write(b"first\n")
    write = os.write
    calls = iter([3])

    def fill_up(descriptor: int, data: memoryview) -> int:
        for room in calls:
            return write(descriptor, data[:room])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", fill_up)
    with pytest.raises(OutputError, match="No space left"):
        target.write(b"second\n")
    kept = target.abandon()
    assert kept is not None
    assert kept.read_bytes() == b"first\n"


def test_a_disk_that_fills_up_at_the_end_leaves_the_old_file(
    out: Path, failed: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    writers = open_writers({"csv": out})
    with pytest.raises(OutputError, match="Input/output error"):
        run(writers, failed)
    assert out.read_text(encoding="utf-8") == "old"
    assert writers.kept == [out.with_name("out.csv.partial")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_told(failed: Prediction) -> None:
    writers = open_writers({"csv": "/dev/full"})
    with pytest.raises(OutputError, match="/dev/full: No space left on device"):
        run(writers, failed)


def test_a_named_pipe_gets_rows_directly(tmp_path: Path, failed: Prediction) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    with open_writers({"csv": pipe}) as writers:
        writers.write(failed)
        writers.close({"counts": 1})
    reader.join(10)
    assert b"bad.jpg" in received[0]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_keeps_pointing_where_it_did(out: Path, tmp_path: Path, failed: Prediction) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(out)
    with open_writers({"csv": link}) as writers:
        writers.write(failed)
        writers.close()
    assert link.is_symlink()
    assert "bad.jpg" in out.read_text(encoding="utf-8")


def test_the_old_files_permissions_are_kept(out: Path, failed: Prediction) -> None:
    out.chmod(0o600)
    with open_writers({"csv": out}) as writers:
        writers.write(failed)
        writers.close()
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_two_outputs_to_one_place_are_refused(out: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(out)
    for other in (out, tmp_path / "link", tmp_path / "." / "out.csv"):
        with pytest.raises(UsageError, match="--csv and --jsonl cannot both"):
            open_writers({"csv": out, "jsonl": other})
    with pytest.raises(UsageError, match="standard output"):
        open_writers({"csv": "-", "jsonl": "-"})
    with pytest.raises(UsageError, match="standard output"):
        open_writers({"csv": "-"}, table=True)
    new = tmp_path / "new"
    with pytest.raises(UsageError, match="cannot both"):
        open_writers({"csv": new, "jsonl": new})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out.csv"]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="terminals of POSIX")
def test_a_terminal_gets_no_binary(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    ends = os.openpty()
    with pytest.raises(UsageError, match="--parquet is binary"):
        open_writers({"parquet": f"/dev/fd/{ends[1]}"})
    open_writers({"csv": f"/dev/fd/{ends[1]}"}).abort()
    for end in ends:
        os.close(end)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(UsageError, match="--parquet is binary"):
        open_writers({"parquet": "-"})


def test_any_number_of_outputs_in_one_run(
    tmp_path: Path, located: Prediction, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with open_writers({"csv": tmp_path / "out.csv", "jsonl": "-"}) as writers:
        writers.write(located)
        writers.close()
    assert (tmp_path / "out.csv").read_bytes().count(b"\n") == 3
    assert capsysbinary.readouterr().out.count(b"\n") == 2


def test_a_manifest_lies_beside_each_file(tmp_path: Path, located: Prediction) -> None:
    manifest = {"inputs": ["photos/\udcff"], "bundle": {"name": "starter"}, "folder": tmp_path, "photos": 1}
    with open_writers({"csv": tmp_path / "a.csv", "jsonl": tmp_path / "a.jsonl"}) as writers:
        writers.write(located)
        writers.close(manifest)
    names = ["a.csv", "a.csv.manifest.json", "a.jsonl", "a.jsonl.manifest.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in ("a.csv", "a.jsonl"):
        content = (tmp_path / name).read_bytes()
        read = json.loads((tmp_path / f"{name}.manifest.json").read_text(encoding="utf-8"))
        file = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        assert read == manifest | {"folder": str(tmp_path), "file": file}


def test_the_runs_own_files_are_known_so_that_none_is_read_as_a_photo(tmp_path: Path) -> None:
    with open_writers({"csv": tmp_path / "a.jpg", "jsonl": "-"}) as writers:
        assert {path.name for path in writers.paths} == {
            "a.jpg",
            "a.jpg.partial",
            "a.jpg.manifest.json",
            "a.jpg.manifest.json.partial",
            "a.jpg.journal",
        }


def test_rows_are_written_while_the_progress_line_is_aside(tmp_path: Path, failed: Prediction) -> None:
    entered: list[str] = []

    @contextmanager
    def aside() -> Iterator[None]:
        entered.append("in")
        yield
        entered.append("out")

    with open_writers({"csv": tmp_path / "a.csv"}, aside=aside) as writers:
        writers.write(failed)
        assert entered == ["in", "out"]


def test_a_closed_pipe_is_not_an_output_error(failed: Prediction) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stream, pytest.raises(BrokenPipeError):
        StreamTarget(stream, "a pipe", owned=False).write(b"row\n")


@pytest.mark.skipif(
    not ROOT or not Path("/proc/mounts").exists(), reason="needs the right to mount a small disk"
)
def test_a_really_full_disk_leaves_the_old_file(tmp_path: Path, failed: Prediction) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        out = disk / "out.csv"
        out.write_text("old", encoding="utf-8")
        writers = open_writers({"csv": out})
        with pytest.raises(OutputError, match="No space left on device"):
            run(writers, *[failed] * 10_000)
        assert out.read_text(encoding="utf-8") == "old"
        assert writers.kept[0].read_bytes().endswith(b"\n")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
