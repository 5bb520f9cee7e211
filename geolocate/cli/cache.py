"""`geolocate cache`: what is kept of earlier runs, and how it goes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from geolocate.cli.byte_bar import size_text
from geolocate.cli.pull import YES, say
from geolocate.text_safety import printable

if TYPE_CHECKING:
    from geolocate.cache_kinds import Kept

#: Names of `geolocate.cache_kinds.KINDS`, here so that completions need not import it.
KIND_NAMES = ("places", "embeddings", "galleries", "bottlenecks", "downloads")


@click.group("cache", short_help="What is kept of earlier runs: where, how much, and away with it.")
def command() -> None:
    """What is kept of earlier runs in your cache folder, readable by you alone."""


@command.command("info", short_help="Where the cache is, what is in it, how much.")
@click.option("--json", "as_json", is_flag=True, help="JSON in place of text.")
def info_command(as_json: bool) -> None:
    """Where the cache is, what is in it, how much."""
    from geolocate.cache_kinds import KINDS, kept_files
    from geolocate.private_files import cache_root

    root, kept = cache_root(), list(kept_files())
    others = [file for file in kept if file.kind is None]
    if as_json:
        kinds = {
            kind.name: {"what": kind.what, "files": len(files), "bytes": _bytes(files)}
            for kind in KINDS
            for files in [[file for file in kept if file.kind is kind]]
        }
        others_json = [printable(str(file.path)) for file in others]
        click.echo(json.dumps({"folder": str(root), "kinds": kinds, "others": others_json}, indent=2))
        return
    click.echo(printable(str(root)))
    for kind in KINDS:
        size = size_text(_bytes([file for file in kept if file.kind is kind]))
        click.echo(f"  {kind.name.ljust(11)}  {size.rjust(9)}  {kind.what}")
    for file in others:
        click.echo(printable(f"  {file.path} was not made by geolocate and stays"))


@command.command("clear", short_help="Remove what is kept, all of it or some kinds.")
@click.argument("kinds", metavar="[KIND]...", nargs=-1, type=click.Choice(KIND_NAMES))
@YES
def clear_command(kinds: tuple[str, ...], yes: bool) -> None:
    """Remove what is kept: places, embeddings, galleries, bottlenecks, downloads; all, if none is named.

    Everything there can be found out again. Files that geolocate did not make stay, and so do models: see
    `geolocate models remove`.
    """
    from geolocate.cache_kinds import clear, kept_files
    from geolocate.errors import OutputError

    wanted = kinds or KIND_NAMES
    files = [file for file in kept_files() if file.kind is not None and file.kind.name in wanted]
    if not files:
        say("nothing is kept")
        return
    if not yes:
        found = ", ".join(name for name in KIND_NAMES if any(f.kind and f.kind.name == name for f in files))
        click.confirm(f"Remove {found} ({size_text(_bytes(files))})?", abort=True, err=True)
    try:
        gone = clear(wanted)
    except OSError as error:
        raise OutputError(f"{error.filename or 'the cache'} cannot be removed: {error.strerror}") from error
    say(f"removed {size_text(_bytes(gone))} in {len(gone):,} {'file' if len(gone) == 1 else 'files'}")


def _bytes(files: list[Kept]) -> int:
    return sum(file.size for file in files)
