"""Pictures of concepts by matplotlib: a map of where one lives, bars of what tells two groups apart."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geolocate.concept_map import ConceptMap
from geolocate.contrast import Difference
from geolocate.equal_earth import project
from geolocate.errors import ExtraMissing
from geolocate.land_outline import COAST_COLOUR, LAND_COLOUR, land_share
from geolocate.text_safety import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
#: Stands in the pictures, so that a new one may replace an old one, and never a photo.
SOFTWARE = "geolocate"
#: Cells of a map in degrees: the mean of the points in each is drawn; finer where there are many points.
FINE_CELL, COARSE_CELL, MANY_POINTS = 1.0, 2.0, 30_000
#: Colours end so many standard deviations from the gallery's mean.
COLOUR_RANGE = 2.5
#: Concepts at each end of a contrast.
ENDS = 12
#: South of this there is next to no photo, and the map ends.
SOUTH_EDGE = -60.0

OUTSIDE = "#c9c9c4"
FIRST_COLOUR, SECOND_COLOUR = "#b2182b", "#2166ac"

Floats = NDArray[np.float64]


def draw_map(concept_map: ConceptMap, *, subtitle: str) -> bytes:
    """A PNG: the mean of each cell of the gallery, in standard deviations, over the outline of the land.

    Args:
        subtitle: which model and which score.

    Raises:
        ExtraMissing: matplotlib is not installed.
    """
    figure = _figure(11.0, 5.6)
    axes = figure.add_axes((0.01, 0.09, 0.98, 0.80))
    _draw_land(axes)
    edges_latitude, edges_longitude, means = _cells(concept_map)
    x, y = _grid(edges_latitude, edges_longitude)
    mesh = axes.pcolormesh(x, y, means, cmap="RdYlBu_r", vmin=-COLOUR_RANGE, vmax=COLOUR_RANGE, zorder=2)
    bar = figure.colorbar(mesh, ax=axes, orientation="horizontal", fraction=0.035, pad=0.02, aspect=50)
    bar.set_label("standard deviations above the gallery's mean", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    _frame(axes)
    # Text of the user, so no dollar sign of it begins a formula.
    title = f"Where “{printable(concept_map.concept)}” lives".replace("$", r"\$")
    figure.text(0.5, 0.955, title, ha="center", va="center", fontsize=15)
    figure.text(0.5, 0.91, printable(subtitle).replace("$", r"\$"), ha="center", va="center", fontsize=9)
    return _png(figure)


def draw_contrast(differences: Sequence[Difference], first: str, second: str, *, subtitle: str) -> bytes:
    """A PNG: bars of the effect sizes at both ends of a contrast.

    Raises:
        ExtraMissing: matplotlib is not installed.
    """
    chosen = ends(differences, ENDS)
    figure = _figure(8.5, 1.6 + 0.27 * len(chosen))
    axes = figure.subplots()
    effects = [one.effect or 0.0 for one in chosen]
    rows = np.arange(len(chosen))[::-1]
    colours = [FIRST_COLOUR if one.difference > 0 else SECOND_COLOUR for one in chosen]
    axes.barh(rows, effects, color=colours, height=0.75)
    for row, one in zip(rows, chosen, strict=True):
        if not one.is_clear:  # pale: its interval holds zero
            axes.patches[len(chosen) - 1 - int(row)].set_alpha(0.35)
    axes.set_yticks(rows, [printable(one.concept).replace("$", r"\$") for one in chosen], fontsize=9)
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_xlabel("difference of the means in standard deviations (Cohen's d)", fontsize=9)
    axes.margins(y=0.02)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    names = [printable(name).replace("$", r"\$") for name in (second, first)]
    axes.set_title(f"← more of {names[0]}      more of {names[1]} →\n", fontsize=12)
    axes.text(0.5, 1.0, subtitle, transform=axes.transAxes, ha="center", va="bottom", fontsize=8.5)
    figure.tight_layout()
    return _png(figure)


def ends(differences: Sequence[Difference], count: int) -> list[Difference]:
    """The `count` most typical of the first group and of the second, in the order of the list."""
    for_first = [one for one in differences if one.difference > 0][:count]
    for_second = [one for one in differences if one.difference < 0][-count:]
    return for_first + for_second


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ExtraMissing("pictures need", "plots") from None
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def is_own_picture(path: str) -> bool:
    """Whether a file is a PNG of this module."""
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError:
        return False
    return head.startswith(b"\x89PNG") and f"tEXtSoftware\0{SOFTWARE}".encode() in head


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": SOFTWARE})
    return picture.getvalue()


def _cells(concept_map: ConceptMap) -> tuple[Floats, Floats, Any]:
    """Edges of the cells in degrees, (R + 1,) and (C + 1,), and their means (R, C), masked where empty."""
    size = FINE_CELL if len(concept_map.gallery) > MANY_POINTS else COARSE_CELL
    latitude = np.arange(-90.0, 90.0 + size, size)
    longitude = np.arange(-180.0, 180.0 + size, size)
    rows, columns = len(latitude) - 1, len(longitude) - 1
    south, west = (concept_map.gallery.coordinates + np.array((90.0, 180.0))).T
    row = np.minimum(south / size, rows - 1).astype(np.intp)
    column = np.minimum(west / size, columns - 1).astype(np.intp)
    cell = row * columns + column  # (M,)
    counts = np.bincount(cell, minlength=rows * columns).reshape(rows, columns)
    sums = np.bincount(cell, weights=concept_map.deviations, minlength=rows * columns).reshape(rows, columns)
    return latitude, longitude, np.ma.masked_where(counts == 0, sums / np.maximum(counts, 1))


def _grid(latitudes: Floats, longitudes: Floats) -> tuple[Floats, Floats]:
    """Equal Earth x and y (R, C) of a grid of degrees."""
    pairs = np.stack(np.meshgrid(latitudes, longitudes, indexing="ij"), axis=-1)  # (R, C, 2)
    x, y = project(pairs.reshape(-1, 2)).T
    return x.reshape(pairs.shape[:2]), y.reshape(pairs.shape[:2])


def _draw_land(axes: Axes) -> None:
    """Land, and its coast over what is drawn on it."""
    latitudes, longitudes, share = land_share()
    x, y = _grid(latitudes, longitudes)
    axes.contourf(x, y, share, levels=[0.5, 1.5], colors=[LAND_COLOUR], zorder=1)
    axes.contour(x, y, share, levels=[0.5], colors=[COAST_COLOUR], linewidths=0.5, zorder=3)


def _frame(axes: Axes) -> None:
    """The edge of the world, and nothing of a diagram's."""
    latitudes = np.linspace(SOUTH_EDGE, 90.0, 151)
    for longitude in (-180.0, 180.0):
        x, y = project(np.stack((latitudes, np.full_like(latitudes, longitude)), axis=1)).T
        axes.plot(x, y, color=OUTSIDE, linewidth=0.8, zorder=4)
    for latitude in (SOUTH_EDGE, 90.0):
        x, y = project(np.array([(latitude, -180.0), (latitude, 180.0)])).T
        axes.plot(x, y, color=OUTSIDE, linewidth=0.8, zorder=4)
    _, south = project(np.array([(SOUTH_EDGE, 0.0)]))[0]
    (_, north), (east, _) = project(np.array([(90.0, 0.0), (0.0, 180.0)]))
    axes.set_xlim(-east * 1.01, east * 1.01)
    axes.set_ylim(south * 1.01, north * 1.02)
    axes.set_aspect("equal")
    axes.set_axis_off()
