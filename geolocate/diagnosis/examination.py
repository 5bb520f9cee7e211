"""The whole examination, section by section: from the program down to the pace of the pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from geolocate.diagnosis.cuda import cuda_cause, describe_cuda, describe_driver, nvidia_gpu_seen
from geolocate.diagnosis.findings import Finding, Report, Section
from geolocate.diagnosis.installation import describe_extras, describe_folders, describe_program
from geolocate.diagnosis.machine import describe_machine
from geolocate.diagnosis.models import describe_bundles, describe_model
from geolocate.diagnosis.pace import describe_missing_pace, describe_pace
from geolocate.diagnosis.questions import ANSWER_LIMIT_S, Answer, ask
from geolocate.diagnosis.runtime import CUDA_PROVIDER, describe_providers, describe_wheels


def examine(model: str | None, device: str, seconds: float) -> Report:
    """Looks at everything; what does not work is a finding, never an exception.

    Args:
        model: bundle by name or folder; None for the one that `predict` takes.
        device: "auto", "cuda" or "cpu".
        seconds: how long the self-test measures; 0 for none.
    """
    sections = [
        Section("Program", tuple(describe_program())),
        Section("Machine", tuple(describe_machine())),
    ]
    runtime = ask("runtime")
    listed = runtime.values.get("providers", [])
    providers = {name: ask("provider", name=name) for name in listed}
    sections.append(Section("ONNX Runtime", (*describe_wheels(runtime), *describe_providers(providers))))
    driver = ask("driver")
    cause = cuda_cause(runtime, providers.get(CUDA_PROVIDER), driver, nvidia_gpu_seen())
    told = describe_driver(driver)
    cuda = describe_cuda(cause, wanted=device == "cuda")
    sections.append(Section("CUDA", (cuda,) if told is None else (told, cuda)))
    if runtime.failure or "error" in runtime.values:
        opened = Answer({"error": "ONNX Runtime cannot be imported"})
    else:
        opened = ask(
            "model", limit_s=ANSWER_LIMIT_S + 2 * seconds, model=model, device=device, seconds=seconds
        )
    sections.append(
        Section("Models", (*_guarded("bundles", describe_bundles()), describe_model(opened, model)))
    )
    if "pace" in opened.values:
        pace = describe_pace(opened.values["pace"], opened.values["device"])
        sections.append(Section("Self-test", tuple(pace)))
    elif "pace_error" in opened.values:
        sections.append(Section("Self-test", (describe_missing_pace(opened.values["pace_error"]),)))
    sections.append(Section("Extras", tuple(describe_extras())))
    sections.append(Section("Folders", tuple(_guarded("folders", _folders()))))
    return Report(tuple(sections), opened.values.get("device"))


def _folders() -> Iterator[Finding]:
    from geolocate.bundle_store import user_folder

    yield from describe_folders(user_folder())


def _guarded(subject: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Findings whose modules need numpy, which may be broken."""
    try:
        yield from findings
    except ImportError as error:
        yield Finding(subject, "problem", f"the {subject} cannot be looked at: {error}")
