"""The other side of :func:`geolocate.diagnosis.questions.ask`: a process that answers one question and ends.

    python -m geolocate.diagnosis.worker QUESTION '{"argument": ...}'

Libraries print where they like; so the answer has a descriptor of its own, and what they print goes to
standard error.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

#: y = 2 x · x over (1, 1, 2, 2): a convolution and a matrix product, for which a GPU needs cuDNN and cuBLAS.
PROBE_GRAPH = base64.b64decode(
    "CAgSADp6Cg8KAXgKAXcSAWMiBENvbnYKEQoBYwoBeBIBeSIGTWF0TXVsEgVwcm9iZSoTCAEIAQgBCAEQASIEAAAAQEIB"
    "d1obCgF4EhYKFAgBEhAKAggBCgIIAQoCCAIKAggCYhsKAXkSFgoUCAESEAoCCAEKAggBCgIIAgoCCAJCBAoAEBE="
)
PROBE_INPUT = [[[[1.0, 2.0], [3.0, 4.0]]]]
PROBE_OUTPUT = [[[[14.0, 20.0], [30.0, 44.0]]]]


def runtime() -> dict[str, Any]:
    """Whether ONNX Runtime imports, and what it says of itself."""
    try:
        import onnxruntime

        return {
            "version": onnxruntime.__version__,
            "providers": list(onnxruntime.get_available_providers()),
            "cuda": _cuda_of(onnxruntime),
        }
    except Exception as error:  # a broken wheel fails in any way: files missing, symbols missing
        return {"error": f"{type(error).__name__}: {error}"}


def _cuda_of(onnxruntime: Any) -> str | None:
    """The CUDA version that the wheel was built for; None of the CPU's."""
    information = getattr(getattr(onnxruntime, "capi", None), "build_and_package_info", None)
    version = getattr(information, "cuda_version", None)
    return version if isinstance(version, str) and version else None


def provider(name: str) -> dict[str, Any]:
    """Opens the probe on one provider and runs it: what the session then says it uses decides."""
    try:
        import numpy as np
        import onnxruntime

        if name == "CUDAExecutionProvider":
            with suppress(Exception):  # what then lacks, the session will say
                onnxruntime.preload_dlls()
        session = onnxruntime.InferenceSession(PROBE_GRAPH, providers=[name], enable_fallback=0)
        used = session.get_providers()
        (result,) = session.run(["y"], {"x": np.array(PROBE_INPUT, np.float32)})
        return {"used": used, "right": bool(np.allclose(result, PROBE_OUTPUT))}
    except Exception as error:  # ONNX Runtime has no common base class of its exceptions
        return {"error": f"{type(error).__name__}: {error}"}


def driver() -> dict[str, Any]:
    """The NVIDIA driver by its own API: its version, the CUDA version that it can run, and its devices.

    Creates no context, so it takes no memory of a GPU.
    """
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return {"library": library, "loads": False}
    number = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(number))
    answer: dict[str, Any] = {
        "library": library,
        "loads": True,
        "version": _driver_version(),
        "cuda": f"{number.value // 1000}.{number.value % 1000 // 10}",
        "init": cuda.cuInit(0),
        "devices": [],
    }
    if answer["init"] == 0 and cuda.cuDeviceGetCount(ctypes.byref(number)) == 0:
        for ordinal in range(number.value):
            name, size = ctypes.create_string_buffer(256), ctypes.c_size_t()
            if cuda.cuDeviceGetName(name, len(name), ordinal) == 0:
                cuda.cuDeviceTotalMem_v2(ctypes.byref(size), ordinal)
                answer["devices"].append({"name": name.value.decode("utf-8", "replace"), "bytes": size.value})
    return answer


def _driver_version() -> str | None:
    """As NVIDIA counts its drivers ("580.65.06"), by NVML, which comes with each."""
    try:
        nvml = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        text = ctypes.create_string_buffer(96)
        if nvml.nvmlInit_v2() == 0 and nvml.nvmlSystemGetDriverVersion(text, len(text)) == 0:
            return text.value.decode("ascii", "replace")
    except (OSError, AttributeError):
        pass
    return None


def model(model: str | None, device: str, seconds: float) -> dict[str, Any]:
    """Opens the model as `predict` does, and measures its pace where `seconds` is above 0.

    Without a temporary folder for the photo there is no pace, but the model runs all the same.
    """
    from geolocate.errors import GeolocateError

    begun = time.perf_counter()
    try:
        from geolocate.diagnosis.pace import measure
        from geolocate.geolocator import Geolocator

        geolocator = Geolocator.load(model, device=device, say=lambda text: None)  # type: ignore[arg-type]
        answer: dict[str, Any] = {
            "name": geolocator.bundle.manifest.name,
            "device": geolocator.device,
            "precision": geolocator.precision,
            "precisions": list(geolocator.bundle.manifest.precisions),
            "points": len(geolocator.gallery),
            "open_s": time.perf_counter() - begun,
        }
        if seconds > 0:
            try:
                answer["pace"] = measure(geolocator, seconds)
            except OSError as error:
                answer["pace_error"] = os.strerror(error.errno) if error.errno else type(error).__name__
        if "pace" not in answer:
            _ = geolocator.encode_images([])  # opens the image encoder
        return answer
    except GeolocateError as error:
        return {"error": str(error)}
    except Exception as error:  # the doctor tells of it; a traceback in a hidden process would help nobody
        return {"error": f"{type(error).__name__}: {error}"}


QUESTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "runtime": runtime,
    "provider": provider,
    "driver": driver,
    "model": model,
}


def main() -> None:
    """Answers the question of the command line."""
    answers = os.dup(1)
    os.dup2(2, 1)
    question, arguments = sys.argv[1:]
    answer = QUESTIONS[question](**json.loads(arguments))
    with os.fdopen(answers, "w", encoding="utf-8") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    main()
