"""Other ways of running the image encoder on the CPU, against the way that is taken.

    python benchmarks/cpu_variants.py [--only GROUP] [--turns N] [--json FILE]

The encoder is a vision transformer of six layers, otherwise ViT-L/14, with random weights: nothing is
downloaded. Ways are timed in turn and compared turn by turn, with one thread and by the processor time of
that thread, so that other load hardly counts; where threads wait for each other, by the clock. A ratio above
1 is faster than the way that is taken. docs/performance.md has the figures.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from figures import Record
from this_machine import machine

#: Functions of `cpu_variant_arms`, imported when they are run: --help needs neither torch nor ONNX Runtime.
GROUPS = ("batches", "attention", "int8", "settings", "product", "threads", "load", "profile")
TURNS = 5


def main() -> None:
    """Runs the groups, prints a table of each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=GROUPS,
        metavar="GROUP",
        help=f"one of {', '.join(GROUPS)}; repeatable",
    )
    parser.add_argument(
        "--turns", type=int, default=TURNS, help=f"how often each way is timed (default {TURNS})"
    )
    parser.add_argument("--layers", type=int, default=6, help="of the transformer (default 6)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="keeps the figures; groups that it holds already stay"
    )
    arguments = parser.parse_args()
    if min(arguments.turns, arguments.layers) < 1:
        parser.error("--turns and --layers are at least 1")
    for name, value in machine().items():
        print(f"{name:16} {value}")
    record = Record(arguments.json)
    settings: dict[str, Any] = {"layers": arguments.layers, "turns": arguments.turns}
    arms = import_module("cpu_variant_arms")
    with tempfile.TemporaryDirectory() as scratch:
        graphs = import_module("cpu_variant_graphs").Graphs(Path(scratch), arguments.layers)
        for name in arguments.only or GROUPS:
            group: Callable[..., Any] = getattr(arms, name)
            start = time.perf_counter()
            figures = group(graphs, arguments.turns)
            seconds = time.perf_counter() - start
            record.add(name, figures, settings, seconds)
            print(f"\n{name} ({seconds:.0f} s)")
            for figure in figures:
                print(figure.row(), flush=True)


if __name__ == "__main__":
    main()
