"""Training speed on cached features, as a share of the machine's own rate of matrix products.

The floor is counted: the products of heads, location encoder and contrast, forward and backward, over the
rate that torch's matrix products of the location encoder's sizes reach in the same run on the same device. On
the CPU in float32; on CUDA the heads run in bfloat16, and so does the rate that they are measured against.

    python benchmarks/training.py [--device cuda] [--concepts 400] [--steps 10]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from geolocate_export.concept_alignment import ConceptConfig
from geolocate_export.feature_set import FeatureSet
from geolocate_export.model import GeoModel, ImageConfig, ModelConfig
from geolocate_export.train import train
from geolocate_export.training_config import TrainingConfig

#: MP-16: photos that GeoCLIP was trained on.
MP16_PHOTOS = 4_700_000
FEATURE_DIM = 768
#: Seconds that the rate is measured for, before the training and after it.
RATE_S = 3.0
GALLERY_POINTS = 100_000


@dataclass(frozen=True)
class Rate:
    """FLOP/s by the clock, and by the processor's own time, which other programs do not spoil."""

    clock: float
    processor: float


def matrix_rate(device: str, rows: int) -> Rate:
    """Of (rows, 1024) x (1024, 1024), the product that training consists of; the best of many goes."""
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    a = torch.randn(rows, 1024, device=device, dtype=kind)
    b = torch.randn(1024, 1024, device=device, dtype=kind)
    repeats = 200 if device == "cuda" else 4
    flops = 2.0 * rows * 1024 * 1024 * repeats
    clock = processor = 0.0
    ends = time.monotonic() + RATE_S
    while time.monotonic() < ends:
        started, used = time.perf_counter(), time.process_time()
        for _ in range(repeats):
            a @ b
        synchronise(device)
        clock = max(clock, flops / (time.perf_counter() - started))
        processor = max(processor, flops / (time.process_time() - used))
    return Rate(clock, processor)


def step_flops(model: GeoModel, batch: int, queue: int) -> float:
    """Of one step: each layer forward, to its weights, and to its input where that has a gradient."""
    places = batch + queue
    d = model.config.embedding_dim
    total = 0.0
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            rows = places if name.startswith("location_encoder") else batch
            # Frequencies and features are given: nothing flows back into them.
            first = name.endswith(("capsule.1", "image_encoder.mlp.0"))
            total += 2.0 * rows * module.in_features * module.out_features * (2 if first else 3)
    total += 3 * 2.0 * batch * places * d  # contrast
    if model.config.concepts is not None:
        k = model.config.concepts.count
        total += 3 * 2.0 * places * d * k  # location scores
        total += 3 * 2.0 * batch * places * k  # contrast of the scores
        total += 3 * 2.0 * batch * batch * k * 3  # divergence
    return total


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Prints the rate, the floor, the time of a step and what an epoch of MP-16 would take."""
    parser = argparse.ArgumentParser(description="Training speed on cached features.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--queue", type=int, default=4096)
    parser.add_argument("--concepts", type=int, default=0, help="of the concept module; 0 leaves it out")
    parser.add_argument("--steps", type=int, default=None, help="measured, after as many that warm up")
    arguments = parser.parse_args()
    device, batch, queue = arguments.device, arguments.batch, arguments.queue
    steps = arguments.steps or (500 if device == "cuda" else 6)
    torch.manual_seed(0)
    concepts = ConceptConfig(arguments.concepts) if arguments.concepts else None
    model = GeoModel(ModelConfig(ImageConfig({}, FEATURE_DIM), concepts=concepts))
    generator = np.random.default_rng(0)
    photos = batch * min(steps, 40)
    features = generator.normal(size=(photos, 2, FEATURE_DIM)).astype(np.float16)
    places = generator.uniform((-60, -180), (70, 180), size=(photos, 2))
    data = FeatureSet(features, places, ("",) * photos)
    gallery = generator.uniform((-60, -180), (70, 180), size=(GALLERY_POINTS, 2))
    config = TrainingConfig(epochs=2, steps=steps, batch_size=batch, queue_length=queue)
    rates = [matrix_rate(device, batch + queue)]
    marks: list[tuple[float, float]] = []

    def on_step(step: int, total: int) -> None:
        if step in (steps + 1, 2 * steps):  # of the second epoch; the steps between run freely
            synchronise(device)
            marks.append((time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        train(model, config, data, None, gallery, Path(folder), device=device, on_step=on_step)
    rates.append(matrix_rate(device, batch + queue))
    seconds, used = ((end - start) / (steps - 1) for start, end in zip(*marks, strict=True))
    rate = Rate(max(r.clock for r in rates), max(r.processor for r in rates))
    flops = step_flops(model, batch, queue)
    what = f", {arguments.concepts} concepts" if arguments.concepts else ""
    print(f"{device}, {torch.get_num_threads()} threads, batch {batch}, queue {queue}{what}")
    print(f"matrix products: {rate.clock / 1e9:,.0f} GFLOP/s")
    print(f"a step: {flops / 1e9:,.1f} GFLOP, floor {flops / rate.clock:.4f} s, measured {seconds:.4f} s")
    print(f"share of the floor reached: {flops / rate.clock / seconds:.0%}")
    if device == "cpu":
        print(f"the same by processor time: {flops / rate.processor / used:.0%}")
    epoch = MP16_PHOTOS / batch * seconds
    print(f"an epoch of MP-16 ({MP16_PHOTOS:,} photos): {epoch / 60:,.1f} min at this rate")


if __name__ == "__main__":
    main()
