"""The picture of docs/scale.md: photos a second against decode cores, and what is the bottleneck where."""

from __future__ import annotations

import io

from scale_model import SIZES, gpu_worker
from scale_parameters import Parameters
from scale_plan import simulated

#: Cores at which the worker is simulated, and between which the closed form is drawn.
SIMULATED_AT = (4, 8, 16, 32, 64, 128, 256, 512)
DRAWN_AT = tuple(range(2, 641))
COLOURS = {"cores": "#f4d9b0", "link": "#c6dcec", "GPU": "#cfe6cf", "requests": "#e4d3e8"}
NAMES = {"cores": "decode cores", "link": "network", "GPU": "GPU", "requests": "requests"}
LINE = "#333333"
DPI = 130


def draw(parameters: Parameters) -> bytes:
    """A PNG with a panel for each size of photo: the closed form as a line, the simulation as points."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(12.0, 3.9), dpi=DPI, layout="constrained")
    shown: set[str] = set()
    panels = figure.subplots(1, len(SIZES), sharey=True)
    for axes, size in zip(panels, SIZES, strict=True):
        workers = [gpu_worker(parameters, size, cores=cores) for cores in DRAWN_AT]
        for left, right, worker in zip(DRAWN_AT, DRAWN_AT[1:], workers, strict=False):
            pool = worker.bottleneck()
            shown.add(pool)
            axes.axvspan(left, right, color=COLOURS[pool], linewidth=0)
        axes.plot(DRAWN_AT, [worker.rate() for worker in workers], color=LINE, linewidth=1.4)
        rates = [simulated(gpu_worker(parameters, size, cores=cores)).rate for cores in SIMULATED_AT]
        axes.plot(SIMULATED_AT, rates, "o", color=LINE, markersize=4)
        axes.set(xscale="log", yscale="log", xlim=(DRAWN_AT[0], DRAWN_AT[-1]), ylim=(10, 5000))
        axes.set_xticks((4, 16, 64, 256), labels=("4", "16", "64", "256"))
        axes.minorticks_off()
        axes.set_title(f"photos of {size}", fontsize=11)
        axes.grid(color="white", linewidth=0.6)
        axes.set_axisbelow("line")
    panels[0].set_yticks((10, 100, 1000), labels=("10", "100", "1,000"))
    panels[0].set_ylabel("photos a second on one GPU")
    figure.supxlabel("cores for the GPU", fontsize=10)
    patches = [
        Patch(color=COLOURS[pool], label=f"bound by {NAMES[pool]}") for pool in COLOURS if pool in shown
    ]
    figure.legend(handles=patches, loc="outside upper center", ncols=len(patches), frameon=False, fontsize=10)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": "geolocate"})
    return stream.getvalue()
