"""Terminals that are narrow, without colours, or without letters beyond ASCII."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from hostile.program import PROGRAM
from rich.cells import cell_len

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def shown(columns: int, *words: str | Path, **environment: str) -> str:
    """What a terminal of that width gets of a run."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    clean = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    with subprocess.Popen(
        [*PROGRAM, *words, "--model", "starter"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=clean | {"TERM": "xterm-256color"} | environment,
    ) as program:
        os.close(terminal)
        text = b""
        while True:
            try:
                data = os.read(controller, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not data:
                break
            text += data
        os.close(controller)
    assert program.returncode in (0, 3), text
    assert b"Traceback" not in text
    return text.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


@pytest.mark.row(47)
def test_forty_columns_without_colour_under_locale_c(good: Path, tree: Path) -> None:
    for name in ("caf\u00e9-\u6771\u4eac.jpg", "n" * 200 + ".jpg"):
        (tree / name).write_bytes(good.read_bytes())
    (tree / "broken.jpg").write_bytes(b"no photo")
    text = shown(40, tree, "-k", "2", "-q", LC_ALL="C", PYTHONUTF8="0", NO_COLOR="1")
    assert "\x1b[3" not in text
    for line in text.splitlines():
        assert cell_len(_CONTROL.sub("", line)) <= 40, line
    assert "not a photo" in " ".join(text.split())


@pytest.mark.row(47)
def test_messages_and_csv_work_under_locale_c(good: Path, tree: Path) -> None:
    path = tree / "caf\u00e9-\u6771\u4eac.jpg"
    path.write_bytes(good.read_bytes())
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "NO_COLOR": "1"}
    done = subprocess.run(
        [*PROGRAM, path, "--model", "starter"], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert os.fsencode(path) in done.stdout
    refused = subprocess.run(
        [*PROGRAM, path, "--csv", path], capture_output=True, env=environment, check=False
    )
    assert refused.returncode == 2
    assert b"Traceback" not in refused.stderr
