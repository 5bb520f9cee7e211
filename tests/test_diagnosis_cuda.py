"""Why CUDA is not there: the first cause, and what brings it. The facts are made up: no test needs a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from geolocate.diagnosis.cuda import (
    CUDA_EXTRA_LINE,
    cuda_cause,
    describe_cuda,
    describe_driver,
    nvidia_gpu_seen,
)
from geolocate.diagnosis.questions import Answer
from geolocate.diagnosis.runtime import CPU_PROVIDER, CUDA_PROVIDER

RUNTIME = Answer({"version": "1.31.1", "providers": [CUDA_PROVIDER, CPU_PROVIDER], "cuda": "13.0"})
RAN = Answer({"used": [CUDA_PROVIDER, CPU_PROVIDER], "right": True})
NO_DRIVER = Answer({"library": "libcuda.so.1", "loads": False})
GPU = {"name": "NVIDIA H100", "bytes": 80 * 10**9}
ONE_WHEEL = {"onnxruntime-gpu": "1.31.1"}
MISSING = "cannot open shared object file: No such file or directory"


def driver(cuda: str = "13.0", init: int = 0, devices: Any = (GPU,)) -> Answer:
    facts = {"library": "libcuda.so.1", "loads": True, "version": "580.65", "cuda": cuda, "init": init}
    return Answer({**facts, "devices": list(devices)})


def fell_back(library: str) -> Answer:
    """The answer where the provider's library lacks another: ONNX Runtime says so in its log alone."""
    log = (
        f"[E:onnxruntime] Failed to load library /x/libonnxruntime_providers_cuda.so with error: {library}: "
    )
    return Answer({"used": [CPU_PROVIDER], "right": True}, complaints=f"{log}{MISSING}\nWarning: at your own")


@pytest.fixture(autouse=True)
def wheels(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """One GPU wheel on a platform that has it, and no CUDA libraries from wheels; a test may change it."""
    installed = dict(ONE_WHEEL)
    monkeypatch.setattr("geolocate.diagnosis.cuda.gpu_wheel_exists", lambda: True)
    monkeypatch.setattr("geolocate.diagnosis.cuda.installed_wheels", lambda: installed)
    monkeypatch.setattr("geolocate.diagnosis.cuda.version_of", lambda name: None)
    return installed


def test_there_is_no_cause_where_the_probe_ran_on_cuda() -> None:
    cause = cuda_cause(RUNTIME, RAN, driver(), True)
    assert cause is None
    assert describe_cuda(cause, wanted=True).state == "ok"


@pytest.mark.parametrize(
    ("provider", "of_driver", "seen", "text", "fix"),
    [
        (fell_back("x"), NO_DRIVER, False, "no NVIDIA GPU is seen", None),
        (fell_back("x"), NO_DRIVER, True, "but no driver (libcuda.so.1", "driver 580 or newer"),
        (
            fell_back("x"),
            driver("12.4"),
            True,
            "runs CUDA 12.4 at most; onnxruntime wants 13",
            "580 or newer",
        ),
        (fell_back("x"), driver(init=100, devices=[]), True, "gives no GPU (cuInit: 100)", "--gpus all"),
        (fell_back("libcublasLt.so.13"), driver(), True, f"libcublasLt.so.13: {MISSING}", CUDA_EXTRA_LINE),
        (fell_back("libcudnn.so.9"), driver(), True, "wants CUDA 13 and cuDNN 9", CUDA_EXTRA_LINE),
        (Answer(failure="crashed with SIGSEGV"), driver(), True, "crashed with SIGSEGV", CUDA_EXTRA_LINE),
        (Answer({"used": [CUDA_PROVIDER], "right": False}), driver(), True, "wrong numbers", CUDA_EXTRA_LINE),
        (None, driver(), True, "does not list CUDA", "pip uninstall -y"),
        (fell_back("x"), Answer(failure="crashed with SIGBUS"), True, "crashed with SIGBUS", "reinstall"),
    ],
)
def test_the_first_cause_is_named_with_what_brings_cuda(
    provider: Answer | None, of_driver: Answer, seen: bool, text: str, fix: str | None
) -> None:
    cause = cuda_cause(RUNTIME, provider, of_driver, seen)
    assert cause is not None
    assert text in cause.text
    assert (cause.fix is None) if fix is None else fix in (cause.fix or "")


def test_the_wheel_is_the_cause_where_another_is_there_or_two_are(wheels: dict[str, str]) -> None:
    wheels["onnxruntime"] = "1.32.0"
    cause = cuda_cause(RUNTIME, None, driver(), True)
    assert cause is not None
    assert "no CUDA provider" in cause.text
    del wheels["onnxruntime-gpu"]
    cause = cuda_cause(RUNTIME, None, driver(), True)
    assert cause is not None
    assert cause.fix is not None
    assert cause.fix.endswith("pip install onnxruntime-gpu") or cause.fix.endswith("pip install onnxruntime")


def test_libraries_of_another_cuda_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"nvidia-cuda-runtime-cu12": "12.8.90"}
    monkeypatch.setattr("geolocate.diagnosis.cuda.version_of", installed.get)
    cause = cuda_cause(RUNTIME, fell_back("libcudart.so.13"), driver(), True)
    assert cause is not None
    assert "the libraries installed are those of CUDA 12" in cause.text
    assert cause.fix == CUDA_EXTRA_LINE


def test_libraries_of_another_cuda_beside_the_right_one_are_no_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"nvidia-cuda-runtime-cu12": "12.8.90", "nvidia-cuda-runtime": "13.0.96"}
    monkeypatch.setattr("geolocate.diagnosis.cuda.version_of", installed.get)
    cause = cuda_cause(RUNTIME, fell_back("libcudnn.so.9"), driver(), True)
    assert cause is not None
    assert "the libraries installed" not in cause.text


def test_a_platform_without_a_cuda_wheel_has_nothing_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geolocate.diagnosis.cuda.gpu_wheel_exists", lambda: False)
    cause = cuda_cause(RUNTIME, None, NO_DRIVER, False)
    assert cause is not None
    assert cause.fix is None


def test_no_cuda_is_a_problem_only_where_it_was_asked_for() -> None:
    cause = cuda_cause(RUNTIME, fell_back("x"), NO_DRIVER, False)
    alone = describe_cuda(cause, wanted=False)
    assert alone.state == "info"
    assert "the CPU does the same work" in alone.text
    asked = describe_cuda(cause, wanted=True)
    assert asked.state == "problem"
    assert asked.fix


def test_the_driver_is_told_with_its_gpus() -> None:
    told = describe_driver(driver())
    assert told is not None
    assert told.text == "NVIDIA driver 580.65, runs CUDA up to 13.0: NVIDIA H100, 80 GB"
    assert describe_driver(NO_DRIVER) is None
    assert describe_driver(Answer(failure="crashed with SIGSEGV")) is None


def test_an_nvidia_gpu_is_seen_on_the_bus(tmp_path: Path) -> None:
    def plug(name: str, vendor: str, kind: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")

    assert not nvidia_gpu_seen(tmp_path / "none")
    plug("0000:00:02.0", "0x8086", "0x030000")  # another maker's graphics
    plug("0000:01:00.1", "0x10de", "0x040300")  # NVIDIA's sound
    assert not nvidia_gpu_seen(tmp_path)
    plug("0000:01:00.0", "0x10de", "0x030200")
    assert nvidia_gpu_seen(tmp_path)
