"""torch's two exporters on the published GeoCLIP's image encoder: nodes, time, memory, speed of the graph.

    python benchmarks/exporters.py

Weights of the backbone are random: neither size nor time depends on them. Each export and each session runs
in a process of its own, so that peaks of memory are its own; compare figures of one run only.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

MODEL, SIZE, OPSET = "ViT-L-14-quickgelu", 224, 20
REPEATS = 5


def export(exporter: str, target: Path) -> dict[str, float]:
    import onnx
    import torch

    from geolocate_export import graphs
    from geolocate_export.model import ImageConfig, ImageEncoder

    torch.manual_seed(0)
    encoder = ImageEncoder(ImageConfig.of_open_clip(MODEL), 512).eval()
    before = time.perf_counter()
    if exporter == "torch.export":
        graph = graphs.image_encoder_graph(encoder, SIZE)
        target.write_bytes(graphs.graph_bytes(graph))
        nodes = len(graph.graph.node)
    else:
        pixels = torch.zeros((2, SIZE, SIZE, 3), dtype=torch.uint8)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                encoder,
                (pixels,),
                str(target),
                input_names=["pixels"],
                output_names=["image_embedding"],
                dynamic_axes={"pixels": {0: "N"}, "image_embedding": {0: "N"}},
                opset_version=OPSET,
                dynamo=False,
            )
        nodes = len(onnx.load(target, load_external_data=False).graph.node)
    seconds = time.perf_counter() - before
    return {
        "nodes": nodes,
        "export_s": seconds,
        "file_mb": target.stat().st_size / 1e6,
        "peak_gb": _peak_gb(),
    }


def run(path: Path) -> dict[str, float]:
    import numpy as np
    import onnxruntime

    before = time.perf_counter()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    opened = time.perf_counter() - before
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    session.run(None, {"pixels": pixels})
    times = []
    for _ in range(REPEATS):
        before = time.perf_counter()
        session.run(None, {"pixels": pixels})
        times.append((time.perf_counter() - before) / len(pixels) * 1e3)
    return {"open_s": opened, "session_peak_gb": _peak_gb(), "ms_a_photo": statistics.median(times)}


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _apart(*arguments: str) -> dict[str, float]:
    """Runs this script with arguments in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result


def main() -> None:
    if len(sys.argv) > 1:
        step, path = sys.argv[1], Path(sys.argv[2])
        print(json.dumps(run(path) if step == "run" else export(step, path)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for exporter in ("torch.export", "TorchScript"):
            path = Path(folder) / "encoder.onnx"
            figures = _apart(exporter, str(path)) | _apart("run", str(path))
            print(f"{exporter:13}", *(f"{name} {value:.4g}" for name, value in figures.items()), sep="  ")
            path.unlink()


if __name__ == "__main__":
    main()
