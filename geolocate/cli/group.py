"""The command group: one lazily loaded module per command, and a default command for everything else.

``geolocate photos/ -k 5`` means ``geolocate predict photos/ -k 5``. The first word decides: a command name is
that command, anything else (an option, a path, ``-``, ``--``) belongs to the default command, in its order.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem, shell_complete

from geolocate.cli.status import run_with_status

#: How alike a word and a command must be (difflib's ratio, 0 to 1) to ask "did you mean".
LIKENESS = 0.7


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command lives, and its line in the list of commands, so that listing imports nothing.

    Attributes:
        module: holds the click command under the name ``command``.
        summary: equal to the command's own short help.
    """

    module: str
    summary: str


class DefaultGroup(click.Group):
    """A group whose first word need not be a command.

    Args:
        lazy_commands: by name, in the order of the help page.
        default: the name of the command that takes everything that does not begin with a command name.
        attributes: as for `click.Group`.
    """

    def __init__(self, *, lazy_commands: Mapping[str, LazyCommand], default: str, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.lazy_commands = dict(lazy_commands)
        self.default = default

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help page."""
        return list(self.lazy_commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the module of a command and returns the command; None where there is none of that name."""
        lazy = self.lazy_commands.get(cmd_name)
        if lazy is None:
            return None
        command = importlib.import_module(lazy.module).command
        assert isinstance(command, click.Command)
        return command

    def default_command(self, ctx: click.Context) -> click.Command:
        """The command that needs no name."""
        command = self.get_command(ctx, self.default)
        assert command is not None
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts the name of the default command before words that do not begin with a command name.

        Raises:
            click.UsageError: the first word is neither a command nor a path, but much like a command.
        """
        if args and args[0] not in self.lazy_commands and not self._is_own_option(ctx, args[0]):
            if not ctx.resilient_parsing:
                self._refuse_misspelt_command(ctx, args[0])
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def _is_own_option(self, ctx: click.Context, word: str) -> bool:
        return any(word in parameter.opts for parameter in self.get_params(ctx))

    def _refuse_misspelt_command(self, ctx: click.Context, word: str) -> None:
        if word.startswith("-") or os.path.lexists(word):
            return
        close = difflib.get_close_matches(word.lower(), self.lazy_commands, n=1, cutoff=LIKENESS)
        if close:
            raise click.UsageError(f"no command or path '{word}'; did you mean {close[0]}?", ctx)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Both ways to call the program."""
        pieces = " ".join(self.default_command(ctx).collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces)
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix=" " * len("Usage: "))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands, the default command's options, and the group's own."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self.lazy_commands.items()])
        own = _option_records(self, ctx)
        known = {names for names, _ in own}
        of_default = [row for row in _option_records(self.default_command(ctx), ctx) if row[0] not in known]
        if of_default:
            with formatter.section(f"Options of {self.default}, the default command"):
                formatter.write_dl(of_default)
        with formatter.section("Options"):
            formatter.write_dl(own)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        """What a first word can be: a command, a file, an option of the default command or of the group."""
        commands = [
            CompletionItem(name, help=lazy.summary)
            for name, lazy in self.lazy_commands.items()
            if name.startswith(incomplete)
        ]
        if not incomplete.startswith("-"):
            # Files first: click's script for bash empties its list when it meets them.
            return [CompletionItem(incomplete, type="file"), *commands]
        default = self.default_command(ctx)
        with click.Context(default, parent=ctx, info_name=self.default, resilient_parsing=True) as inner:
            options = click.Command.shell_complete(default, inner, incomplete)
        values = {item.value for item in options}
        own = click.Command.shell_complete(self, ctx, incomplete)
        return [*options, *(item for item in own if item.value not in values)]

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """As `click.Command.main`, but every ending gets its exit status from `run_with_status`.

        Click's own would turn a closed pipe into status 1 and Ctrl-C into 1 as well.
        """
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        name = prog_name or self.name or "geolocate"
        words = sys.argv[1:] if args is None else list(args)

        def run() -> Any:
            variable = complete_var or f"_{name}_COMPLETE".replace("-", "_").upper()
            if instruction := os.environ.get(variable):
                return shell_complete(self, extra, name, variable, instruction)
            with self.make_context(name, words, **extra) as ctx:
                return self.invoke(ctx)

        raise SystemExit(run_with_status(run, name))


def _option_records(command: click.Command, ctx: click.Context) -> list[tuple[str, str]]:
    options = (option for option in command.get_params(ctx) if isinstance(option, click.Option))
    records = (option.get_help_record(ctx) for option in options)
    return [record for record in records if record is not None]
