"""torch's two exporters on the published GeoCLIP's image encoder: nodes, time, memory, speed of the graph.

    python benchmarks/exporters.py

Weights of the backbone are random: neither size nor time depends on them. Each export and each first
session runs in a process of its own, so that peaks of memory are its own. Compare figures of one run only.
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
EXPORTERS = ("torch.export", "TorchScript")
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


def open_once(path: Path) -> dict[str, float]:
    import numpy as np
    import onnxruntime

    before = time.perf_counter()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    opened = time.perf_counter() - before
    session.run(None, {"pixels": np.zeros((1, SIZE, SIZE, 3), np.uint8)})
    return {"open_s": opened, "session_peak_gb": _peak_gb()}


def race(paths: list[Path]) -> list[float]:
    """Median milliseconds a photo of each graph, in turns: what else the machine does meets all alike."""
    import numpy as np
    import onnxruntime

    sessions = [onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in paths]
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    times: list[list[float]] = [[] for _ in sessions]
    for _ in range(REPEATS + 1):
        for session, taken in zip(sessions, times, strict=True):
            before = time.perf_counter()
            session.run(None, {"pixels": pixels})
            taken.append((time.perf_counter() - before) / len(pixels) * 1e3)
    return [statistics.median(taken[1:]) for taken in times]


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
        print(json.dumps(open_once(path) if step == "open" else export(step, path)))
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = {exporter: Path(folder) / f"{exporter}.onnx" for exporter in EXPORTERS}
        figures = {
            exporter: _apart(exporter, str(path)) | _apart("open", str(path))
            for exporter, path in paths.items()
        }
        for exporter, milliseconds in zip(EXPORTERS, race(list(paths.values())), strict=True):
            figures[exporter]["ms_a_photo"] = milliseconds
    for exporter, row in figures.items():
        print(f"{exporter:13}", *(f"{name} {value:.4g}" for name, value in row.items()), sep="  ")


if __name__ == "__main__":
    main()
