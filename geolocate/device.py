"""Which device works here, and what suits it.

A wheel of ONNX Runtime lists CUDA on machines that cannot load it: so the cause is looked for before a
session is opened, and what the session then really uses decides.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

import onnxruntime

from geolocate.errors import DeviceError, UsageError
from geolocate.runtime_wheels import wheel_clash

Device = Literal["auto", "cuda", "cpu"]
DEVICES: tuple[Device, ...] = get_args(Device)

CUDA_PROVIDER = "CUDAExecutionProvider"
CPU_PROVIDER = "CPUExecutionProvider"

#: Photos in one call of the image encoder; on the CPU larger batches gain nothing.
BATCH_SIZE: dict[Literal["cpu", "cuda"], int] = {"cpu": 4, "cuda": 64}
#: What "auto" takes of the variants that a bundle has, fastest first. fp16 crashes the CPU provider.
PRECISIONS: dict[Literal["cpu", "cuda"], tuple[str, ...]] = {
    "cpu": ("int8", "fp32"),
    "cuda": ("fp16", "fp32"),
}

# Where somebody imported ONNX Runtime before geolocate could switch its reports off.
onnxruntime.disable_telemetry_events()


def cuda_problem() -> str | None:
    """Why CUDA cannot be used here, or None where nothing speaks against it yet. Creates no session."""
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        return wheel_clash() or "this onnxruntime wheel has no CUDA provider; it needs onnxruntime-gpu"
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(driver)
    except OSError:
        return f"no NVIDIA driver ({driver} cannot be loaded)"
    with contextlib.redirect_stdout(None):  # it prints what it misses among the rows
        onnxruntime.preload_dlls()  # the CUDA and cuDNN wheels, or those that torch brought
    library = (
        "onnxruntime_providers_cuda.dll" if sys.platform == "win32" else "libonnxruntime_providers_cuda.so"
    )
    try:
        ctypes.CDLL(str(Path(onnxruntime.__file__).parent / "capi" / library))
    except OSError as error:
        # The provider wants symbols of its host, which a bare load does not have: only a missing file counts.
        if "undefined symbol" not in str(error):
            return f"{error}; the CUDA libraries come with: pip install 'geolocate[cuda]'"
    return None


def choose_device(device: Device, say: Callable[[str], None]) -> Literal["cuda", "cpu"]:
    """The device to use; "auto" takes CUDA where it works and tells `say` why it does not.

    Raises:
        DeviceError: "cuda" was asked for and does not work.
        UsageError: there is no such device.
    """
    if device not in DEVICES:
        raise UsageError(f"device is one of {', '.join(DEVICES)}, not {device!r}")
    if device == "cpu":
        return "cpu"
    problem = cuda_problem()
    if problem is None:
        return "cuda"
    clash = wheel_clash()
    if clash is not None and clash not in problem:
        problem = f"{problem}; {clash}"
    if device == "cuda":
        raise DeviceError(f"CUDA does not work here: {problem}")
    say(f"running on the CPU: {problem}")
    return "cpu"


def choose_precision(precision: str, available: Sequence[str], device: Literal["cuda", "cpu"]) -> str:
    """The variant of the image encoder to use.

    Raises:
        UsageError: the bundle does not have `precision`, or it does not run on `device`.
    """
    usable = [name for name in PRECISIONS[device] if name in available]
    if precision == "auto":
        if not usable:
            raise UsageError(f"the bundle has no precision for {device}: only {', '.join(available)}")
        return usable[0]
    if precision not in available:
        raise UsageError(f"the bundle has no precision {precision}: only {', '.join(available)}")
    if precision not in usable:
        raise UsageError(f"precision {precision} does not run on {device}; {', '.join(usable)} would")
    return precision
