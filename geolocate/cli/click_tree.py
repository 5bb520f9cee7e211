"""The program's click tree as plain values: what shells need to know of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click

from geolocate.cli.group import DefaultGroup


@dataclass(frozen=True, slots=True)
class Value:
    """What a value can be completed with.

    Attributes:
        kind: "file", "dir", "words" or "" where nothing is known.
        words: the choices where kind is "words".
    """

    kind: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One option: its names, its help on one line, its value (None for a flag), may it be repeated."""

    names: tuple[str, ...]
    help: str
    value: Value | None
    repeats: bool


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One command: its options, its arguments, and the commands below it."""

    name: str
    help: str
    options: tuple[OptionSpec, ...]
    arguments: tuple[Value, ...]
    commands: tuple[CommandSpec, ...]


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """The program: its commands, which of them is the default, and the group's own options."""

    name: str
    default: CommandSpec
    commands: tuple[CommandSpec, ...]
    options: tuple[OptionSpec, ...]


def describe(group: DefaultGroup, program: str = "geolocate") -> ProgramSpec:
    """Reads the click tree; imports the module of each command."""
    with click.Context(group, info_name=program, **group.context_settings) as ctx:
        commands = tuple(_commands(group, ctx))
        default = next(command for command in commands if command.name == group.default)
        return ProgramSpec(program, default, commands, tuple(_options(group, ctx)))


def _commands(group: click.Group, ctx: click.Context) -> Iterator[CommandSpec]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is None or command.hidden:
            continue
        with click.Context(command, parent=ctx, info_name=name, resilient_parsing=True) as inner:
            yield CommandSpec(
                name,
                _one_line(command.get_short_help_str(100)),
                tuple(_options(command, inner)),
                tuple(_value(p, inner) for p in command.get_params(inner) if isinstance(p, click.Argument)),
                tuple(_commands(command, inner)) if isinstance(command, click.Group) else (),
            )


def _options(command: click.Command, ctx: click.Context) -> Iterator[OptionSpec]:
    for option in command.get_params(ctx):
        if not isinstance(option, click.Option) or option.hidden:
            continue
        takes_value = not (option.is_flag or option.count)
        value = _value(option, ctx) if takes_value else None
        text = _one_line(option.help or "")
        yield OptionSpec(tuple(option.opts), text, value, option.multiple or option.count)
        if option.secondary_opts:
            yield OptionSpec(tuple(option.secondary_opts), f"not {option.opts[-1]}", None, False)


def _value(parameter: click.Parameter, ctx: click.Context) -> Value:
    items = parameter.shell_complete(ctx, "")
    kinds = {item.type for item in items}
    for kind in ("file", "dir"):
        if kind in kinds:
            return Value(kind)
    return Value("words", tuple(str(item.value) for item in items)) if items else Value("")


def _one_line(text: str) -> str:
    return " ".join(text.replace("\b", " ").split()).rstrip(".")
