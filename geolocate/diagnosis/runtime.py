"""ONNX Runtime: its wheels, whether it imports, and which of its providers really load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geolocate.diagnosis.findings import Finding
from geolocate.diagnosis.questions import Answer
from geolocate.runtime_wheels import installed_wheels, proper_wheel, reinstall_line

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"


def describe_wheels(runtime: Answer) -> list[Finding]:
    """Which wheels are installed, and whether what they hold imports.

    Args:
        runtime: to the question "runtime".
    """
    wheels = installed_wheels()
    told = " and ".join(f"{name} {version}" for name, version in wheels.items())
    findings = []
    if len(wheels) > 1:
        text = f"{told} are installed: wheels of one package that overwrite each other's files"
        findings.append(Finding("wheels", "problem", text, reinstall_line(), wheels))
    elif wheels:
        findings.append(Finding("wheels", "ok", told, facts=wheels))
    else:
        line = f"pip install {proper_wheel()}"
        findings.append(Finding("wheels", "problem", "no wheel of ONNX Runtime is installed", line))
    error = runtime.failure or runtime.values.get("error")
    if error and wheels:
        text = f"onnxruntime cannot be imported: {error}"
        findings.append(Finding("import", "problem", text, reinstall_line(), {"error": error}))
    elif not error:
        cuda = runtime.values.get("cuda")
        version = runtime.values.get("version")
        text = f"onnxruntime {version} imports" + (f", built for CUDA {cuda}" if cuda else "")
        findings.append(Finding("import", "ok", text, facts={"version": version, "cuda": cuda}))
    return findings


def provider_problem(name: str, answer: Answer) -> str | None:
    """Why a provider does not work; None where the probe ran on it.

    Args:
        answer: to the question "provider".
    """
    if answer.failure:
        return answer.failure
    complaint = _load_error(answer.complaints)
    if error := answer.values.get("error"):
        return complaint or _first_line(error)
    if answer.values["used"][:1] != [name]:
        return complaint or "ONNX Runtime fell back to another while it opened the graph"
    return None if answer.values["right"] else "computes wrong numbers"


def describe_providers(answers: Mapping[str, Answer]) -> list[Finding]:
    """The providers that the wheel lists, against those that load; CUDA has findings of its own.

    Args:
        answers: to the question "provider", by name.
    """
    findings = []
    for name, answer in answers.items():
        problem = provider_problem(name, answer)
        facts: dict[str, Any] = {"listed": True, "works": problem is None, "problem": problem}
        text = f"{name}: listed, " + (f"does not load: {problem}" if problem else "a graph ran on it")
        if name not in (CPU_PROVIDER, CUDA_PROVIDER):
            findings.append(Finding(name, "info", f"{text}; geolocate does not use it", facts=facts))
        elif problem is None:
            findings.append(Finding(name, "ok", text, facts=facts))
        elif name == CPU_PROVIDER:
            findings.append(Finding(name, "problem", text, reinstall_line(), facts))
        else:
            findings.append(Finding(name, "info", text, facts=facts))
    return findings


def _load_error(complaints: str) -> str | None:
    """The reason in ONNX Runtime's own line about a provider's library that cannot be loaded."""
    for line in complaints.splitlines():
        if "Failed to load library" in line and " with error: " in line:
            return line.rpartition(" with error: ")[2].strip()
    return None


def _first_line(error: str) -> str:
    return (error.strip().splitlines() or ["?"])[0]
