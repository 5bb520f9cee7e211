"""Runs the commands of docs/explain.md anew and puts their output, and their pictures, into the page.

    python scripts/build_explain_docs.py [PHOTOS]

A command stands in a comment `<!-- run: geolocate explain ... -->`, its output in the block that follows.
It runs in PHOTOS (../shared/photos by default), so that the page names photos by their own folders;
{docs} in a command is the folder of the page. One that fails leaves the page as it was.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "explain.md"
PHOTOS = ROOT.parent / "shared" / "photos"
#: Characters of a line in the page.
WIDTH = 100

BLOCK = re.compile(r"(<!-- run: geolocate (?P<words>.+?) -->\n)```.*?```\n", re.DOTALL)


def main() -> None:
    photos = Path(sys.argv[1]) if len(sys.argv) > 1 else PHOTOS
    page = PAGE.read_text(encoding="utf-8")
    if len(BLOCK.findall(page)) != page.count("<!-- run:"):
        raise SystemExit(f"{PAGE.name}: a command has no block after it")
    PAGE.write_text(BLOCK.sub(lambda found: block(found, photos), page), encoding="utf-8")


def block(found: re.Match[str], photos: Path) -> str:
    """The comment with what its command says now."""
    words = found["words"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GEOLOCATE_")}
    done = subprocess.run(
        [sys.executable, "-m", "geolocate", *shlex.split(words.replace("{docs}", str(PAGE.parent)))],
        cwd=photos,
        env=environment | {"COLUMNS": str(WIDTH), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"geolocate {words}: status {done.returncode}\n{done.stderr}")
    shown = words.replace("{docs}/", "")
    output = "\n".join(line.rstrip() for line in done.stdout.splitlines())
    return f"{found[1]}```\n$ geolocate {shown}\n{output.strip()}\n```\n"


if __name__ == "__main__":
    main()
