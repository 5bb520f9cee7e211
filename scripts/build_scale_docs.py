"""Writes docs/scale.md and its picture: the plan on paper for very many photos.

    python scripts/build_scale_docs.py

Text is in `benchmarks/scale_page.md`, numbers in `benchmarks/scale_parameters.toml`, the rest is computed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scale.md"
PICTURE = ROOT / "docs" / "pictures" / "scale_cores.png"
sys.path.insert(0, str(ROOT / "benchmarks"))

from scale_figures import figures  # noqa: E402
from scale_parameters import read_parameters  # noqa: E402
from scale_picture import draw  # noqa: E402


def document() -> str:
    """The page."""
    text = (ROOT / "benchmarks" / "scale_page.md").read_text(encoding="utf-8")
    return Template(text).substitute(figures(read_parameters()))


def main() -> None:
    """Writes both files."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    PAGE.write_text(document(), encoding="utf-8")
    PICTURE.write_bytes(draw(read_parameters()))
    print(PAGE)


if __name__ == "__main__":
    main()
