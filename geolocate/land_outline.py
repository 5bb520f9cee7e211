"""Where land is, under maps that are drawn with matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolocate.places import MASK_COLUMNS, MASK_ROWS, PlaceIndex

#: Cells of the land mask, on a side, that become one cell of the drawing: 0.4 degree.
CELLS = 4
LAND_COLOUR = "#e6e3dc"
COAST_COLOUR = "#a8a49b"


def land_share() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """How much of each cell is land, (R, C) from north-west on, with latitudes (R,) and longitudes (C,)."""
    mask = PlaceIndex.load().land_mask()
    cells = mask.reshape(MASK_ROWS // CELLS, CELLS, MASK_COLUMNS // CELLS, CELLS)
    share = cells.mean(axis=(1, 3), dtype=np.float32)  # (450, 900), row 0 is north
    step = CELLS * 180 / MASK_ROWS
    longitudes = np.arange(share.shape[1]) * step - 180 + step / 2
    latitudes = 90 - step / 2 - np.arange(share.shape[0]) * step
    return latitudes, longitudes, share


def draw_land(axes: Any) -> None:
    """Fills the land and draws its coast on axes in degrees, longitude to the right; sets their limits."""
    latitudes, longitudes, share = land_share()
    axes.contourf(longitudes, latitudes, share, levels=[0.5, 1.1], colors=[LAND_COLOUR], zorder=0)
    axes.contour(longitudes, latitudes, share, levels=[0.5], colors=[COAST_COLOUR], linewidths=0.4, zorder=1)
    axes.set(xlim=(-180, 180), ylim=(-90, 90), aspect="equal")
    axes.set_xticks(range(-180, 181, 60))
    axes.set_yticks(range(-90, 91, 30))
    axes.tick_params(labelsize=7, length=2)
