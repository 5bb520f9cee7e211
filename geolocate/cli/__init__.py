"""The command line: the list of commands and the console entry.

Importing this costs click and the standard library; a command's own module is imported when it is called.
"""

from __future__ import annotations

import os
from typing import NoReturn

import click

from geolocate.cli.group import DefaultGroup, LazyCommand
from geolocate.cli.status import prepare_streams

#: Set by shells that ask for completions ("bash_source" and so on).
COMPLETION_VARIABLE = "_GEOLOCATE_COMPLETE"

#: Every command, in the order of the help page.
COMMANDS = {
    "predict": LazyCommand("geolocate.cli.predict", "Tell where photos were taken (the default command)."),
    "query": LazyCommand(
        "geolocate.cli.query", "Tell where a photo that a text describes would have been taken."
    ),
    "embed": LazyCommand("geolocate.cli.embed", "Embeddings of photos or of points, for other programs."),
    "evaluate": LazyCommand(
        "geolocate.cli.evaluate", "Measure accuracy and calibration on photos of known position."
    ),
    "merge": LazyCommand("geolocate.cli.merge", "Put the outputs of shards, or of distributed, into one."),
    "tag": LazyCommand("geolocate.cli.tag", "Write estimates into XMP sidecars, or photos; take them back."),
    "train": LazyCommand("geolocate.cli.train", "Train heads and concept module on your photos."),
    "explain": LazyCommand("geolocate.cli.explain", "Tell why a photo is placed where it is, by concepts."),
    "export": LazyCommand(
        "geolocate.cli.export", "Export torch encoders to an ONNX bundle, parity enforced."
    ),
    "models": LazyCommand("geolocate.cli.models", "List, add, check, remove and pull bundles."),
    "cache": LazyCommand(
        "geolocate.cli.cache", "What is kept of earlier runs: where, how much, and away with it."
    ),
    "distributed": LazyCommand(
        "geolocate.cli.distributed", "Tell where photos were taken, over a Ray cluster."
    ),
    "doctor": LazyCommand(
        "geolocate.cli.doctor", "Tell what works on this machine, what does not, and the fix."
    ),
}


@click.group(
    name="geolocate",
    cls=DefaultGroup,
    lazy_commands=COMMANDS,
    default="predict",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
)
@click.version_option(package_name="geolocate", message="%(prog)s %(version)s")
def cli() -> None:
    """Tell where photos were taken, how sure it is, and why.

    A folder that is called like a command is reached as ./NAME, a path that begins with
    a dash after --.
    """


def main() -> NoReturn:
    """The console entry: runs the program and exits with its status."""
    prepare_streams()
    if COMPLETION_VARIABLE in os.environ:
        from geolocate.cli.completion import register_static_scripts

        register_static_scripts(cli)
    cli.main(prog_name="geolocate", complete_var=COMPLETION_VARIABLE)
    raise AssertionError("click's main always exits")
