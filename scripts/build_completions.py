"""Writes completions/ from the program's own commands and options; run it after changing either."""

from __future__ import annotations

from pathlib import Path

from geolocate.cli import cli
from geolocate.cli.completion import completion_scripts
from geolocate.cli.group import DefaultGroup

FOLDER = Path(__file__).resolve().parent.parent / "completions"


def main() -> None:
    """Replaces every script."""
    assert isinstance(cli, DefaultGroup)
    FOLDER.mkdir(exist_ok=True)
    for name, text in completion_scripts(cli).items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
