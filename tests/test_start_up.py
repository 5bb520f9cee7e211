"""What a start imports: help and completion next to nothing, one photo only what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Besides what tests/test_house.py holds: 16 ms, for a version that neither help nor completion tells.
HEAVY = ("torch", "numpy", "PIL", "onnxruntime", "geopy", "exifread", "rich", "importlib.metadata")
#: What a photo with a position does not need while rows go into a file.
UNNEEDED = (
    "torch",
    "geopy",
    "rich",
    "asyncio",
    "tokenizers",
    "ftfy",
    "urllib.request",
    "matplotlib",
    "pyarrow",
)
#: Formats of outputs, of which a run loads those that it writes.
FORMATS = tuple(f"geolocate.writers.{name}" for name in ("csv", "jsonl", "geojson", "kml", "parquet", "map"))


def loaded(words: list[str], names: tuple[str, ...], **environment: str) -> list[str]:
    """Which of these modules are in a program that was called so; those of the interpreter's start aside."""
    code = (
        "import os, sys; before = set(sys.modules)\n"
        f"sys.argv = ['geolocate', *{words!r}]\n"
        "from geolocate.cli import main\n"
        "try: main()\nexcept SystemExit as e: assert not e.code, e.code\n"
        f"print(*[n for n in {names!r} if n in sys.modules and n not in before], file=sys.stderr)"
    )
    surroundings = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=surroundings
    )
    return done.stderr.splitlines()[-1].split() if done.stderr else []


@pytest.mark.parametrize("words", [["--help"], ["predict", "--help"], ["doctor", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    assert loaded(words, HEAVY) == []


@pytest.mark.parametrize("typed", ["geolocate --to", "geolocate mod", "geolocate query --de"])
def test_completion_loads_nothing_heavy(typed: str) -> None:
    asked = {
        "_GEOLOCATE_COMPLETE": "bash_complete",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    assert loaded([], HEAVY, **asked) == []


def test_a_photo_with_a_position_loads_what_it_needs(drawn_photos: Path) -> None:
    photo = os.fspath(drawn_photos / "alps.jpg")
    assert loaded([photo, "--csv", os.devnull], UNNEEDED) == []


@pytest.mark.parametrize("name", ["csv", "geojson", "kml"])
def test_a_run_loads_the_format_that_it_writes_and_no_other(drawn_photos: Path, name: str) -> None:
    photo = os.fspath(drawn_photos / "alps.jpg")
    assert loaded([photo, f"--{name}", os.devnull], FORMATS) == [f"geolocate.writers.{name}"]
