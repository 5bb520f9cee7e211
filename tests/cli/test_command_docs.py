"""Every command and option is documented, and the page says what the program does."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import click

from geolocate.cli import cli

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_commands_is_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "build_command_docs.py"))
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert page == script["document"](), "run python scripts/build_command_docs.py"


def test_every_option_has_help_and_every_command_a_description() -> None:
    def check(command: click.Command, ctx: click.Context) -> None:
        assert command.help, command.name
        for parameter in command.get_params(ctx):
            if isinstance(parameter, click.Option):
                assert parameter.help, parameter.name
        if isinstance(command, click.Group):
            for name in command.list_commands(ctx):
                below = command.get_command(ctx, name)
                assert below is not None
                check(below, click.Context(below, parent=ctx, info_name=name, resilient_parsing=True))

    check(cli, click.Context(cli, info_name="geolocate"))


def test_the_readme_names_no_option_that_the_program_lacks() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for document in ("README.md", "CHANGELOG.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - {"--help", "--version"}:
            assert option in page or f"pip install {option}" in text, f"{document} names {option}"
