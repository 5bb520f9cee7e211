"""What the doctor finds: answers of processes that may die, wheels, folders, extras, the pace."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from geolocate.diagnosis import examine, installation, pace
from geolocate.diagnosis.machine import describe_machine
from geolocate.diagnosis.pace import describe_pace, draw_photo, ever_new
from geolocate.diagnosis.questions import Answer, ask
from geolocate.diagnosis.runtime import CPU_PROVIDER, describe_providers, describe_wheels
from geolocate.diagnosis.worker import PROBE_GRAPH, model
from geolocate.duplicates import told_apart

FakeRuntime = Callable[[str], None]


@pytest.fixture
def fake_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    """Puts a package `onnxruntime` of this code before the real one, for new processes."""

    def install(code: str) -> None:
        (tmp_path / "onnxruntime").mkdir()
        (tmp_path / "onnxruntime" / "__init__.py").write_text(code, encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


def test_the_cpu_provider_runs_the_probe_and_the_answer_is_right() -> None:
    answer = ask("provider", name=CPU_PROVIDER)
    assert answer.failure is None
    assert answer.values == {"used": [CPU_PROVIDER], "right": True}
    assert describe_providers({CPU_PROVIDER: answer})[0].state == "ok"


def test_the_probe_is_what_its_comment_says() -> None:
    onnx = pytest.importorskip("onnx", reason="reading the probe needs the 'export' extra")
    graph = onnx.load_from_string(PROBE_GRAPH).graph
    assert [node.op_type for node in graph.node] == ["Conv", "MatMul"]


def test_a_library_that_crashes_is_a_finding_and_takes_nobody_with_it(fake_runtime: FakeRuntime) -> None:
    fake_runtime("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    answer = ask("runtime")
    assert answer.failure == "crashed with SIGSEGV"
    states = [(finding.subject, finding.state) for finding in describe_wheels(answer)]
    assert ("import", "problem") in states


def test_a_library_that_hangs_ends_after_the_limit(fake_runtime: FakeRuntime) -> None:
    fake_runtime("import time; time.sleep(60)")
    assert ask("runtime", limit_s=1.0).failure == "gave no answer within 1 s"


def test_what_libraries_print_does_not_spoil_the_answer(fake_runtime: FakeRuntime) -> None:
    fake_runtime(
        "import os; print('Failed to load x'); os.write(1, b'more')\n"
        "__version__ = '9'\ndef get_available_providers(): return ['A']"
    )
    answer = ask("runtime")
    assert answer.values == {"version": "9", "providers": ["A"], "cuda": None}
    assert "Failed to load x" in answer.complaints


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ImportError('libstdc++ is too old')", "ImportError: libstdc++ is too old"),
        ("", "AttributeError: module 'onnxruntime' has no attribute '__version__'"),  # taken out by pip
    ],
)
def test_a_broken_runtime_is_named_with_the_line_that_mends_it(
    fake_runtime: FakeRuntime, code: str, reason: str
) -> None:
    fake_runtime(code)
    broken = next(finding for finding in describe_wheels(ask("runtime")) if finding.subject == "import")
    assert broken.state == "problem"
    assert reason in broken.text
    assert "pip uninstall -y" in (broken.fix or "")


def test_the_working_folder_lends_no_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise RuntimeError('not mine')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert "error" not in ask("runtime").values


def test_a_missing_runtime_is_named_once_with_the_line_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geolocate.diagnosis.runtime.installed_wheels", dict)
    (finding,) = describe_wheels(Answer({"error": "ModuleNotFoundError: No module named 'onnxruntime'"}))
    assert finding.state == "problem"
    assert finding.fix is not None
    assert finding.fix.startswith("pip install onnxruntime")


def test_two_wheels_are_a_problem_even_where_they_import(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
    monkeypatch.setattr("geolocate.diagnosis.runtime.installed_wheels", lambda: both)
    wheels, imports = describe_wheels(Answer({"version": "1.32.0", "providers": [], "cuda": None}))
    assert (wheels.state, imports.state) == ("problem", "ok")
    assert wheels.text.startswith("onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 are installed")


def test_numpy_that_does_not_import_is_a_finding_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geolocate.bundle_store", None)  # as where its imports fail
    monkeypatch.setattr("geolocate.diagnosis.examination.ask", lambda *_, **__: Answer({"error": "no numpy"}))
    monkeypatch.setattr("geolocate.diagnosis.examination.cuda_cause", lambda *_: None)
    monkeypatch.setattr("geolocate.diagnosis.examination.describe_driver", lambda _: None)
    problems = {finding.subject: finding.text for finding in examine(None, "cpu", 0).of("problem")}
    assert {"import", "bundles", "folders", "model"} == set(problems)
    assert problems["bundles"].startswith("the bundles cannot be looked at: ")


def test_a_provider_that_geolocate_does_not_use_may_fail() -> None:
    log = "[E] Failed to load library a.so with error: libnvinfer.so.10: not there"
    (finding,) = describe_providers({"TensorrtExecutionProvider": Answer({"error": "E: x"}, complaints=log)})
    assert finding.state == "info"
    assert "does not load: libnvinfer.so.10: not there; geolocate does not use it" in finding.text


def test_an_extra_is_missing_with_its_line_or_there_with_its_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert {"export", "heic", "parquet", "plots", "explain"} <= set(installation.extras())
    monkeypatch.setattr(installation, "version_of", {"pyarrow": "17.0", "torch": "2.9"}.get)
    findings = {finding.subject: finding for finding in installation.describe_extras()}
    assert findings["heic"].fix == "pip install 'geolocate[heic]'"
    assert findings["parquet"].state == "ok"
    assert "installed without open_clip_torch, onnx" in findings["export"].text


def test_the_threads_of_the_pipeline_are_told_with_what_limits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("os.cpu_count", 64), ("usable_cpus", 4), ("usable_cores", 2)):
        monkeypatch.setattr(f"geolocate.diagnosis.machine.{name}", lambda number=number: number)
    monkeypatch.setattr("geolocate.diagnosis.machine.available_memory", lambda: 400 * 10**6)
    processors, memory = describe_machine()
    assert processors.text == (
        "64 processors, of which affinity or the container leaves 4, 2 cores: "
        "4 threads decode photos, 2 compute"
    )
    assert (memory.state, memory.text) == ("warning", "memory: 0.4 GB free for use")


def test_the_environment_is_told_by_names_and_no_value_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOLOCATE_GEOCODER_KEY", "secret-key")
    findings = installation.describe_program()
    assert any("GEOLOCATE_GEOCODER_KEY" in finding.text for finding in findings)
    assert "secret-key" not in repr(findings)


def test_folders_are_told_below_the_home_folder_and_a_closed_one_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache" / "geolocate" / "galleries").mkdir(parents=True)
    (tmp_path / "cache" / "geolocate" / "galleries" / "a").write_bytes(bytes(1_500_000))
    (tmp_path / "file").touch()
    cache, models = installation.describe_folders(tmp_path / "file" / "models")
    assert cache.state == "ok"
    assert cache.text == f"cache folder ~{os.sep}cache{os.sep}geolocate: 1.5 MB"
    assert models.state == "warning"
    assert str(tmp_path) not in models.text


@pytest.mark.parametrize(
    ("decode", "encode", "bottleneck"), [(10, 40, "decode"), (40, 10, "encode"), (40, 38, "even")]
)
def test_the_slower_part_is_named(decode: float, encode: float, bottleneck: str) -> None:
    paces = {"decode": decode, "encode": encode, "whole": 9.5, "photo_mb": 3.4}
    whole, slower = describe_pace(paces, "cpu")
    assert whole.text.startswith("9.5 photos/s from file to place (JPEG of 12 MP, 3.4 MB)")
    assert slower.facts["bottleneck"] == bottleneck


def test_the_pace_of_the_real_pipeline_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PHOTO_WIDTH", 400)
    monkeypatch.setattr(pace, "PHOTO_HEIGHT", 300)
    values = model("starter", "cpu", 0.05)
    assert (values["name"], values["device"], values["precision"]) == ("starter", "cpu", "fp32")
    assert all(values["pace"][part] > 0 for part in ("decode", "encode", "whole"))
    json.dumps(values)


def test_without_a_temporary_folder_the_model_runs_and_only_the_pace_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    values = model("starter", "cpu", 0.05)
    assert (values["name"], values["pace_error"]) == ("starter", "No such file or directory")
    answers = {"runtime": Answer({"version": "1", "providers": [], "cuda": None}), "model": Answer(values)}
    monkeypatch.setattr("geolocate.diagnosis.examination.ask", lambda question, **_: answers.get(question))
    monkeypatch.setattr("geolocate.diagnosis.examination.cuda_cause", lambda *_: None)
    monkeypatch.setattr("geolocate.diagnosis.examination.describe_driver", lambda _: None)
    states = {
        finding.subject: finding.state for finding in examine("starter", "cpu", 0.05).of("warning", "ok")
    }
    assert (states["model"], states["pace"]) == ("ok", "warning")


def test_the_photo_of_the_self_test_is_never_one_that_came_before(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    photos = told_apart(islice(ever_new(tmp_path / "photo.jpg"), 5), lambda path: False)
    assert [photo.original for photo in photos] == [None] * 5


def test_the_drawn_photo_is_like_a_telephones(tmp_path: Path) -> None:
    from PIL import Image

    draw_photo(tmp_path / "photo.jpg")
    assert 2e6 < (tmp_path / "photo.jpg").stat().st_size < 5e6
    with Image.open(tmp_path / "photo.jpg") as image:
        assert image.size == (4000, 3000)
