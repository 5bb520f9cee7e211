"""Closed streams, vanished folders, failing systems, dumb terminals: one line each, and no traceback."""

from __future__ import annotations

import errno
import io
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from geolocate.cli import cli
from geolocate.cli.byte_bar import byte_bar
from geolocate.cli.progress import Progress
from geolocate.cli.status import FAILED, INTERRUPTED, run_with_status

PROGRAM = f"{sys.executable} -m geolocate"
Script = Callable[[str], list[str]]


def shell(command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False, cwd=folder
    )


def test_a_closed_standard_input_is_a_usage_error() -> None:
    done = shell(f"{PROGRAM} - <&-")
    assert done.returncode == 2
    assert done.stderr == "geolocate: standard input is closed: there are no paths to read from it\n"


def test_closed_standard_streams_are_one_line_or_silence(drawn_photos: Path) -> None:
    done = shell(f"{PROGRAM} {drawn_photos} -q >&-")
    assert (done.returncode, done.stderr) == (
        1,
        "geolocate: cannot write to standard output: it is closed\n",
    )
    assert shell(f"{PROGRAM} models list >&-").stderr == ""


def test_no_output_is_opened_under_the_number_of_a_closed_stream(script: Script, tmp_path: Path) -> None:
    words = " ".join(
        script(
            "w = open_writers({'csv': 'out.csv'})\nos.write(2, b'a library speaks')\nw.close()\nsys.exit(0)"
        )
    )
    done = shell(f"{words} photos <&- >&- 2>&-", tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").startswith("photo,rank")
    assert "library" not in (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_a_working_folder_that_is_gone_is_one_line(drawn_photos: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    photo = next(drawn_photos.iterdir())
    done = shell(f"cd {gone} && rmdir {gone} && {PROGRAM} {photo} -q --csv out.csv")
    assert (done.returncode, done.stderr) == (
        1,
        "geolocate: cannot write out.csv: No such file or directory\n",
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "a\x1b.npy"), "a.npy: No such file"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (OSError(errno.EMFILE, "Too many open files", b"x"), "x: Too many open files"),
        (OSError(errno.ENOSPC, "No space left on device", 7), "cannot write: No space left on device"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    error: OSError, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geolocate.cli.status._silence_standard_output", lambda: None)

    def fail() -> None:
        raise error

    assert run_with_status(fail, "geolocate") == FAILED
    assert capsys.readouterr().err == f"geolocate: {line}\n"


@pytest.mark.parametrize("error", [io.UnsupportedOperation("not readable"), OSError("a library's own")])
def test_an_error_that_the_system_did_not_give_keeps_its_traceback(error: OSError) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(OSError, match=str(error)):
        run_with_status(fail, "geolocate")


def test_a_library_that_ctrl_c_cut_off_while_it_loaded_is_an_interruption() -> None:
    def load() -> None:
        raise ImportError("initialization failed") from KeyboardInterrupt()

    before = signal.getsignal(signal.SIGINT)
    try:
        assert run_with_status(load, "geolocate") == INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(ImportError):
        run_with_status(lambda: exec("raise ImportError"), "geolocate")


def test_ctrl_c_during_the_first_imports_ends_quietly_with_130(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(
        "import time\nprint('importing', flush=True)\ntime.sleep(60)\n", encoding="utf-8"
    )
    environment = {**os.environ, "PYTHONPATH": os.fspath(tmp_path)}
    program = subprocess.Popen(
        [sys.executable, "-m", "geolocate"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    with program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline() == b"importing\n"
        program.send_signal(signal.SIGINT)
        assert program.stderr.read() == b""
        assert program.wait(30) == 130


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_a_dumb_terminal_gets_lines_and_no_control_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen, clock = Screen(), iter(range(0, 1000, 5))
    with Progress(stream=screen, results=screen, clock=lambda: float(next(clock))) as progress:
        for _ in range(20):
            progress.advance()
        progress.note("a message")
    assert screen.getvalue() == "a message\n"
    monkeypatch.setattr(sys, "stderr", screen)
    with byte_bar("copying") as bar:
        bar.start("mine", 100)
        bar.advance(100)
    assert screen.getvalue() == "a message\n"


def test_bars_and_tables_survive_closed_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with byte_bar("copying") as bar:
        bar.start("mine", 100)
        bar.advance(100)


def on_a_terminal(command: list[str | Path], **environment: str) -> str:
    """What a terminal shows of a command; both streams go there."""
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=os.environ | environment
    ) as program:
        os.close(terminal)
        shown, deadline = b"", time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                data = os.read(controller, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not data:
                break
            shown += data
        os.close(controller)
        assert program.wait(30) == 0, shown
    return shown.decode()


def test_a_whole_run_on_a_dumb_terminal_is_plain_text(drawn_photos: Path) -> None:
    text = on_a_terminal([sys.executable, "-m", "geolocate", drawn_photos], TERM="dumb", NO_COLOR="")
    assert "\x1b" not in text
    assert text.replace("\r\n", "").count("\r") == 0
    assert "5 photos" in text


def test_the_summary_stands_below_the_rows_and_the_attribution_below_it(
    drawn_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    from geolocate.geocoding import OfflineNames
    from geolocate.writers.outputs import Writers

    close = Writers.close
    monkeypatch.setattr(OfflineNames, "attribution", "© the mappers", raising=False)
    monkeypatch.setattr(Writers, "close", lambda *a: (events.append("closed"), close(*a))[1])
    monkeypatch.setattr(
        Progress, "note", lambda self, text: events.append("attribution") if "mappers" in text else None
    )
    done = CliRunner().invoke(cli, [os.fspath(drawn_photos), "--csv", os.fspath(tmp_path / "o.csv")])
    assert done.exit_code == 0, done.stderr
    assert events == ["closed", "attribution"]
