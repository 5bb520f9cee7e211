"""A job on paper: how long, how much, what for, and what holds it back.

    python benchmarks/scale.py --photos 1e8 --gpus 64 --size "3 MB"
    python benchmarks/scale.py --photos 1e8 --gpus 64 --gpu L4 --set network=25 --set cores_per_gpu=32

The numbers that it stands on, and what `--set` changes, are in `scale_parameters.toml`; docs/scale.md
explains them.
"""

from __future__ import annotations

import argparse

from markdown_figures import duration, percent, short, size_of
from scale_model import SIZES, cores_to_feed, cpu_worker, gigabits_to_feed, gpu_rate, gpu_worker
from scale_parameters import Parameters, read_parameters
from scale_plan import cost, job, list_s, unbroken
from scale_tables import GPUS, PATH_LENGTH


def lines(parameters: Parameters, photos: float, workers: int, size: str, gpu: str | None) -> dict[str, str]:
    """What is known of a job, by name."""
    cores = int(parameters["cores per GPU"])
    worker = gpu_worker(parameters, size, gpu=gpu) if gpu else cpu_worker(parameters, size)
    done = job(parameters, size, worker, photos, workers)
    usd = cost(parameters, done.rate / workers, gpu=gpu, cores=cores)
    ceilings = ", ".join(f"{pool} {short(rate)}" for pool, rate in worker.ceilings().items())
    said = {
        "photos/s": f"{short(done.rate)}, {short(done.rate / workers)} a worker",
        "ceilings of a worker": ceilings,
        "bottleneck": done.bottleneck,
        "listing": duration(list_s(parameters, photos)),
        "wall time after it": duration(done.wall_s),
        "read": f"{size_of(done.read_bytes)}, {short(done.read_gbit)} Gbit/s",
        "written": f"{size_of(photos * parameters['parquet k=1'])} of Parquet, k=1",
        "plan": size_of(photos * PATH_LENGTH),
        "USD a million": f"{short(usd.total)}: GPU {short(usd.gpu)}, cores {short(usd.cores)}, "
        f"reads {short(usd.reads)}",
        "USD": short(usd.total * photos / 1e6),
        "no worker lost": percent(unbroken(parameters, workers, done.wall_s), 1),
    }
    if gpu:
        said["GPU"] = f"ideal, {short(gpu_rate(parameters, gpu))} photos/s; never measured"
        said["would feed it"] = (
            f"{short(cores_to_feed(parameters, size, gpu))} cores, "
            f"{short(gigabits_to_feed(parameters, size, gpu))} Gbit/s"
        )
    return said


def main() -> None:
    """Prints a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=float, default=1e8)
    parser.add_argument("--gpus", type=int, default=1, help="workers, with a GPU each or without")
    parser.add_argument("--gpu", choices=(*GPUS, "none"), default=GPUS[0])
    parser.add_argument("--size", choices=SIZES, default="3 MB", help="of a photo")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another parameter; _ for a space"
    )
    options = parser.parse_args()
    if not 1 <= options.photos < float("inf") or options.gpus < 1:
        parser.error("a job has at least one photo and one worker")
    try:
        changes = {name: float(value) for name, _, value in (one.partition("=") for one in options.set)}
        parameters = read_parameters().changed(**changes)
        gpu = None if options.gpu == "none" else options.gpu
        told = lines(parameters, options.photos, options.gpus, options.size, gpu)
    except (KeyError, ValueError) as error:
        parser.error(f"--set: no such parameter, or none of these values: {error}")
    for what, value in told.items():
        print(f"{what:22} {value}")


if __name__ == "__main__":
    main()
