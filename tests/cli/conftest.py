"""Stand-ins of the program: the real group over small commands, and the real program, interrupted."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner, Result

from geolocate.cli import cli as real_program
from geolocate.cli.group import DefaultGroup, LazyCommand
from geolocate.writers import Writers


def _predict_module() -> ModuleType:
    @click.command(name="predict")
    @click.argument("paths", nargs=-1, type=click.Path())
    @click.option(
        "-k", "--top-k", type=int, default=1, envvar="GEOLOCATE_TOP_K", help="Candidates per photo."
    )
    @click.option("-0", "--null", is_flag=True, help="NUL-separated paths: [on] standard input.")
    @click.option("--csv", type=click.Path(dir_okay=False), help="It's the CSV.")
    @click.option("--ranking", type=click.Choice(["merged", "points"]), help="How candidates are ranked.")
    @click.option("--exif/--no-exif", default=True, help="Read the position.")
    def command(paths: tuple[str, ...], top_k: int, **options: object) -> None:
        """Tell where photos were taken."""
        click.echo(f"predict {list(paths)} top_k={top_k} null={options['null']}")

    module = ModuleType("stand_in_predict")
    module.command = command  # type: ignore[attr-defined]
    return module


def _others_module() -> ModuleType:
    @click.command(name="evaluate")
    @click.argument("table", type=click.Path())
    @click.option("--images", type=click.Path(file_okay=False), help="Folder.")
    def command(table: str, images: str | None) -> None:
        """Measure accuracy."""
        click.echo(f"evaluate {table}")

    module = ModuleType("stand_in_evaluate")
    module.command = command  # type: ignore[attr-defined]
    return module


def _models_module() -> ModuleType:
    @click.group(name="models")
    def command() -> None:
        """Look after bundles."""

    @command.command("verify")
    @click.option("--strict", is_flag=True, help="Every byte.")
    def verify(strict: bool) -> None:
        """Check each file."""

    module = ModuleType("stand_in_models")
    module.command = command  # type: ignore[attr-defined]
    return module


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> DefaultGroup:
    """The real group over stand-in commands."""
    for module in (_predict_module(), _others_module(), _models_module()):
        monkeypatch.setitem(sys.modules, module.__name__, module)

    @click.group(
        name="geolocate",
        cls=DefaultGroup,
        lazy_commands={
            "predict": LazyCommand("stand_in_predict", "Tell where photos were taken."),
            "evaluate": LazyCommand("stand_in_evaluate", "Measure accuracy."),
            "models": LazyCommand("stand_in_models", "Look after bundles."),
        },
        default="predict",
        no_args_is_help=True,
    )
    @click.version_option("9.9.9")
    def cli() -> None:
        """Tell where photos were taken."""

    assert isinstance(cli, DefaultGroup)
    return cli


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], list[str]]:
    """Writes a program whose default command has the given body; returns the words that run it.

    The body sees the real entry point's surroundings: `main` of geolocate.cli with one command replaced.
    """

    def write(body: str) -> list[str]:
        folder = tmp_path / "stand-in"
        folder.mkdir()
        (folder / "stand_in_command.py").write_text(
            "import click, os, signal, sys, time\n"
            "from geolocate.errors import *\nfrom geolocate.records import *\n"
            "from geolocate.writers import *\n"
            "@click.command()\n@click.argument('words', nargs=-1)\ndef command(words):\n"
            + textwrap.indent(textwrap.dedent(body), "    "),
            encoding="utf-8",
        )
        (folder / "run.py").write_text(
            "import geolocate.cli as program\n"
            "from geolocate.cli.group import LazyCommand\n"
            "program.cli.lazy_commands['predict'] = LazyCommand('stand_in_command', 'Stand-in.')\n"
            "program.main()\n",
            encoding="utf-8",
        )
        return [sys.executable, str(folder / "run.py")]

    return write


@pytest.fixture
def interrupted_after(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the real program and interrupts it after so many photos."""

    def run_until(count: int, *words: str | os.PathLike[str], stdin: bytes | None = None) -> Result:
        write, counter = Writers.write, itertools.count(1)

        def write_and_count(self: Writers, prediction: object) -> None:
            write(self, prediction)  # type: ignore[arg-type]
            if next(counter) == count:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Writers, "write", write_and_count)
            patch.setattr(signal, "signal", lambda *_: None)  # of this process, which goes on
            result = CliRunner().invoke(real_program, list(map(os.fspath, words)), input=stdin)
        assert result.exit_code == 130, result.stderr
        return result

    return run_until


@pytest.fixture(autouse=True)
def a_terminal_that_knows_control_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test has a terminal; the machine that runs the tests may have none or a dumb one."""
    monkeypatch.setenv("TERM", "xterm-256color")
