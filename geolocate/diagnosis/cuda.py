"""Why CUDA is not there, and what brings it: the first cause, from the machine up to the provider.

a GPU? -> a driver? -> new enough? -> one wheel, with the provider? -> CUDA and cuDNN libraries? -> it runs
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geolocate.diagnosis.findings import Finding
from geolocate.diagnosis.questions import Answer
from geolocate.diagnosis.runtime import CUDA_PROVIDER, provider_problem
from geolocate.runtime_wheels import gpu_wheel_exists, installed_wheels, reinstall_line, version_of

#: What onnxruntime-gpu 1.31 is built for, where a wheel does not say.
CUDA_MAJOR = 13
#: The first NVIDIA driver that runs a CUDA of that major (NVIDIA's CUDA compatibility table).
FIRST_DRIVER = {12: "525", 13: "580"}
CUDA_EXTRA_LINE = "pip install 'geolocate[cuda]'"
CPU_IS_FINE = "the CPU does the same work, only slower, so nothing has to be mended"

PCI_DEVICES = Path("/sys/bus/pci/devices")
#: PCI's numbers of NVIDIA and of display controllers.
NVIDIA_VENDOR, DISPLAY_CLASS = "0x10de", "0x03"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why CUDA does not work, and what brings it; no fix where nothing does on this machine."""

    text: str
    fix: str | None = None


def cuda_cause(runtime: Answer, provider: Answer | None, driver: Answer, gpu_seen: bool) -> Cause | None:
    """The first cause that keeps CUDA from working; None where the probe ran on it.

    Args:
        runtime, driver: to the questions of these names.
        provider: to "provider" for CUDA; None where the wheel does not list it.
        gpu_seen: whether the machine has an NVIDIA GPU as far as its bus tells.
    """
    if provider is not None and provider_problem(CUDA_PROVIDER, provider) is None:
        return None
    major = cuda_major(runtime)
    if not gpu_wheel_exists():
        return Cause("ONNX Runtime has no CUDA wheel for this platform")
    if driver.failure:
        return Cause(f"the NVIDIA driver does not answer: {driver.failure}", "reinstall the NVIDIA driver")
    if not driver.values["loads"]:
        library = driver.values["library"]
        if gpu_seen:
            text = f"an NVIDIA GPU is there, but no driver ({library} cannot be loaded)"
            return Cause(text, f"install the NVIDIA driver {_driver(major)}")
        return Cause(f"no NVIDIA driver ({library} cannot be loaded), and no NVIDIA GPU is seen")
    if driver.values["init"] != 0 or not driver.values["devices"]:
        text = f"the NVIDIA driver is there, but gives no GPU (cuInit: {driver.values['init']})"
        return Cause(text, "let the container see it (docker run --gpus all), or unset CUDA_VISIBLE_DEVICES")
    if int(driver.values["cuda"].split(".")[0]) < major:
        text = f"the NVIDIA driver runs CUDA {driver.values['cuda']} at most; onnxruntime wants {major}"
        return Cause(text, f"install the NVIDIA driver {_driver(major)}")
    if len(installed_wheels()) > 1 or "onnxruntime-gpu" not in installed_wheels():
        return Cause("the onnxruntime that is installed has no CUDA provider", reinstall_line())
    if provider is None:
        return Cause("onnxruntime-gpu does not list CUDA: its files are another wheel's", reinstall_line())
    return _library_cause(provider_problem(CUDA_PROVIDER, provider) or "", major)


def cuda_major(runtime: Answer) -> int:
    """The CUDA major that the installed wheel is built for."""
    version = str(runtime.values.get("cuda") or "").split(".")[0]
    return int(version) if version.isdecimal() else CUDA_MAJOR


def _library_cause(problem: str, major: int) -> Cause:
    """GPU, driver and wheel are as they should be: the libraries in between are not."""
    text = f"{problem}; onnxruntime wants CUDA {major} and cuDNN 9"
    installed = _cuda_majors()
    if installed and major not in installed:
        text += f", and the libraries installed are those of CUDA {max(installed)}"
    return Cause(text, CUDA_EXTRA_LINE)


def _cuda_majors() -> set[int]:
    """CUDA majors of the runtime libraries that are installed as wheels."""
    names = {f"nvidia-cuda-runtime-cu{major}": major for major in (11, 12, 13)}
    majors = {major for name, major in names.items() if version_of(name)}
    # From 13 on the wheel has no suffix.
    unnamed = (version_of("nvidia-cuda-runtime") or "").split(".")[0]
    return majors | ({int(unnamed)} if unnamed.isdecimal() else set())


def _driver(major: int) -> str:
    return f"{FIRST_DRIVER[major]} or newer" if major in FIRST_DRIVER else f"that runs CUDA {major}"


def describe_driver(driver: Answer) -> Finding | None:
    """The driver and its GPUs; None where there is none."""
    if driver.failure or not driver.values["loads"]:
        return None
    version = driver.values["version"]
    gpus = [f"{device['name']}, {device['bytes'] / 1e9:.0f} GB" for device in driver.values["devices"]]
    text = f"NVIDIA driver{f' {version}' if version else ''}, runs CUDA up to {driver.values['cuda']}"
    facts: dict[str, Any] = {key: driver.values[key] for key in ("version", "cuda", "init", "devices")}
    return Finding("driver", "ok" if gpus else "info", f"{text}: {'; '.join(gpus) or 'no GPU'}", facts=facts)


def describe_cuda(cause: Cause | None, wanted: bool) -> Finding:
    """Whether CUDA works.

    Args:
        wanted: CUDA was asked for, so that its absence is a problem.
    """
    if cause is None:
        return Finding("cuda", "ok", "CUDA works: a graph ran on it", facts={"works": True})
    facts = {"works": False, "cause": cause.text}
    if wanted:
        return Finding(
            "cuda",
            "problem",
            f"CUDA does not work: {cause.text}",
            cause.fix or "leave out --device cuda",
            facts,
        )
    return Finding("cuda", "info", f"no CUDA: {cause.text}; {CPU_IS_FINE}", cause.fix, facts)


def nvidia_gpu_seen(devices: Path = PCI_DEVICES) -> bool:
    """Whether an NVIDIA GPU is on the PCI bus; False where nobody tells, as outside Linux."""
    try:
        found = os.listdir(devices)
    except OSError:
        return False
    return any(
        _line(devices / name / "vendor") == NVIDIA_VENDOR
        and _line(devices / name / "class").startswith(DISPLAY_CLASS)
        for name in found
    )


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
