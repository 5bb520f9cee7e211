"""The groups of `cpu_variants.py`: each gives the figures of some ways of doing the same."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from cpu_variant_graphs import CALIBRATED_PHOTOS, Change, Graphs, opened, pixels, runs
from figures import Figure
from products import product_ways
from turns import Spread, Turns, Way, in_turn

BATCHES = (1, 2, 4, 8)
#: Runs of which the profile is the sum.
PROFILED = 4


def of_thread(ways: Mapping[str, Way], turns: int) -> Turns:
    """In turn, by the processor time of this thread."""
    return in_turn(ways, turns, clock=time.thread_time)


def against_first(
    ways: Mapping[str, Way], turns: int, clock: Callable[[], float] = time.thread_time
) -> list[Figure]:
    """The first way in milliseconds a unit, and how many times as fast each other one is."""
    taken = in_turn(ways, turns, clock=clock)
    first, *others = ways
    return [
        Figure(first, milliseconds(taken, first), "ms"),
        *(Figure(f"{way} / {first}", taken.ratio(way, first)) for way in others),
    ]


def milliseconds(turns: Turns, way: str) -> Spread:
    return Spread.of([1e3 / rate for rate in turns.rates[way]])


def batches(graphs: Graphs, turns: int) -> list[Figure]:
    """Photos at a time, and int8 against float32 one at a time."""
    sessions = {name: opened(graphs.path(name)) for name in ("fp32", "int8")}
    ways = {
        f"{name}, {size} at a time": runs(session, size)
        for name, session in sessions.items()
        for size in BATCHES
    }
    taken = of_thread(ways, turns)
    return [
        Figure("int8 / fp32, one at a time", taken.ratio("int8, 1 at a time", "fp32, 1 at a time")),
        *(Figure(way, milliseconds(taken, way), "ms a photo") for way in ways),
    ]


def attention(graphs: Graphs, turns: int) -> list[Figure]:
    """Attention in other operators."""
    figures = []
    for precision in ("fp32", "int8"):
        names = {
            precision: f"{precision}",
            **{
                f"{precision}, {way}": f"{precision} {way}"
                for way in ("MultiHeadAttention", "Attention", "batch first")
            },
        }
        sessions = {way: opened(graphs.path(name)) for way, name in names.items()}
        for size in (1, 4):
            ways = {f"{way}, {size} at a time": runs(session, size) for way, session in sessions.items()}
            figures += against_first(ways, turns)
    return figures


def int8(graphs: Graphs, turns: int) -> list[Figure]:
    """Other int8 graphs, one photo at a time."""
    paths = {name: graphs.path(name) for name in ("int8", "fp32", "fused scales", "magnitudes by ends")}
    paths |= {
        "ONNX Runtime's dynamic int8": graphs.dynamic(),
        "ONNX Runtime's static int8": graphs.static(),
    }
    sessions = {name: opened(path) for name, path in paths.items()}
    ways = {name: runs(session) for name, session in sessions.items()}
    figures = against_first(ways, turns)
    four = {f"{name}, 4 at a time": runs(sessions[name], 4) for name in ("int8", "magnitudes by ends")}
    figures += against_first(four, turns)
    batch = pixels(1, CALIBRATED_PHOTOS)
    expected = sessions["fp32"].run(None, {"pixels": batch})[0]
    for name, session in sessions.items():
        cosine = float(np.sum(session.run(None, {"pixels": batch})[0] * expected))
        figures.append(Figure(f"{name}: 1 - cosine to fp32, random weights", Spread.of([1 - cosine]), ""))
    return figures


def level(name: str) -> Change:
    """A level of ONNX Runtime's optimisation of graphs."""

    def change(options: onnxruntime.SessionOptions) -> None:
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{name}")

    return change


def entry(key: str, value: str = "1") -> Change:
    """An entry of the session's configuration."""
    return lambda options: options.add_session_config_entry(key, value)


def attribute(name: str, value: object) -> Change:
    """An attribute of the session's options."""
    return lambda options: setattr(options, name, value)


CHANGES: dict[str, Change] = {
    "graph optimisation off": level("DISABLE_ALL"),
    "graph optimisation basic": level("ENABLE_BASIC"),
    "graph optimisation extended": level("ENABLE_EXTENDED"),
    "no memory pattern": attribute("enable_mem_pattern", False),
    "no arena": attribute("enable_cpu_mem_arena", False),
    "no prepacking": entry("session.disable_prepacking"),
    "denormals as zero": entry("session.set_denormal_as_zero"),
    "x64quantprecision": entry("session.x64quantprecision"),
}


#: How threads wait for work, and how it is parted among them.
WAITS: dict[str, Change] = {
    "no spinning": entry("session.intra_op.allow_spinning", "0"),
    "spinning ends with the run": entry("session.force_spinning_stop"),
    "smaller and smaller blocks": entry("session.dynamic_block_base", "4"),
}


def settings(graphs: Graphs, turns: int) -> list[Figure]:
    """Settings of ONNX Runtime's sessions, one photo at a time."""
    figures = []
    for precision in ("fp32", "int8"):
        ways = {precision: runs(opened(graphs.path(precision)))}
        for name, change in CHANGES.items():
            if name != "x64quantprecision" or precision == "int8":
                ways[f"{precision}, {name}"] = runs(opened(graphs.path(precision), change))
        figures += against_first(ways, turns)
    return figures


def product(graphs: Graphs, turns: int) -> list[Figure]:
    """One product of the transformer alone, without what is around it."""
    return against_first(product_ways(opened, graphs.folder), turns)


def threads(graphs: Graphs, turns: int) -> list[Figure]:
    """One thread and two, and threads that wait for work by spinning or not, by the clock."""
    figures = []
    for precision in ("fp32", "int8"):
        path = graphs.path(precision)
        ways = {
            f"{precision}, 2 threads": runs(opened(path, threads=2)),
            **{
                f"{precision}, 2 threads, {way}": runs(opened(path, change, threads=2))
                for way, change in WAITS.items()
            },
            f"{precision}, 1 thread": runs(opened(path)),
        }
        figures += against_first(ways, turns, time.perf_counter)
    return figures


def load(graphs: Graphs, turns: int) -> list[Figure]:
    """Opening a graph as it is, against one that was kept as ONNX Runtime had optimised it."""
    figures = []
    for precision in ("fp32", "int8"):
        path = graphs.path(precision)
        kept = path.with_name(f"kept-{path.name}")
        opened(path, attribute("optimized_model_filepath", str(kept)))
        ways: dict[str, Way] = {
            f"opening {precision}": partial(_open, path),
            f"opening {precision}, optimised before": partial(_open, kept, level("DISABLE_ALL")),
        }
        figures += against_first(ways, turns)
    return figures


def _open(path: Path, *changes: Change) -> float:
    opened(path, *changes)
    return 1


def profile(graphs: Graphs, turns: int) -> list[Figure]:
    """Where int8's time goes, by operator, in hundredths; as many runs as there are turns."""
    changes = (
        attribute("enable_profiling", True),
        attribute("profile_file_prefix", str(graphs.folder / "profile")),
    )
    session = opened(graphs.path("int8"), *changes)
    run = runs(session)
    for _ in range(max(turns, PROFILED)):
        run()
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    spent: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    whole = sum(spent.values())
    return [Figure(name, Spread.of([100 * part / whole]), "%") for name, part in spent.most_common(12)]
