"""The completion scripts: up to date with the program, and what a user gets at TAB."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from geolocate.cli import cli
from geolocate.cli.click_tree import describe
from geolocate.cli.completion import SCRIPTS, completion_scripts
from geolocate.cli.completion_scripts import bash_script, fish_script, zsh_script
from geolocate.cli.group import DefaultGroup

COMPLETIONS = Path(__file__).resolve().parents[2] / "completions"


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_are_up_to_date_with_the_program(name: str) -> None:
    assert isinstance(cli, DefaultGroup)
    assert (COMPLETIONS / name).read_text(encoding="utf-8") == completion_scripts(cli)[name], (
        "run python scripts/build_completions.py"
    )


@pytest.mark.parametrize(
    ("shell", "name"), [("bash", "geolocate.bash"), ("zsh", "_geolocate"), ("fish", "geolocate.fish")]
)
def test_the_program_prints_its_own_scripts(
    script: Callable[[str], list[str]], shell: str, name: str
) -> None:
    result = subprocess.run(
        script("raise SystemExit('must not run')"),
        env=os.environ | {"_GEOLOCATE_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    first_lines = (COMPLETIONS / name).read_text(encoding="utf-8").splitlines()[:2]
    assert result.stdout.splitlines()[:2] == first_lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a user stands: two photos, one with a blank in its name, and two folders."""
    here = tmp_path / "here"
    for name in ("pictures", "evaluate"):
        (here / name).mkdir(parents=True)
    for name in ("paris.jpg", "my holiday.jpg"):
        (here / name).touch()
    return here


@pytest.fixture
def bash(program: DefaultGroup, tmp_path: Path, folder: Path) -> Callable[..., set[str]]:
    """What the function for bash offers, asked as bash asks it."""
    file = tmp_path / "geolocate.bash"
    file.write_text(bash_script(describe(program)), encoding="utf-8")

    def complete(*words: str) -> set[str]:
        script = (
            f'set -u; source {file}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _geolocate;'
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        result = subprocess.run(
            ["bash", "--norc", "-c", script, "bash", "geolocate", *words],
            capture_output=True, text=True, timeout=30, cwd=folder, check=False,
        )  # fmt: skip
        assert result.stderr == ""
        return set(result.stdout.splitlines()) - {""}

    return complete


def test_bash_offers_commands_and_files_at_the_first_word(
    bash: Callable[..., set[str]], folder: Path
) -> None:
    assert bash("") == {"predict", "evaluate", "models", "paris.jpg", "my holiday.jpg", "pictures"}
    assert bash("ev") == {"evaluate"}
    assert bash("p") == {"predict", "pictures", "paris.jpg"}


def test_bash_offers_the_default_commands_options_without_its_name(bash: Callable[..., set[str]]) -> None:
    assert {"--top-k", "-k", "--no-exif", "--help", "--version"} <= bash("-")
    assert bash("--t") == {"--top-k"}
    assert bash("photos/", "--t") == {"--top-k"}
    assert bash("predict", "--ra") == {"--ranking"}
    assert bash("evaluate", "-") == {"--images", "--help"}


def test_bash_offers_the_values_of_an_option(bash: Callable[..., set[str]]) -> None:
    assert bash("--ranking", "") == {"merged", "points"}
    assert bash("photos/", "--ranking", "=", "m") == {"merged"}
    assert bash("--ranking", "=") == {"merged", "points"}
    assert bash("--top-k", "") == set()


def test_bash_offers_no_options_after_two_dashes(bash: Callable[..., set[str]]) -> None:
    assert bash("--", "--t") == set()


def test_bash_offers_the_commands_of_a_command(bash: Callable[..., set[str]]) -> None:
    assert bash("models", "") == {"verify"}
    assert bash("models", "verify", "--s") == {"--strict"}


class Terminal:
    """A shell at a terminal, to press TAB in."""

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._child, self._descriptor = pty.fork()
        if self._child == 0:
            os.chdir(folder)
            os.execvpe(words[0], words, os.environ | environment)
        self.text = ""

    def send(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def wait_for(self, pattern: str, seconds: float = 15.0) -> str:
        """Returns what came until the pattern."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            ready, _, _ = select.select([self._descriptor], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"no {pattern!r} in {self.text!r}"
            self.text += os.read(self._descriptor, 65536).decode(errors="replace")
        before, self.text = self.text[: found.end()], self.text[found.end() :]
        return before

    def close(self) -> None:
        os.close(self._descriptor)
        os.waitpid(self._child, 0)


@pytest.fixture
def interactive_bash(program: DefaultGroup, tmp_path: Path, folder: Path) -> Iterator[Terminal]:
    file = tmp_path / "rc"
    echo = "geolocate() { printf 'WORDS'; printf '<%s>' \"$@\"; echo; }\n"
    settings = "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; PS1='ready> '\n"
    file.write_text(bash_script(describe(program)) + echo + settings, encoding="utf-8")
    environment = {"INPUTRC": "/dev/null", "TERM": "dumb", "HISTFILE": "/dev/null"}
    terminal = Terminal(["bash", "--noprofile", "--rcfile", str(file), "-i"], folder, environment)
    terminal.wait_for("ready> ")
    yield terminal
    terminal.close()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("geolocate par\t\n", "<paris.jpg>"),
        ("geolocate pic\t\n", "<pictures/>"),
        ("geolocate my\t\n", "<my holiday.jpg>"),
        ("geolocate pred\tmy\t\n", "<predict><my holiday.jpg>"),
        ("geolocate paris.jpg --cs\tpar\t\n", "<paris.jpg><--csv><paris.jpg>"),
        ("geolocate paris.jpg --csv=par\t\n", "<paris.jpg><--csv=paris.jpg>"),
        ("geolocate -k par\t\n", "<-k><par>"),
        ("geolocate evaluate --images p\t\n", "<evaluate><--images><pictures/>"),
        ("geolocate evalu\t\n", "<evaluate>"),
    ],
)
def test_pressing_tab_in_bash(interactive_bash: Terminal, typed: str, words: str) -> None:
    interactive_bash.send(typed)
    line = interactive_bash.wait_for("WORDS<[^\r\n]*[\r\n]")
    assert line.rstrip().endswith("WORDS" + words)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("geolocate par\t\n", "<paris.jpg>"),
        ("geolocate pred\tmy\t\n", "<predict><my holiday.jpg>"),
        ("geolocate paris.jpg --cs\tpar\t\n", "<paris.jpg><--csv=paris.jpg>"),
        ("geolocate --ranking mer\t\n", "<--ranking><merged>"),
        ("geolocate --top\t5\n", "<--top-k=5>"),
        ("geolocate paris.jpg --vers\t\n", "<paris.jpg><--vers>"),
        ("geolocate evaluate --im\tpic\t\n", "<evaluate><--images=pictures>"),
        ("geolocate models ver\t--st\t\n", "<models><verify><--strict>"),
    ],
)
def test_pressing_tab_in_zsh(
    program: DefaultGroup, tmp_path: Path, folder: Path, typed: str, words: str
) -> None:
    functions = tmp_path / "functions"
    functions.mkdir()
    (functions / "_geolocate").write_text(zsh_script(describe(program)), encoding="utf-8")
    (tmp_path / ".zshrc").write_text(
        f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump\n"
        "geolocate() { printf 'WORDS'; printf '<%s>' \"$@\"; echo; }\n"
        "unsetopt BEEP PROMPT_SP ZLE_BRACKETED_PASTE 2>/dev/null; PS1='ready> '\n",
        encoding="utf-8",
    )
    terminal = Terminal(["zsh", "-i"], folder, {"ZDOTDIR": str(tmp_path), "TERM": "dumb"})
    try:
        terminal.wait_for("ready> ")
        terminal.send(typed)
        line = terminal.wait_for("WORDS<[^\r\n]*[\r\n]")
        assert line.rstrip().endswith("WORDS" + words)
    finally:
        terminal.close()


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "offered", "not_offered"),
    [
        ("geolocate ", {"predict", "evaluate", "models", "paris.jpg", "pictures/"}, set()),
        ("geolocate --", {"--top-k", "--csv", "--version"}, set()),
        ("geolocate paris.jpg --", {"--top-k", "--csv"}, {"--version", "--images"}),
        ("geolocate --ranking ", {"merged", "points"}, {"paris.jpg"}),
        ("geolocate --csv pa", {"paris.jpg"}, set()),
        ("geolocate evaluate --images ", {"pictures/"}, {"paris.jpg"}),
        ("geolocate models ", {"verify"}, {"paris.jpg"}),
        ("geolocate models verify --", {"--strict"}, {"--top-k"}),
    ],
)
def test_completing_in_fish(
    program: DefaultGroup, tmp_path: Path, folder: Path, line: str, offered: set[str], not_offered: set[str]
) -> None:
    file = tmp_path / "geolocate.fish"
    file.write_text(fish_script(describe(program)), encoding="utf-8")
    result = subprocess.run(
        ["fish", "--no-config", "-c", f"source {file}; complete -C {line!r}"],
        capture_output=True, text=True, timeout=30, cwd=folder, check=False,
        env=os.environ | {"HOME": str(tmp_path)},
    )  # fmt: skip
    assert result.stderr == ""
    words = {entry.split("\t")[0] for entry in result.stdout.splitlines()}
    assert offered <= words
    assert not words & not_offered


def test_help_texts_cannot_break_a_script(program: DefaultGroup) -> None:
    context = click.Context(program)
    command = program.get_command(context, "predict")
    assert command is not None
    command.params.append(click.Option(["--odd"], help='It\'s "odd": $(touch x) `y` [z] \\ \n second line'))
    spec = describe(program)
    for shell, text in (("bash", bash_script(spec)), ("zsh", zsh_script(spec)), ("fish", fish_script(spec))):
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=text, text=True, check=True, timeout=30)
