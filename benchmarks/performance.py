"""Performance against the goals of docs/performance.md, arm by arm, as ratios of one run.

    python benchmarks/performance.py --quick                        # the starter alone, under a minute
    python benchmarks/performance.py --model geoclip-vit-l-14 --clip-weights DIR --json performance.json
    python benchmarks/performance.py ... --only predict --only start-up

Ways of doing the same are timed in turn and compared turn by turn; a figure is the median over the turns,
with the least and the largest. Run it on a machine that does nothing else. An arm that this machine or these
arguments do not allow is left out, and said.

Where CLIP's weights are not at hand, `random_clip.py` makes a folder of random ones to build the bundle
from: time does not depend on them. Where its int8 graph misses the gate of accuracy, it is left out of
the bundle; `with_int8.py` adds it, for timing only.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from figures import Figure, Record
from setting import NotHere, Setting
from this_machine import machine

from geolocate.photos import find_photos

#: Arms with their module and function, in the order of a run; modules are imported when an arm is run, so
#: that the starter's need no torch.
ARMS = {
    "start-up": ("program_arms", "start_up"),
    "starter": ("program_arms", "starter"),
    "encoder": ("encoder_arms", "encoder"),
    "batches": ("encoder_arms", "batches"),
    "predict": ("peer_arms", "predict"),
    "same-places": ("peer_arms", "same_places"),
    "end-to-end": ("program_arms", "large_end_to_end"),
    "gallery": ("program_arms", "gallery_size"),
    "cuda": ("cuda_arms", "cuda"),
}
#: With --quick: what needs neither the large model nor the peer.
QUICK_ARMS = ("start-up", "starter")
#: Size of generated photos, and how many go through the starter in a turn.
MEGAPIXELS, QUICK_MEGAPIXELS = 12.0, 1.0
MIN_MEGAPIXELS, MAX_MEGAPIXELS = 0.01, 170.0
STARTER_PHOTOS, QUICK_PHOTOS = 48, 12


def arm(name: str) -> Callable[[Setting], list[Figure]]:
    """The function of an arm: a setting to figures."""
    module, function = ARMS[name]
    found: Callable[[Setting], list[Figure]] = getattr(import_module(module), function)
    return found


def parse() -> argparse.Namespace:
    """The arguments of the call."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", metavar="NAME|DIR", help="the bundle of ViT-L/14")
    parser.add_argument(
        "--clip-weights",
        type=Path,
        metavar="DIR",
        help="the weights that it was built from, in Hugging Face's layout: the geoclip package runs on them",
    )
    parser.add_argument("--photos", metavar="DIR", help="photos of yours, in place of generated ones")
    parser.add_argument(
        "--megapixels",
        type=float,
        metavar="M",
        help=f"size of generated photos (default {MEGAPIXELS:g}; with --quick {QUICK_MEGAPIXELS:g})",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=list(ARMS),
        metavar="ARM",
        help=f"one of {', '.join(ARMS)}; repeatable",
    )
    parser.add_argument("--turns", type=int, default=5, help="how often each way is timed (default 5)")
    parser.add_argument(
        "--photos-a-turn",
        type=int,
        default=8,
        metavar="N",
        help="photos through ViT-L/14's encoder in a turn (default 8), twice as many through the whole "
        f"program; the starter has {STARTER_PHOTOS} of its own, with --quick {QUICK_PHOTOS}",
    )
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="cuda adds the arm of the GPU"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="keeps the figures; arms that it holds already stay"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test: the starter, two turns, small photos"
    )
    arguments = parser.parse_args()
    if min(arguments.turns, arguments.photos_a_turn) < 1:
        parser.error("--turns and --photos-a-turn are at least 1")
    if arguments.megapixels is None:
        arguments.megapixels = QUICK_MEGAPIXELS if arguments.quick else MEGAPIXELS
    if not MIN_MEGAPIXELS <= arguments.megapixels <= MAX_MEGAPIXELS:
        parser.error(f"--megapixels is from {MIN_MEGAPIXELS:g} to {MAX_MEGAPIXELS:g}")
    if arguments.quick:
        arguments.turns = 2
        arguments.only = arguments.only or list(QUICK_ARMS)
    return arguments


def main() -> None:
    """Runs the arms, prints a table of each."""
    arguments = parse()
    for name, value in machine().items():
        print(f"{name:16} {value}")
    record = Record(arguments.json)
    own = (
        [Path(path).absolute() for path in find_photos([arguments.photos], on_warning=print)]
        if arguments.photos
        else []
    )
    verdicts: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        setting = Setting(
            scratch=Path(scratch),
            model=arguments.model,
            clip_weights=arguments.clip_weights,
            own_photos=own,
            megapixels=arguments.megapixels,
            turns=arguments.turns,
            photos_a_turn=arguments.photos_a_turn,
            starter_photos=QUICK_PHOTOS if arguments.quick else STARTER_PHOTOS,
            device=arguments.device,
        )
        for name in arguments.only or ARMS:
            start = time.perf_counter()
            try:
                figures = arm(name)(setting)
            except NotHere as why:
                print(f"\n{name}: left out: {why}")
                continue
            seconds = time.perf_counter() - start
            record.add(name, figures, setting.written(), seconds)
            print(f"\n{name} ({seconds:.0f} s)")
            for figure in figures:
                print(figure.row(), flush=True)
                verdicts += [figure.verdict] if figure.verdict else []
    print(f"\n{summary(verdicts)}")


def summary(verdicts: list[str]) -> str:
    """What the figures that have a goal say together."""
    if not verdicts:
        return "no goal was measured"
    missed = verdicts.count("MISSED")
    if not missed:
        return f"all {len(verdicts)} goals that were measured are reached"
    return f"{missed} of the {len(verdicts)} goals that were measured are missed"


if __name__ == "__main__":
    main()
