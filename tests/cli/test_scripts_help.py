"""Scripts and benchmarks that the pages name say what they do, and need no weights, photos or torch for that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = (
    "benchmarks/performance.py",
    "benchmarks/cpu_variants.py",
    "scripts/photo_costs.py",
    "scripts/soak.py",
    "scripts/kill_and_resume.py",
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_shows_its_help(script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / script), "--help"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert script in done.stdout
    assert "--" in done.stdout
