"""Tables of docs/scale.md about the pipeline: numbers, one GPU, sweeps, costs, whole jobs."""

from __future__ import annotations

from markdown_figures import duration, percent, short, size_of, table
from scale_model import (
    BITS_PER_BYTE,
    SIDE,
    SIZES,
    cores_to_feed,
    cpu_worker,
    gigabits_to_feed,
    gpu_rate,
    gpu_worker,
    vit_flop,
)
from scale_parameters import Parameters
from scale_plan import cost, job, list_s, simulated, unbroken

GPUS = ("H200", "A100", "L4", "T4")
PHOTOS = {"10^6": 1e6, "10^8": 1e8, "10^10": 1e10}
WORKERS = (1, 8, 64, 512)
CORES = (4, 8, 16, 32, 64, 128, 256)
NETWORKS = (1.0, 5.0, 12.5, 25.0, 50.0, 100.0)
#: Of the photos of the tables that have one size only.
SIZE = "3 MB"
#: Of a path in the plan, with its quotes and line end.
PATH_LENGTH = 48
#: A decoded photo.
SQUARE_BYTES = SIDE * SIDE * 3


def parameters_table(parameters: Parameters) -> str:
    """Every number, its unit, kind and source."""
    return table(
        ("what", "value", "unit", "kind", "source"),
        ((p.name, f"{p.value:,.12g}", p.unit, p.kind, p.source) for p in parameters.table.values()),
    )


def flop_table(_: Parameters) -> str:
    """Where the operations of ViT-L/14 are."""
    parts = vit_flop()
    rows = [(part, f"{flop / 1e9:.2f}") for part, flop in parts.items()]
    return table(("part", "GFLOP"), [*rows, ("**all**", f"**{sum(parts.values()) / 1e9:.1f}**")])


def one_gpu_table(parameters: Parameters) -> str:
    """One GPU with the cores and the network of the parameters, by size of photo."""
    rows = []
    for size in SIZES:
        worker = gpu_worker(parameters, size)
        ceilings, outcome = worker.ceilings(), simulated(worker)
        rows.append(
            (
                size,
                *(short(ceilings[pool]) for pool in ("GPU", "cores", "link", "requests")),
                f"**{short(outcome.rate)}**",
                outcome.bottleneck,
                percent(outcome.busy["GPU"]),
                short(cores_to_feed(parameters, size)),
                short(gigabits_to_feed(parameters, size)),
                size_of(outcome.inside * parameters[f"file {size}"] * 1e6),
            )
        )
    head = (
        "photo", "GPU could", "cores could", "network could", "requests could", "**photos/s**", "bottleneck",
        "GPU busy", "cores that would feed it", "Gbit/s that would feed it", "photos under way",
    )  # fmt: skip
    return table(head, rows)


def cores_table(parameters: Parameters) -> str:
    """Photos/s of one GPU against its decode cores."""
    rows = []
    for cores in CORES:
        cells = [simulated(gpu_worker(parameters, size, cores=cores)) for size in SIZES]
        rows.append((str(cores), *(f"{short(one.rate)} ({one.bottleneck})" for one in cells)))
    return table(("cores for a GPU", *SIZES), rows)


def network_table(parameters: Parameters) -> str:
    """Photos/s of one GPU against its share of the network, by its cores; photos of one size."""
    rows = []
    for network in NETWORKS:
        changed = parameters.changed(network=network)
        cells = [simulated(gpu_worker(changed, SIZE, cores=cores)) for cores in (16, 64, 256)]
        rows.append((f"{network:g}", *(f"{short(one.rate)} ({one.bottleneck})" for one in cells)))
    return table(("Gbit/s for a GPU", "16 cores", "64 cores", "256 cores"), rows)


def cost_table(parameters: Parameters) -> str:
    """USD a million photos, by what encodes."""
    rows = []
    cores = int(parameters["cores per GPU"])
    for gpu in (*GPUS, None):
        cells = []
        for size in SIZES:
            worker = gpu_worker(parameters, size, gpu=gpu) if gpu else cpu_worker(parameters, size)
            one = simulated(worker)
            usd = cost(parameters, one.rate, gpu=gpu, cores=cores).total
            cells.append(f"{short(one.rate)} ({one.bottleneck}): {short(usd)}")
        encodes = short(gpu_rate(parameters, gpu)) if gpu else short(cores * 1e3 / parameters["encode int8"])
        rows.append((gpu or "no GPU, int8", encodes, *cells))
    return table(("GPU", "encodes, photos/s", *SIZES), rows)


def feeding_table(parameters: Parameters) -> str:
    """Cores wherever they are, as many as the GPU can use, which send it decoded squares."""
    rows = []
    for size in SIZES:
        cells = []
        for gpu in ("H200", "L4"):
            rate = gpu_rate(parameters, gpu)
            cores = cores_to_feed(parameters, size, gpu)
            usd = cost(parameters, rate, gpu=gpu, cores=cores).total
            cells += [
                short(cores),
                short(gigabits_to_feed(parameters, size, gpu)),
                short(rate * SQUARE_BYTES * BITS_PER_BYTE / 1e9),
                short(usd),
            ]
        rows.append((size, *cells))
    head = ("cores", "Gbit/s from storage", "Gbit/s of squares", "USD a million")
    return table(("photo", *(f"{gpu}: {what}" for gpu in ("H200", "L4") for what in head)), rows)


def scale_table(parameters: Parameters) -> str:
    """Jobs of three sizes on so many GPUs; photos of one size."""
    rows = []
    cores = int(parameters["cores per GPU"])
    for name, photos in PHOTOS.items():
        for workers in WORKERS:
            done = job(parameters, SIZE, gpu_worker(parameters, SIZE), photos, workers)
            usd = cost(parameters, done.rate / workers, gpu="H200", cores=cores).total
            rows.append(
                (
                    name,
                    str(workers),
                    short(done.rate),
                    short(done.rate / workers),
                    done.bottleneck,
                    duration(list_s(parameters, photos)),
                    duration(done.wall_s),
                    size_of(done.read_bytes),
                    short(done.read_gbit),
                    f"{short(usd)}",
                    f"{short(usd * photos / 1e6)}",
                    percent(unbroken(parameters, workers, done.wall_s), 1),
                )
            )
    head = (
        "photos", "GPUs", "photos/s", "photos/s a GPU", "bottleneck", "listed before", "wall time", "read",
        "Gbit/s", "USD a million", "USD", "no failure",
    )  # fmt: skip
    return table(head, rows)


def storage_table(parameters: Parameters) -> str:
    """What lies where, before and after."""
    rows = []
    for name, photos in PHOTOS.items():
        kinds = ("parquet k=1", "parquet k=5", "csv k=1", "csv k=5", "jsonl k=5", "journal k=1")
        rows.append(
            (
                name,
                size_of(photos * parameters[f"file {SIZE}"] * 1e6),
                *(size_of(photos * parameters[kind]) for kind in kinds),
                size_of(photos * PATH_LENGTH),
                short(photos * parameters["parquet k=1"] / 1e9 * parameters["price storage"]),
            )
        )
    head = (
        "photos", "input, 3 MB each", "Parquet k=1", "Parquet k=5", "CSV k=1", "CSV k=5", "JSON lines k=5",
        "journal of `predict`", "plan of `distributed`", "USD a month, Parquet k=1",
    )  # fmt: skip
    return table(head, rows)
