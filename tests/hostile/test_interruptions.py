"""Ctrl-C, once and twice, and a kill: what is done is kept, and the run goes on to the same rows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile.program import PROGRAM, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

COUNT = 60


@pytest.fixture
def listed(good: Path) -> bytes:
    """Lines of standard input that name photos, among them one that is missing."""
    lines = [os.fsencode(good)] * COUNT
    lines[7] = b"missing.jpg"
    return b"\n".join(lines) + b"\n"


def started(out: Path) -> subprocess.Popen[bytes]:
    """The program, which has written some rows and now waits for the rest of its list."""
    words = [*PROGRAM, "-", "--model", "starter", "--batch-size", "1", "--csv", out]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE)


def feed(program: subprocess.Popen[bytes], listed: bytes, out: Path) -> None:
    """Gives the first half of the list and waits until some of it is done."""
    assert program.stdin is not None
    lines = listed.splitlines(keepends=True)
    program.stdin.write(b"".join(lines[: COUNT // 2]))
    program.stdin.flush()
    journal, deadline = out.with_name(out.name + ".journal"), time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 10) and time.monotonic() < deadline:
        time.sleep(0.01)


def whole(listed: bytes, folder: Path) -> bytes:
    """The rows of a run that nothing interrupted."""
    assert run("-", "-q", "--csv", folder / "whole.csv", stdin=listed).exit_code == 3
    return (folder / "whole.csv").read_bytes()


@pytest.mark.row(31)
def test_ctrl_c_writes_what_is_done_and_the_run_can_be_resumed(listed: bytes, tree: Path) -> None:
    out = tree / "out.csv"
    with started(out) as program:
        feed(program, listed, out)
        program.send_signal(signal.SIGINT)
        assert program.stderr is not None
        message = program.stderr.read().decode()
    assert program.returncode == 130
    assert "Traceback" not in message
    assert "--resume" in message
    assert not out.exists()
    done = run("-", "-q", "--csv", out, "--resume", stdin=listed)
    assert done.exit_code == 3
    assert out.read_bytes() == whole(listed, tree)


@pytest.mark.row(31)
def test_ctrl_c_twice_stops_at_once(listed: bytes, tree: Path) -> None:
    out = tree / "out.csv"
    with started(out) as program:
        feed(program, listed, out)
        begun = time.monotonic()
        program.send_signal(signal.SIGINT)
        time.sleep(0.05)
        program.send_signal(signal.SIGINT)
        assert program.stderr is not None
        message = program.stderr.read().decode()
        program.wait(20)
    assert time.monotonic() - begun < 10
    assert program.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in message
    assert not out.exists()


@pytest.mark.row(32)
def test_a_kill_loses_no_row_and_doubles_none(listed: bytes, tree: Path) -> None:
    out = tree / "out.csv"
    with started(out) as program:
        feed(program, listed, out)
        program.kill()
    assert program.returncode == -signal.SIGKILL
    done = run("-", "-q", "--csv", out, "--resume", stdin=listed)
    assert done.exit_code == 3
    assert out.read_bytes() == whole(listed, tree)
    assert [path.name for path in tree.iterdir() if path.suffix in (".partial", ".journal")] == []
