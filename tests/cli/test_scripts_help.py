"""Scripts whose figures the pages have say what they do, without weights, photos or torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = (
    "benchmarks/performance.py",
    "benchmarks/cpu_variants.py",
    "benchmarks/distributed.py",
    "benchmarks/scale.py",
    "benchmarks/scale_measures.py",
    "scripts/distributed_check.py",
    "scripts/photo_costs.py",
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_shows_its_help(script: str, tmp_path: Path) -> None:
    words = [sys.executable, str(ROOT / script), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert script in done.stdout
    assert "--" in done.stdout
