"""Tables of docs/scale.md that test the plan: parts against the whole, simulation against closed form."""

from __future__ import annotations

from collections.abc import Iterator

from markdown_figures import short, table
from scale_model import SIZES, Worker, cpu_worker, gpu_worker
from scale_parameters import Parameters
from scale_plan import simulated
from scale_tables import CORES, GPUS

#: What docs/performance.md measured on its machine, in core ms: decoding of 12 megapixels (6.7 MB), and all
#: that comes after the encoder. Below, the ratios that it found for the whole program.
DECODE_MS, AFTER_MS = 75.0, 2.9
RATIOS = {
    "starter, end to end / decoding alone": (DECODE_MS, DECODE_MS + 4.0 + 1.8, "0.912 (0.896-0.915)"),
    "int8 at 2.3 photos/s on 2 cores, end to end / encoder alone": (
        2000 / 2.3,
        2000 / 2.3 + DECODE_MS + AFTER_MS,
        "0.906 (0.744-1.02)",
    ),
}


def parts_table(parameters: Parameters) -> str:
    """The sum of parts that were measured one by one against a run of the program."""
    rows = []
    for name in ("starter", "fp32", "int8"):
        parts, program = parameters[f"parts {name}"], parameters[f"program {name}"]
        rows.append((name, short(parts), short(program), f"{parts / program:.3f}"))
    return table(("encoder", "sum of parts, core ms", "whole program, core ms", "ratio"), rows)


def ratios_table(_: Parameters) -> str:
    """What the sum of costs says of ratios that docs/performance.md measured."""
    rows = [(what, f"{part / whole:.3f}", measured) for what, (part, whole, measured) in RATIOS.items()]
    return table(("what", "costs added up", "measured"), rows)


def planned_workers(parameters: Parameters) -> Iterator[Worker]:
    """Those that the tables are about."""
    for size in SIZES:
        for cores in CORES:
            yield gpu_worker(parameters, size, cores=cores)
        for gpu in GPUS:
            yield gpu_worker(parameters, size, gpu=gpu)
        yield cpu_worker(parameters, size)


def worst_difference(parameters: Parameters) -> float:
    """The farthest that a simulated rate is from the closed form, as a share of it."""
    return max(abs(simulated(one).rate / one.rate() - 1) for one in planned_workers(parameters))
