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
from geolocate.machine import available_memory
from geolocate.runtime_wheels import wheel_clash

Device = Literal["auto", "cuda", "cpu"]
DEVICES: tuple[Device, ...] = get_args(Device)

CUDA_PROVIDER = "CUDAExecutionProvider"
CPU_PROVIDER = "CPUExecutionProvider"

#: Photos in one call of the image encoder, at most; on the CPU larger batches gain nothing.
BATCH_SIZE: dict[Literal["cpu", "cuda"], int] = {"cpu": 4, "cuda": 64}
#: Memory that each photo of a batch takes while ViT-L/14, the largest model that is known, encodes it: a
#: batch is made smaller where the device has less.
BATCH_BYTES_PER_PHOTO = 64 * 2**20
#: Batches that are encoded at the same time: on a GPU one is copied while another is computed; on the CPU
#: one, while the photos of the batch before it are ranked, named and written.
BATCHES_IN_FLIGHT: dict[Literal["cpu", "cuda"], int] = {"cpu": 1, "cuda": 2}
#: Full float32 where float32 is asked for (TF32 has 10 bits), no search for algorithms that would differ from
#: run to run, and no more memory than is needed.
CUDA_OPTIONS = {
    "use_tf32": "0",
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",
}
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


def choose_batch_size(device: Literal["cuda", "cpu"]) -> int:
    """Photos in one call of the image encoder that suit the memory: of a GPU all that it has.

    There a row depends on the size of the batch, by rounding, so that must be the same in every run.
    """
    memory = available_memory() if device == "cpu" else _cuda_memory()
    most = BATCH_SIZE[device]
    if memory is None:
        return most
    fits = memory // 2 // BATCH_BYTES_PER_PHOTO  # half: the model itself takes its part
    return max(1, min(most, fits))


def _cuda_memory() -> int | None:
    """Bytes of the GPU's memory; None where the CUDA runtime, loaded for the session, does not say."""
    name = "cudart64_13.dll" if sys.platform == "win32" else "libcudart.so.13"
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    try:
        failed = ctypes.CDLL(name).cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
    except (OSError, AttributeError):
        return None
    return None if failed else total.value


def cuda_devices() -> int:
    """How many GPUs this process may use; 1 where the CUDA runtime does not say."""
    name = "cudart64_13.dll" if sys.platform == "win32" else "libcudart.so.13"
    count = ctypes.c_int()
    try:
        failed = ctypes.CDLL(name).cudaGetDeviceCount(ctypes.byref(count))
    except (OSError, AttributeError):
        return 1
    return 1 if failed else max(1, count.value)


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
