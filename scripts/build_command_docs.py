"""Writes docs/commands.md from the program's own commands and options; run it after changing either."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from geolocate.cli import cli

PATH = Path(__file__).resolve().parent.parent / "docs" / "commands.md"

HEAD = """\
# Commands

Written by `python scripts/build_command_docs.py` from what `--help` says. Exit statuses and columns are in
the [README](../README.md).
"""


def document() -> str:
    """The whole page."""
    with click.Context(cli, info_name="geolocate", **cli.context_settings) as ctx:
        return "\n".join([HEAD, *_commands(cli, ctx)]).rstrip() + "\n"


def _commands(group: click.Group, ctx: click.Context) -> Iterator[str]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        with click.Context(command, parent=ctx, info_name=name, resilient_parsing=True) as inner:
            yield from _command(command, inner)
            if isinstance(command, click.Group):
                yield from _commands(command, inner)


def _command(command: click.Command, ctx: click.Context) -> Iterator[str]:
    yield f"## {ctx.command_path}\n"
    yield f"`{ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}`\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    rows = [row for parameter in command.get_params(ctx) if (row := _row(parameter, ctx))]
    if rows:
        yield "\n".join(["| option | default | environment | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _row(parameter: click.Parameter, ctx: click.Context) -> str | None:
    if not isinstance(parameter, click.Option) or parameter.hidden:
        return None
    record = parameter.get_help_record(ctx)
    assert record is not None
    names, meaning = record
    default = ""
    if match := re.search(r"\[(?:env var: [^;\]]*; )?default: ([^;\]]*)", meaning):
        default = match[1]
    variable = parameter.envvar if isinstance(parameter.envvar, str) else ""
    cells = (
        f"`{names}`",
        default,
        f"`{variable}`" if variable else "",
        " ".join(meaning.split("  [")[0].split()),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Replaces the page."""
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
