"""The wheels of ONNX Runtime: which are installed, and which belongs here. Imports none of them."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

#: Every wheel that holds the package `onnxruntime`: where two are installed, one has overwritten the other.
RUNTIME_WHEELS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-migraphx",
    "onnxruntime-rocm",
    "onnxruntime-qnn",
    "onnxruntime-training",
    "ort-nightly",
    "ort-nightly-gpu",
)


def version_of(distribution: str) -> str | None:
    """The installed version, by metadata alone; None where it is not installed, "?" where it does not say."""
    try:
        return metadata.version(distribution) or "?"
    except metadata.PackageNotFoundError:
        return None
    except (KeyError, ValueError):
        return "?"


def gpu_wheel_exists() -> bool:
    """Whether onnxruntime-gpu is built for this platform, as the requirements of geolocate have it."""
    return (sys.platform, platform.machine()) in (("linux", "x86_64"), ("win32", "AMD64"))


def proper_wheel() -> str:
    """The wheel that geolocate requires on this platform."""
    return "onnxruntime-gpu" if gpu_wheel_exists() else "onnxruntime"


def installed_wheels() -> dict[str, str]:
    """Name and version of the wheels that are installed, by metadata; "?" where it gives no version."""
    versions = {name: version_of(name) for name in RUNTIME_WHEELS}
    return {name: version for name, version in versions.items() if version is not None}


def reinstall_line() -> str:
    """The command that leaves the proper wheel alone, with all its files."""
    wheel = proper_wheel()
    others = [name for name in installed_wheels() if name != wheel]
    return f"pip uninstall -y {' '.join([*others, wheel])} && pip install {wheel}"


def wheel_clash() -> str | None:
    """Says what is wrong where several ONNX Runtime wheels are installed, which overwrite each other."""
    installed = list(installed_wheels())
    if len(installed) < 2:
        return None
    quantity = "both " if len(installed) == 2 else ""
    return (
        f"{quantity}{' and '.join(installed)} are installed and overwrite each other; mend it with: "
        f"{reinstall_line()}"
    )
