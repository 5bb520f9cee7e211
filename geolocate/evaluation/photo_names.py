"""Which prediction is of which photo, by names that need not be spelled alike in both tables."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

#: In place of a row: no prediction has the name, or several that nothing tells apart.
NOT_FOUND, SEVERAL = -1, -2


def rows_by_name(names: list[str], ranks: NDArray[np.float64] | None, wanted: list[str]) -> NDArray[np.int64]:
    """For each wanted photo the row of its best prediction, NOT_FOUND or SEVERAL.

    By the name as it is, else without folders, else without its extension; of several the one in folders that
    are the most alike.

    Args:
        names: of the photo of each row (R,).
        ranks: of each row (R,); None where every row is the best.
    """
    order = (
        range(len(names)) if ranks is None else np.argsort(np.nan_to_num(ranks, nan=np.inf), kind="stable")
    )
    row_of: dict[str, int] = {}
    for row in order:
        row_of.setdefault(os.path.normpath(names[row]), int(row))
    found = np.array([row_of.get(os.path.normpath(name), NOT_FOUND) for name in wanted], np.int64)
    for form in _LOOSER_FORMS:
        left = np.flatnonzero(found == NOT_FOUND)
        if not len(left):
            break
        alike: dict[str, list[str]] = {}
        for name in row_of:
            alike.setdefault(form(name), []).append(name)
        by_folders: dict[str, dict[tuple[str, ...], list[str]]] = {}
        for index in left:
            key = form(wanted[index])
            several = alike.get(key, [])
            if len(several) > 1:
                if key not in by_folders:
                    by_folders[key] = _by_folders(several)
                several = _in_folders_alike(by_folders[key], wanted[index])
            if several:
                found[index] = row_of[several[0]] if len(several) == 1 else SEVERAL
    return found


def _by_folders(names: list[str]) -> dict[tuple[str, ...], list[str]]:
    """The names that lie in some folders, counted from the file upwards; all of them by the key ()."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        folders = _folders(name)
        for depth in range(len(folders) + 1):
            found.setdefault(folders[:depth], []).append(name)
    return found


def _in_folders_alike(by_folders: dict[tuple[str, ...], list[str]], wanted: str) -> list[str]:
    """Those of the names that share the most folders with the wanted one."""
    folders = _folders(wanted)
    depth = next(d for d in range(len(folders), -1, -1) if folders[:d] in by_folders)
    return by_folders[folders[:depth]]


def _folders(name: str) -> tuple[str, ...]:
    """The innermost first."""
    return tuple(name.replace("\\", "/").split("/")[-2::-1])


def _without_folders(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


#: How names of photos are compared where they are not the same, the stricter first.
_LOOSER_FORMS: tuple[Callable[[str], str], ...] = (
    _without_folders,
    lambda name: os.path.splitext(_without_folders(name))[0],
)
