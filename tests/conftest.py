"""What several tests share: photos, real and drawn."""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path

import pytest

# A shell starts background jobs with Ctrl-C ignored, and every program of a test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the five example photos with EXIF positions."""
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    argv, sys.argv = sys.argv, ["draw_photos.py", os.fspath(folder)]
    try:
        runpy.run_path(os.fspath(ROOT / "examples" / "draw_photos.py"), run_name="__main__")
    finally:
        sys.argv = argv
    return folder


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """The folder of real photos beside the checkout, which the repository does not hold."""
    folder = SHARED / "photos"
    if not folder.is_dir():
        pytest.skip(f"needs the real photos in ../{folder.relative_to(ROOT.parent)}")
    return folder
