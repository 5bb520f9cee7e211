"""The manners of the command group, and how a run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from geolocate.cli import COMMANDS, cli, main
from geolocate.cli.group import DefaultGroup
from geolocate.errors import OutputError, UsageError

Script = Callable[[str], list[str]]


def run(program: DefaultGroup, *words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(program, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(autouse=True)
def in_a_folder_with_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "evaluate").mkdir()
    (tmp_path / "evaluat").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["photos/"], "predict ['photos/'] top_k=1 null=False"),
        (["photos/", "--top-k", "5"], "predict ['photos/'] top_k=5 null=False"),
        (["-k", "5", "photos/"], "predict ['photos/'] top_k=5 null=False"),
        (["-0", "-"], "predict ['-'] top_k=1 null=True"),
        (["-"], "predict ['-'] top_k=1 null=False"),
        (["--", "-x.jpg"], "predict ['-x.jpg'] top_k=1 null=False"),
        (["--", "evaluate"], "predict ['evaluate'] top_k=1 null=False"),
        (["photos", "evaluate"], "predict ['photos', 'evaluate'] top_k=1 null=False"),
        (["predict", "--", "--help"], "predict ['--help'] top_k=1 null=False"),
        (["./evaluate"], "predict ['./evaluate'] top_k=1 null=False"),
        (["evaluate", "photos"], "evaluate photos"),
        (["evaluat"], "predict ['evaluat'] top_k=1 null=False"),
        (["nowhere.jpg"], "predict ['nowhere.jpg'] top_k=1 null=False"),
    ],
)
def test_the_first_word_decides_the_command(program: DefaultGroup, words: list[str], expected: str) -> None:
    assert run(program, *words) == (0, expected + "\n", "")


@pytest.mark.parametrize("word", ["evalute", "Evaluate", "evaluat3", "EVALUATE"])
def test_a_misspelt_command_is_asked_about(program: DefaultGroup, word: str) -> None:
    status, output, message = run(program, word, "table.csv")
    assert status == 2
    assert output == ""
    assert f"no command or path '{word}'; did you mean evaluate?" in message


def test_a_broken_link_called_almost_like_a_command_is_a_path(program: DefaultGroup, tmp_path: Path) -> None:
    (tmp_path / "evalute").symlink_to("gone")
    assert run(program, "evalute")[0] == 0


def test_help_shows_commands_and_the_default_commands_options(program: DefaultGroup) -> None:
    status, page, _ = run(program, "--help")
    assert status == 0
    assert "Usage: geolocate [OPTIONS] [PATHS]..." in page
    assert "       geolocate COMMAND [ARGS]..." in page
    for word in ("evaluate", "Measure accuracy.", "--top-k", "--ranking", "--version"):
        assert word in page
    assert page.count("--help") == 1


def test_no_words_at_all_give_the_help_and_status_2(program: DefaultGroup) -> None:
    status, output, message = run(program)
    assert status == 2
    assert "--top-k" in output + message


def test_version(program: DefaultGroup) -> None:
    assert run(program, "--version") == (0, "geolocate, version 9.9.9\n", "")


def test_an_option_can_come_from_the_environment(
    program: DefaultGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOLOCATE_TOP_K", "7")
    assert "top_k=7" in run(program, "photos")[1]
    assert "top_k=2" in run(program, "photos", "-k", "2")[1]


def complete(program: DefaultGroup, words: list[str], incomplete: str) -> set[tuple[str, str]]:
    items = ShellComplete(program, {}, "geolocate", "_X").get_completions(words, incomplete)
    return {(item.type, item.value) for item in items}


def test_the_top_level_completes_commands_files_and_the_default_commands_options(
    program: DefaultGroup,
) -> None:
    assert complete(program, [], "") == {
        ("file", ""),
        ("plain", "predict"),
        ("plain", "evaluate"),
        ("plain", "models"),
    }
    assert complete(program, [], "ev") == {("file", "ev"), ("plain", "evaluate")}
    assert {("plain", "--top-k"), ("plain", "--version"), ("plain", "--help")} <= complete(program, [], "--")
    assert complete(program, ["photos/"], "--to") == {("plain", "--top-k")}
    assert complete(program, ["-k", "5"], "pho") == {("file", "pho")}
    assert complete(program, ["--ranking"], "m") == {("plain", "merged")}
    assert complete(program, ["evaluate"], "--im") == {("plain", "--images")}


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (OutputError("cannot write x\x1b[31m"), 1, "geolocate: cannot write x[31m\n"),
        (UsageError("two outputs"), 2, "geolocate: two outputs\n"),
        (MemoryError(), 1, "geolocate: out of memory; a smaller --batch-size needs less\n"),
        (click.Abort(), 1, "geolocate: aborted\n"),
        (click.exceptions.Exit(3), 3, ""),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_each_ending_has_its_status_and_line(
    program: DefaultGroup, error: BaseException, status: int, line: str
) -> None:
    def fail(**options: object) -> None:
        raise error

    command = program.get_command(click.Context(program), "predict")
    assert command is not None
    command.callback = fail
    assert run(program, "photos") == (status, "", line)


def test_a_fault_of_the_program_itself_is_not_hidden(program: DefaultGroup) -> None:
    def fail(**options: object) -> None:
        raise ZeroDivisionError

    command = program.get_command(click.Context(program), "predict")
    assert command is not None
    command.callback = fail
    with pytest.raises(ZeroDivisionError):
        run(program, "photos")


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, timeout=60, env=os.environ | environment, check=False
    )


ENDLESS_ROWS = """
with open_writers({'csv': '-'}) as writers:
    for number in range(100_000):
        writers.write(Prediction(photo=f'{number}.jpg', error='none'))
    writers.close()
"""


def test_a_closed_pipe_ends_with_141_and_no_traceback(script: Script) -> None:
    words = " ".join(script(ENDLESS_ROWS))
    result = shell(f"{words} photos | head -1; exit ${{PIPESTATUS[0]}}")
    assert result.stdout.startswith(b"photo,rank,")
    assert result.stdout.count(b"\n") == 1
    assert (result.returncode, result.stderr) == (141, b"")


def test_a_pipe_that_closes_before_the_last_flush_leaves_no_traceback(script: Script) -> None:
    words = " ".join(script("time.sleep(0.3); sys.stdout.write('late')"))
    result = shell(f"{words} photos | true; exit ${{PIPESTATUS[0]}}")
    assert (result.returncode, result.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_a_message(script: Script) -> None:
    words = " ".join(script("sys.stdout.write('x')"))
    result = shell(f"{words} photos >/dev/full")
    assert (result.returncode, result.stderr) == (1, b"geolocate: cannot write: No space left on device\n")


def test_a_full_device_for_rows_is_a_message(script: Script) -> None:
    words = " ".join(script(ENDLESS_ROWS))
    result = shell(f"{words} photos >/dev/full")
    assert result.returncode == 1
    assert result.stderr == b"geolocate: cannot write standard output: No space left on device\n"


def test_closed_standard_output_is_a_message(script: Script) -> None:
    words = " ".join(script(ENDLESS_ROWS))
    result = shell(f"{words} photos >&-")
    assert (result.returncode, result.stderr) == (
        1,
        b"geolocate: cannot write to standard output: it is closed\n",
    )


INTERRUPTED = """
with open_writers({'csv': 'out.csv'}) as writers:
    writers.write(Prediction(photo='a.jpg', error='none'))
    print('ready', flush=True)
    time.sleep(60)
"""


def test_ctrl_c_keeps_what_is_done_and_ends_with_130(script: Script, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*script(INTERRUPTED), "photos"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b"geolocate: interrupted\n"
        assert process.wait(30) == 130
    assert not (tmp_path / "out.csv").exists()
    assert b"a.jpg" in (tmp_path / "out.csv.partial").read_bytes()


def test_a_second_ctrl_c_does_not_wait_for_worker_threads(script: Script) -> None:
    body = """
    import threading
    threading.Thread(target=time.sleep, args=(60,)).start()
    print('ready', flush=True)
    time.sleep(60)
    """
    process = subprocess.Popen([*script(body), "photos"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == b"geolocate: interrupted\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT


@pytest.mark.parametrize(
    "environment", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {"LC_ALL": "C.UTF-8"}]
)
def test_any_name_can_be_printed_under_any_locale(script: Script, environment: dict[str, str]) -> None:
    words = " ".join(script("print(words[0]); raise OutputError(words[0])"))
    result = shell(f"{words} $'caf\\xc3\\xa9 \\xff.jpg'", **environment, PYTHONCOERCECLOCALE="0")
    assert result.returncode == 1
    assert b"caf" in result.stdout
    assert result.stderr.startswith(b"geolocate: caf")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom geolocate.cli import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'PIL', 'onnxruntime', 'rich', 'geopy', 'exifread'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stdout=subprocess.DEVNULL)


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    assert isinstance(cli, DefaultGroup)
    context = click.Context(cli)
    for name, lazy in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str(limit=200) == lazy.summary


def test_the_console_entry_runs_the_group(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["geolocate", "--version"])
    with pytest.raises(SystemExit) as ending:
        main()
    assert ending.value.code == 0
    assert capsys.readouterr().out.startswith("geolocate ")
