"""What a user of `geolocate doctor` sees."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from geolocate.bundle import MANIFEST_NAME, load_bundle
from geolocate.cli import cli
from geolocate.cli.doctor import lines
from geolocate.diagnosis import Finding, Report, Section
from geolocate.diagnosis.questions import Answer

CPU = "CPUExecutionProvider"
OPENED = {"name": "starter", "device": "cpu", "precision": "fp32", "precisions": ["fp32"], "points": 9}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """Answers in place of processes: a sound machine without a GPU; a test may change them."""
    given = {
        "runtime": Answer({"version": "1.31.1", "providers": [CPU], "cuda": "13.0"}),
        "provider": Answer({"used": [CPU], "right": True}),
        "driver": Answer({"library": "libcuda.so.1", "loads": False}),
        "model": Answer({**OPENED, "open_s": 0.5}),
    }
    monkeypatch.setattr("geolocate.diagnosis.examination.ask", lambda question, **_: given[question])
    monkeypatch.setattr("geolocate.diagnosis.runtime.installed_wheels", lambda: {"onnxruntime-gpu": "1.31.1"})
    return given


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["doctor", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_sound_machine_without_a_gpu_works_and_is_told_why_there_is_no_cuda(
    answers: dict[str, Answer],
) -> None:
    status, output, messages = run("--no-self-test")
    assert status == 0
    assert messages == ""
    assert output.splitlines()[-1].startswith("geolocate works here, on the CPU")
    cuda = next(line for line in output.splitlines() if "no CUDA" in line)
    assert "libcuda.so.1" in cuda or "no CUDA wheel for this platform" in cuda
    assert "the CPU does the same work" in cuda
    assert "starter (the default) on the CPU, fp32" in output


def test_cuda_that_was_asked_for_and_is_not_there_is_status_1(answers: dict[str, Answer]) -> None:
    answers["model"] = Answer({"error": "CUDA does not work here: no NVIDIA driver"})
    status, output, _ = run("--no-self-test", "--device", "cuda")
    assert status == 1
    assert output.splitlines()[-1] == "2 things do not work here: cuda, model"


def test_two_wheels_are_status_1_with_the_line_that_mends_it(
    answers: dict[str, Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
    for module in ("geolocate.diagnosis.runtime", "geolocate.runtime_wheels"):
        monkeypatch.setattr(f"{module}.installed_wheels", lambda: both)
    status, output, _ = run("--no-self-test")
    assert status == 1
    assert "fix: pip uninstall -y" in output
    assert output.splitlines()[-1] == "1 thing does not work here: wheels"


def test_json_tells_programs_the_same(answers: dict[str, Answer]) -> None:
    status, output, _ = run("--no-self-test", "--json")
    report: dict[str, Any] = json.loads(output)
    assert status == 0
    assert report["works"] is True
    assert report["device"] == "cpu"
    subjects = [finding["subject"] for section in report["sections"] for finding in section["findings"]]
    assert len(subjects) == len(set(subjects))
    assert {"program", "processors", "wheels", CPU, "cuda", "model", "heic", "cache folder"} <= set(subjects)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_lines_fit_the_terminal_and_lose_no_word(width: int) -> None:
    finding = Finding("a", "warning", "word " * 60 + "end", "pip install 'geolocate[cuda]' " * 5)
    report = Report((Section("Part", (finding,)),), "cpu")
    shown = list(lines(report, width))
    assert max(map(len, shown)) <= width
    in_one_line = list(lines(report, None))
    assert " ".join(" ".join(shown).split()) == " ".join(" ".join(in_one_line).split())
    assert len(in_one_line) == 5


def test_a_terminal_is_told_in_its_width(answers: dict[str, Answer]) -> None:
    read, write = pty.openpty()
    try:
        done = subprocess.Popen(
            [sys.executable, "-m", "geolocate", "doctor", "--no-self-test", "--model", "no-such"],
            stdout=write,
            stderr=subprocess.PIPE,
            env={**os.environ, "COLUMNS": "50"},
        )
        os.close(write)
        shown = b""
        while True:
            try:
                part = os.read(read, 4096)
            except OSError:  # the terminal is closed
                break
            if not part:
                break
            shown += part
        assert done.wait() == 1
        assert done.stderr is not None
        assert done.stderr.read() == b""
        done.stderr.close()
    finally:
        os.close(read)
    told = shown.decode().split("\r\n")
    long = [line for line in told if len(line) > 50]
    assert all(len(line.split()[-1]) > 30 for line in long), long  # a word that cannot be broken
    assert "no bundle 'no-such'" in " ".join(" ".join(told).split())


def test_a_damaged_bundle_that_is_named_is_status_1_and_its_folder_is_not_told_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOLOCATE_HOME", str(tmp_path))
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    manifest = (load_bundle("starter").path / MANIFEST_NAME).read_text(encoding="utf-8")
    (folder / MANIFEST_NAME).write_text(manifest, encoding="utf-8")
    status, output, _ = run("--no-self-test", "--model", "mine", "--json")
    findings = {f["subject"]: f for section in json.loads(output)["sections"] for f in section["findings"]}
    assert status == 1
    assert findings["bundle mine"]["state"] == "warning"
    assert findings["model"]["state"] == "problem"
    assert "is missing" in findings["model"]["text"]
    assert findings["bundle starter"]["state"] == "ok"


def test_the_doctor_itself_imports_neither_onnxruntime_nor_torch_and_opens_no_socket() -> None:
    code = (
        "import sys, socket\n"
        "def refuse(*a, **k): raise AssertionError('a socket was opened')\n"
        "socket.socket.__init__ = refuse\n"
        "import geolocate.cli as cli\n"
        "try: cli.cli.main(['doctor', '--no-self-test'])\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "print('loaded', *[n for n in ('onnxruntime', 'torch', 'open_clip', 'rich') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded"


def test_a_run_without_onnxruntime_ends_with_a_message_and_no_traceback(
    tmp_path: Path, drawn_photos: Path
) -> None:
    for code in ("raise ModuleNotFoundError('no', name='onnxruntime')", ""):  # none at all; an emptied one
        (tmp_path / "onnxruntime.py").write_text(code, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "geolocate", str(drawn_photos)],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        (message,) = done.stderr.splitlines()
        assert message.startswith("geolocate: ONNX Runtime cannot be loaded: ")
        assert message.endswith("what mends it: geolocate doctor")
