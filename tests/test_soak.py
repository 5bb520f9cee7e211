"""A short run of `scripts/soak.py`, and that it would find what it looks for and ends where it cannot."""

from __future__ import annotations

import os
import random
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and links")


@pytest.fixture(scope="module")
def soak() -> dict[str, Any]:
    """What the script defines."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return runpy.run_path(str(SCRIPTS / "soak.py"))
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.mark.timeout(300)
def test_a_changing_tree_and_interruptions_cost_no_row_of_a_photo_that_stayed() -> None:
    words = [sys.executable, str(SCRIPTS / "soak.py"), "--minutes", "0.2", "--photos", "80", "--seed", "3"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert "SIG" in last, "the program was never stopped"
    assert all(f"{way} " in last for way in ("add", "remove", "replace", "rename", "truncate")), last


HEADER = "photo,rank,latitude,longitude,error,model,notes\n"
ROWS = "a.jpg,1,1.5,2.5,,m,\nb.jpg,,,,damaged,m,\n"
RECORDS = (
    '{"photo": "a.jpg", "rank": 1, "latitude": 1.5, "longitude": 2.5, "error": null, "model": "m", '
    '"notes": null}\n'
    '{"photo": "b.jpg", "rank": null, "latitude": null, "longitude": null, "error": "damaged", "model": "m", '
    '"notes": null}\n'
)


def outputs(soak: dict[str, Any], folder: Path, rows: str = ROWS, records: str = RECORDS) -> Path:
    """The files of a run that came to its end; nobody looks into those of other formats."""
    read = {"out.csv": HEADER + rows, "out.jsonl": records}
    for name in soak["OUTPUTS"]:
        (folder / name).write_text(read.get(name, ""), encoding="utf-8")
        (folder / f"{name}.manifest.json").write_text("{}", encoding="utf-8")
    return folder


def test_what_is_whole_passes(soak: dict[str, Any], tmp_path: Path) -> None:
    found = soak["read_rows"](outputs(soak, tmp_path))
    tree = soak["ChangingTree"](tmp_path / "tree", [], 0, random.Random(0))
    assert soak["check"](tmp_path, found, {}, tree).startswith("2 as they must be")


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (ROWS.replace(",damaged,m,", ",dama"), "a torn row"),
        (ROWS + "a.jpg,1,1.5,2.5,,m,\n", "is there twice"),
        (ROWS.replace("1.5", "1.6"), "disagree"),
        (ROWS.replace("b.jpg,,,,damaged,m,\n", ""), "disagree"),
    ],
)
def test_torn_doubled_and_differing_rows_are_found(
    soak: dict[str, Any], tmp_path: Path, rows: str, fault: str
) -> None:
    with pytest.raises(AssertionError, match=fault):
        soak["read_rows"](outputs(soak, tmp_path, rows))


def test_lost_and_changed_photos_and_remains_are_found(soak: dict[str, Any], tmp_path: Path) -> None:
    found = soak["read_rows"](outputs(soak, tmp_path))
    tree = soak["ChangingTree"](tmp_path / "tree", [], 0, random.Random(0))
    for steady, fault in (
        ({**found, "c.jpg": []}, "are lost"),
        ({**found, "a.jpg": [{**found["a.jpg"][0], "latitude": "7"}]}, "its rows differ"),
        ({"a.jpg": found["a.jpg"]}, "b.jpg was never there"),
    ):
        with pytest.raises(AssertionError, match=fault):
            soak["check"](tmp_path, steady, {}, tree)
    tree.held["a.jpg"] = {"7.jpg"}
    with pytest.raises(AssertionError, match="rows of no state"):
        soak["check"](tmp_path, {"b.jpg": found["b.jpg"]}, {"7.jpg": []}, tree)
    (tmp_path / "out.csv.journal").touch()
    with pytest.raises(AssertionError, match="left beside"):
        soak["check"](tmp_path, found, {}, tree)


def changing_tree(soak: dict[str, Any], folder: Path) -> Any:
    """A tree of eight photos that change."""
    pictures = soak["draw_pictures"](folder / "pictures")
    return soak["ChangingTree"](folder / "tree", pictures, 8, random.Random(1))


def eventually(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end, "not within 20 s"
        time.sleep(0.01)


def test_a_locked_photo_does_not_end_the_changes(
    soak: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.truncate

    def truncate(path: Path, length: int) -> None:
        """As for any user but root."""
        if not path.stat().st_mode & 0o200:
            raise PermissionError(path)
        real(path, length)

    monkeypatch.setattr(os, "truncate", truncate)
    tree = changing_tree(soak, tmp_path)
    for path in (tmp_path / "tree").rglob("*.jpg"):
        path.chmod(0)
    with tree:
        eventually(lambda: tree.changes["truncate"] >= 3)
        tree.raise_error()


def test_what_ends_the_changes_is_raised_while_the_program_still_runs(
    soak: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = changing_tree(soak, tmp_path)

    def full(*_: object) -> None:
        raise OSError("no room is left")

    monkeypatch.setattr(tree, "_put", full)

    def soaked() -> None:
        with tree:
            eventually(lambda: not tree._thread.is_alive())
            tree.raise_error()
            pytest.fail("nothing was raised")

    with pytest.raises(OSError, match="no room is left"):
        soaked()


def test_a_program_that_no_signal_ends_is_killed_and_told(
    soak: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_and_kill, journal = soak["run_and_kill"], tmp_path / "journal"
    monkeypatch.setitem(run_and_kill.__globals__, "STOP_LIMIT_S", 0.2)
    deaf = (
        "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "pathlib.Path(sys.argv[1]).write_text('a row\\n'); time.sleep(60)"
    )
    begun = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        run_and_kill([sys.executable, "-c", deaf, str(journal)], journal, random.Random(3), 1, signal.SIGTERM)
    assert time.monotonic() - begun < 30
