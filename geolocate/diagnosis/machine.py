"""The machine as the pipeline may use it."""

from __future__ import annotations

import os

from geolocate.diagnosis.findings import Finding
from geolocate.machine import available_memory, usable_cores, usable_cpus

#: The starter and its gallery run in less; a run with less than this left may be killed.
LEAST_MEMORY_BYTES = 500 * 10**6


def describe_machine() -> list[Finding]:
    """Findings about processors and memory, affinity and container limits included."""
    processors, usable, cores = os.cpu_count() or 1, usable_cpus(), usable_cores()
    text = f"{processors:,} processors" if processors > 1 else "1 processor"
    if usable < processors:
        text += f", of which affinity or the container leaves {usable:,}"
    if cores < usable:
        text += f", {cores:,} cores" if cores > 1 else ", 1 core"
    threads = "1 thread decodes" if usable == 1 else f"{usable:,} threads decode"
    text += f": {threads} photos, {cores:,} {'computes' if cores == 1 else 'compute'}"
    facts = {"processors": processors, "usable": usable, "cores": cores}
    return [Finding("processors", "ok", text, facts=facts), _describe_memory(available_memory())]


def _describe_memory(available: int | None) -> Finding:
    facts = {"available_bytes": available}
    if available is None:
        return Finding("memory", "info", "memory: the system does not tell how much is free", facts=facts)
    text = f"memory: {available / 1e9:.1f} GB free for use"
    if available < LEAST_MEMORY_BYTES:
        return Finding("memory", "warning", text, "geolocate --batch-size 1 --workers 1 needs least", facts)
    return Finding("memory", "ok", text, facts=facts)
