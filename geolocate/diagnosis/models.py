"""The bundles: which are installed and whole, which one `predict` takes, and how it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geolocate.diagnosis.findings import Finding
from geolocate.diagnosis.installation import shown
from geolocate.diagnosis.questions import Answer

if TYPE_CHECKING:
    from geolocate.bundle_store import InstalledBundle


def describe_bundles() -> Iterator[Finding]:
    """Every bundle that can be had by name; one that is damaged is a warning, since another may be taken."""
    from geolocate.bundle_store import list_bundles

    for bundle in list_bundles():
        yield _describe_bundle(bundle)


def _describe_bundle(bundle: InstalledBundle) -> Finding:
    facts: dict[str, Any] = {"default": bundle.default, "bytes": bundle.size, "problem": bundle.problem}
    if bundle.problem or bundle.manifest is None:
        fix = (
            "pip install --force-reinstall --no-deps geolocate"
            if bundle.packaged
            else f"geolocate models remove {bundle.name}, and add or pull it again"
        )
        return Finding(f"bundle {bundle.name}", "warning", f"{bundle.name}: {bundle.problem}", fix, facts)
    kind = "trained" if bundle.manifest.trained else "untrained"
    precisions = ", ".join(bundle.manifest.precisions)
    text = f"{bundle.name} {bundle.manifest.version}: {kind}, {bundle.size / 1e6:,.1f} MB, {precisions}"
    return Finding(f"bundle {bundle.name}", "ok", text, facts={**facts, "precisions": precisions})


def describe_model(model: Answer, named: str | None) -> Finding:
    """Whether the model that `predict` would take runs.

    Args:
        model: to the question "model".
        named: what the user named; None where the default is taken.
    """
    values = model.values
    if error := model.failure or values.get("error"):
        what = f"the model {shown(Path(named))}" if named else "the model"
        return Finding("model", "problem", f"{what} does not run: {error}", facts={"error": error})
    device = {"cpu": "the CPU", "cuda": "CUDA"}[values["device"]]
    chosen_by = "as named" if named else "the default"
    text = (
        f"predict takes {values['name']} ({chosen_by}) on {device}, {values['precision']} {_why(values)}; "
        f"opened in {values['open_s']:.1f} s"
    )
    facts = {key: values[key] for key in ("name", "device", "precision", "points", "open_s")}
    return Finding("model", "ok", text, facts=facts)


def _why(values: Any) -> str:
    """Why this precision: it is the fastest that the bundle has for the device, or the only one."""
    if len(values["precisions"]) == 1:
        return "(the only one it has)"
    return f"(the fastest for this device of {', '.join(values['precisions'])})"
