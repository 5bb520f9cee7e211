"""What the machine is, and the most that it can do: the best matrix product."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
from turns import Way

from geolocate.machine import usable_cpus

#: Floating-point operations of CLIP ViT-L/14 over one photo of 224 x 224, multiplication and addition apart.
VIT_L_14_FLOP = 162e9
#: Versions that figures depend on.
PACKAGES = (
    "geolocate",
    "numpy",
    "onnxruntime-gpu",
    "onnxruntime",
    "torch",
    "geoclip",
    "transformers",
    "pillow",
)
#: Sides of the square product: large enough for full speed, small enough for a quick turn.
CPU_SIDE, CUDA_SIDE = 2048, 8192
CUDA_REPEATS = 50


def machine() -> dict[str, str]:
    """The processor, how many of it this process may use, and the versions of what runs on it."""
    found = {
        "processor": _processor(),
        "cores": str(usable_cpus()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    wide = any(line.startswith("flags") and "avx512f" in line.split() for line in lines)
    return f"{names[0] if names else 'unknown'}{', AVX-512' if wide else ''}"


def best_product() -> Way:
    """float32 matrix products with all cores; a unit is the FLOPs of one photo through ViT-L/14.

    numpy's library or torch's, whichever is faster here.
    """
    random = np.random.default_rng(0)
    left, right = (random.standard_normal((CPU_SIDE, CPU_SIDE), dtype=np.float32) for _ in range(2))
    ways: list[Callable[[], object]] = [lambda: left @ right]
    try:
        import torch

        torch_left, torch_right = torch.from_numpy(left), torch.from_numpy(right)
        ways.append(lambda: torch_left @ torch_right)
    except ImportError:
        pass
    best = max(ways, key=_speed)
    units = 2 * CPU_SIDE**3 / VIT_L_14_FLOP
    repeats = max(1, round(0.5 / units))  # as long as half a photo

    def product() -> float:
        for _ in range(repeats):
            best()
        return repeats * units

    return product


def _speed(work: Callable[[], object]) -> float:
    import time

    work()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1 / min(times)


def best_cuda_product() -> Way:
    """float16 matrix products on the GPU, in the unit of :func:`best_product`."""
    import torch

    left, right = (torch.randn(CUDA_SIDE, CUDA_SIDE, device="cuda", dtype=torch.float16) for _ in range(2))

    def product() -> float:
        for _ in range(CUDA_REPEATS):
            left @ right
        torch.cuda.synchronize()
        return CUDA_REPEATS * 2 * CUDA_SIDE**3 / VIT_L_14_FLOP

    return product
