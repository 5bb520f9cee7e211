"""Arrays of strangers: no pickle is loaded, and no header is believed beyond the file's own bytes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geolocate.untrusted_arrays import map_array, read_arrays

FLOATS = ("float32",)


def npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def with_header(header: str, data: bytes = b"\0" * 16) -> bytes:
    """An NPY file with any text in place of its header."""
    padded = header.encode("latin1").ljust((len(header) // 64 + 1) * 64 - 10)
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + data


def shaped(shape: str, dtype: str = "'<f4'") -> bytes:
    return with_header(f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}")


def mapped(tmp_path: Path, content: bytes, kinds: tuple[str, ...] = FLOATS) -> np.ndarray[Any, Any]:
    (tmp_path / "a.npy").write_bytes(content)
    with (tmp_path / "a.npy").open("rb") as file:
        return map_array(file, kinds)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", ">f4"])
def test_an_array_is_mapped_as_it_was_saved_and_outlives_its_file(
    tmp_path: Path, order: Any, kind: str
) -> None:
    array = np.asarray(np.arange(6).reshape(2, 3), dtype=kind, order=order)
    found = mapped(tmp_path, npy(array))
    assert isinstance(found, np.memmap)
    assert not found.flags.writeable
    np.testing.assert_array_equal(found, array)


def test_an_array_of_nothing_is_no_error(tmp_path: Path) -> None:
    assert mapped(tmp_path, npy(np.empty((0, 5), np.float32))).shape == (0, 5)


HOSTILE = [
    (npy(np.array([print], dtype=object)), "an array of object"),
    (npy(np.zeros(2, [("a", "f4")])), "an array of void32"),
    (npy(np.zeros(4, np.float64)), "an array of float64, not of float32"),
    (npy(np.array(["ab"])), "an array of str"),
    (shaped("(1125899906842624,)"), "promises 4,503,599,627,370,496 bytes, there are 16"),
    (shaped("(4294967296, 4294967296)"), "promises"),  # their product is 0 in 64 bits
    (shaped("(-4,)"), "promises"),
    (shaped("(2, -2)"), "promises"),
    (shaped("(3,)"), "promises 12 bytes, there are 16"),
    (shaped("(5,)"), "promises 20 bytes, there are 16"),
    (shaped("4"), "no NPY array"),
    (shaped("(4.0,)"), "no NPY array"),
    (shaped("(4,)", "'O'"), "an array of object"),
    (with_header("-" * 9000 + "1"), "no NPY array"),
    (with_header("(" * 5000), "no NPY array"),
    (with_header("__import__('os').abort()"), "no NPY array"),
    (b"\x93NUMPY\x03\x00" + b"\0" * 64, "no NPY array"),
    (b"\x80\x04\x95\x0e\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.", "no NPY array"),
    (b"", "no NPY array"),
]


@pytest.mark.parametrize(("content", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_array_is_refused_before_anything_is_allocated(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mapped(tmp_path, content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(ValueError, match=message):
        read_arrays(tmp_path / "a.npz", {"a": FLOATS}, 2**20)


def test_an_archive_holds_what_it_has_to_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.ones(3, np.float32), n=np.array([1, 2]))
    found = read_arrays(path, {"a": FLOATS, "n": ("int64",)}, 2**20)
    assert (found["a"].tolist(), found["n"].tolist()) == ([1, 1, 1], [1, 2])
    for members in ({"a": FLOATS}, {"a": FLOATS, "n": ("int64",), "more": FLOATS}):
        with pytest.raises(ValueError, match="nothing else"):
            read_arrays(path, members, 2**20)


def test_an_archive_that_inflates_past_its_limit_or_lies_about_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(10_000_000, np.float32))
    assert path.stat().st_size < 50_000
    with pytest.raises(ValueError, match="larger than 1,048,576 bytes"):
        read_arrays(path, {"a": FLOATS}, 2**20)
    size = 128 + 40_000_000
    lying = path.read_bytes().replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert lying != path.read_bytes()
    path.write_bytes(lying)
    with pytest.raises(ValueError, match=r"promises 40,000,000 bytes|Bad CRC|size"):
        read_arrays(path, {"a": FLOATS}, 2**20)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_inflate_at_once_are_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("a.npy", npy(np.zeros(4, np.float32)))
    with pytest.raises(ValueError, match="neither stored nor deflated"):
        read_arrays(tmp_path / "a.npz", {"a": FLOATS}, 2**20)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK broken")
    with pytest.raises(ValueError, match="zip"):
        read_arrays(tmp_path / "a.npz", {"a": FLOATS}, 2**20)
