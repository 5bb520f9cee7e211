"""NPY and NPZ files of strangers: never pickles, and no more memory than the file has bytes.

Reference: the NPY format, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

#: The only methods whose output zipfile inflates piece by piece.
ZIP_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


def map_array(file: BinaryIO, kinds: Collection[str]) -> NDArray[Any]:
    """The array of an open NPY file, memory-mapped and read-only; it outlives `file`.

    Args:
        kinds: names of the types that it may have ("float32"), in any byte order.

    Raises:
        ValueError: it is no plain array of these types, or the file has another length than its header says.
    """
    shape, columns_first, dtype = _header(file, kinds, os.fstat(file.fileno()).st_size)
    if 0 in shape:
        return np.empty(shape, dtype)  # there is nothing to map
    return np.memmap(
        file, dtype=dtype, mode="r", offset=file.tell(), shape=shape, order="F" if columns_first else "C"
    )


def read_arrays(
    file: Path | BinaryIO, members: Mapping[str, Collection[str]], limit: int
) -> dict[str, NDArray[Any]]:
    """The arrays of a small NPZ file, by its path or open.

    Args:
        members: the names of all that it has to hold, with the types that each may have.
        limit: bytes that they may have in all once inflated.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no archive of these arrays and nothing else, or too large.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            listed = archive.infolist()
            if sorted(member.filename for member in listed) != sorted(f"{name}.npy" for name in members):
                raise ValueError(f"it does not hold {', '.join(members)} and nothing else")
            if sum(member.file_size for member in listed) > limit:
                raise ValueError(f"its arrays are larger than {limit:,} bytes")
            if any(member.compress_type not in ZIP_METHODS for member in listed):
                raise ValueError("its arrays are neither stored nor deflated")
            return {
                member.filename.removesuffix(".npy"): _member(archive, member, members) for member in listed
            }
    except (OSError, ValueError):
        raise
    except Exception as error:  # zipfile and zlib each have their own
        raise ValueError(str(error)) from error


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, members: Mapping[str, Collection[str]]
) -> NDArray[Any]:
    with archive.open(member) as file:
        kinds = members[member.filename.removesuffix(".npy")]
        shape, columns_first, dtype = _header(cast(BinaryIO, file), kinds, member.file_size)
        content = file.read(member.file_size)  # no more comes, whatever it would inflate to
    return np.frombuffer(content, dtype).reshape(shape, order="F" if columns_first else "C")


def _header(file: BinaryIO, kinds: Collection[str], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of an array in a file of `size` bytes, which stands behind its header then."""
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, columns_first, dtype = read(file)
    except Exception as error:  # what Python's parser makes of a hostile header has no common base
        raise ValueError(f"no NPY array: {str(error).splitlines()[0] if str(error) else error!r}") from error
    if dtype.name not in kinds:
        raise ValueError(f"an array of {dtype.name}, not of {' or '.join(kinds)}")
    wanted, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or wanted != there:
        raise ValueError(f"its header promises {wanted:,} bytes, there are {there:,}")
    return shape, columns_first, dtype
