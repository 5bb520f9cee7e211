"""Outputs that cannot be written: told before any work where it can be known, and the old file stays."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hostile.program import PROGRAM, rows, run

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="devices and limits of Linux")

NO_MODEL = ("--model", "no-such-model")  # where its name is not told, the work did not begin


@pytest.mark.row(28)
def test_a_folder_that_is_missing_or_read_only_fails_before_any_work(good: Path, tree: Path) -> None:
    missing = run(good, "--csv", tree / "no" / "out.csv", *NO_MODEL)
    assert (missing.exit_code, "no-such-model" in missing.stderr) == (1, False)
    assert os.fspath(tree / "no") in missing.stderr
    assert list(tree.iterdir()) == []


@linux_only
@pytest.mark.row(28)
@pytest.mark.parametrize("target", ["/proc/out.csv", "/sys/out.csv"])
def test_a_place_where_nobody_may_write_fails_before_any_work(good: Path, target: str) -> None:
    done = run(good, "--csv", target, *NO_MODEL)
    assert (done.exit_code, "no-such-model" in done.stderr) == (1, False)
    assert "cannot write" in done.stderr


@linux_only
@pytest.mark.row(28)
def test_what_is_no_file_to_write_to_is_one_line(good: Path, tree: Path) -> None:
    (tree / "loop").symlink_to("loop")
    for target in (tree, tree / "loop", tree / ("n" * 256), "/proc/self/mem"):
        done = run(good, "--csv", target)
        assert done.exit_code in (1, 2), target
        assert "Traceback" not in done.output
        assert done.exception is None or isinstance(done.exception, SystemExit), target
    assert [path.name for path in tree.iterdir()] == ["loop"]


@linux_only
@pytest.mark.row(29)
def test_a_disk_that_is_full_is_an_error_and_the_old_file_stays(good: Path, tree: Path) -> None:
    out = tree / "out.csv"
    out.write_text("the old file", encoding="utf-8")

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    words = [*PROGRAM, "-", "-q", "--model", "starter", "--csv", out]
    listed = b"\n".join([os.fsencode(good)] * 200)
    done = subprocess.run(words, input=listed, capture_output=True, check=False, preexec_fn=no_room)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"cannot write" in done.stderr
    assert out.read_text(encoding="utf-8") == "the old file"
    again = run("-", "-q", "--csv", out, "--resume", stdin=listed)
    assert again.exit_code == 0, again.stderr
    assert len(rows(out.read_text(encoding="utf-8"))) == 200


@linux_only
@pytest.mark.row(29)
@pytest.mark.parametrize("words", [["--csv", "/dev/full"], ["--jsonl", "/dev/full"], []])
def test_a_full_device_is_one_line(good: Path, words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, good, "-q", "--model", "starter", *words],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    name = words[1] if words else "standard output"
    assert (done.returncode, done.stderr) == (1, f"geolocate: cannot write {name}: No space left on device\n")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.row(30)
@pytest.mark.parametrize("words", [[], ["--jsonl", "-"], ["--csv", "/dev/stdout"]])
def test_a_reader_that_takes_one_line_ends_the_program_in_silence(good: Path, words: list[str]) -> None:
    program = [*PROGRAM, good, "-q", "--model", "starter", "-k", "5000", "--ranking", "points", *words]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 141


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_an_output_through_a_link_replaces_what_it_leads_to_and_no_photo(good: Path, tree: Path) -> None:
    (tree / "elsewhere.csv").write_text("old", encoding="utf-8")
    (tree / "link.csv").symlink_to("elsewhere.csv")
    assert run(good, "--csv", tree / "link.csv").exit_code == 0
    assert (tree / "link.csv").is_symlink()
    assert rows((tree / "elsewhere.csv").read_text(encoding="utf-8"))
    (tree / "photo.csv").symlink_to(good)
    before = good.read_bytes()
    assert run(good, "--csv", tree / "photo.csv").exit_code == 2
    assert good.read_bytes() == before
