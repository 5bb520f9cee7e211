"""The commands of docs/guides: found in the pages, held against the program's options, and run.

A block of ```sh is run as it stands, in the folder and after the blocks before it. A comment right before it,
`<!-- not run: why -->`, says that it cannot be run here; its options are checked all the same. After a block,
`<!-- picture: terminal NAME.svg -->` asks for a picture of it; `<!-- picture: browser PAGE WxH NAME.png -->`
and `<!-- picture: positions FILE.geojson NAME.png -->` for one of what it wrote.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
GUIDES = ROOT / "docs" / "guides"

_PART = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?```sh\n(?P<text>.*?)```\n"
    r"|<!-- picture: (?P<picture>[^>]+) -->\n",
    re.DOTALL,
)
_HERE_DOCUMENT = re.compile(r"<<'?(\w+)'?(.*?)\n.*?\n\1(?=\n|$)", re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
#: What may stand before the name of a program that runs.
_RUNNERS = ("nohup", "srun", "exec", "time", "do", "then")


@dataclass(frozen=True, slots=True)
class Block:
    """Commands of a guide.

    Attributes:
        text: what the shell gets.
        not_run: why it cannot be run everywhere, or None.
    """

    text: str
    not_run: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a guide shows.

    Attributes:
        kind: terminal, browser or positions.
        words: what it is made from.
        name: its file below docs/pictures.
    """

    kind: str
    words: tuple[str, ...]
    name: str


def parts(page: str) -> Iterator[Block | Picture]:
    """Blocks and pictures of a page, in order."""
    for found in _PART.finditer(page):
        if found["picture"]:
            kind, *words, name = found["picture"].split()
            yield Picture(kind, tuple(words), name)
        else:
            yield Block(found["text"], found["reason"])


def calls(text: str) -> Iterator[list[str]]:
    """The words after `geolocate` of each call of it in a shell text."""
    text = _HERE_DOCUMENT.sub(r"\2", text).replace("\\\n", " ")
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|;&()"):
                yield from _own(words)
                words = []
            else:
                words.append(word)


def _own(words: list[str]) -> Iterator[list[str]]:
    while words and (_ASSIGNMENT.match(words[0]) or words[0] in _RUNNERS):
        words = words[1:]
    if words and words[0] == "geolocate":
        yield words[1:]


def unknown_options(words: list[str], program: click.Group) -> list[str]:
    """Options of a call that its command does not have."""
    command: click.Command = program
    ctx = click.Context(program, info_name="geolocate")
    rest = list(words)
    while isinstance(command, click.Group):
        found = command.get_command(ctx, rest[0]) if rest else None
        if found is None:
            found = command.get_command(ctx, "predict") if command is program else None
            assert found is not None, f"no such command: {words}"
        else:
            rest.pop(0)
        command = found
    known = {"-h", "--help"}
    if "--" in rest:  # what follows are paths
        rest = rest[: rest.index("--")]
    for parameter in command.params:
        known.update(parameter.opts, parameter.secondary_opts)
    options = [word.split("=")[0] for word in rest if re.match(r"--?[A-Za-z0]", word)]
    return [option for option in options if option not in known]


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of a guide's commands: this checkout's program, and no folder of the user."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name, words in (("geolocate", "-m geolocate "), ("python", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words}"$@"\n', encoding="utf-8")
        program.chmod(0o755)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GEOLOCATE_", "XDG_", "CUDA_"))
    }
    return kept | {
        "PATH": f"{programs}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "HOME": os.fspath(folder),
        "PYTHONIOENCODING": "utf-8",
        "LC_ALL": "C.UTF-8",
    }
