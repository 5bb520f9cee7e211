"""Very many files, one file again and again, two runs at once, and caches that are broken or of others."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import pictures
from hostile.damaged_bundles import relisted
from hostile.program import PROGRAM, rows, run
from numpy.typing import NDArray

from geolocate.bundle import load_bundle
from geolocate.geocode_cache import AnswerCache, default_cache_path
from geolocate.session import ImageEncoder

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")


@posix_only
@pytest.mark.row(23)
def test_links_and_copies_are_encoded_once_and_have_a_row_each(
    tree: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "a.jpg").write_bytes(good.read_bytes())
    (tree / "b.jpg").hardlink_to(tree / "a.jpg")
    (tree / "c.jpg").symlink_to("a.jpg")
    for number in range(5):
        shutil.copy(good, tree / f"copy{number}.jpg")
    (tree / "other.jpg").write_bytes(pictures.photo(quality=60))
    changed = bytearray(good.read_bytes())
    changed[-3] ^= 1  # as long, but not the same
    (tree / "same-size.jpg").write_bytes(changed)
    encode, encoded = ImageEncoder.__call__, []

    def counting(self: ImageEncoder, photos: Sequence[NDArray[np.uint8]], **more: Any) -> Any:
        encoded.append(len(photos))
        return encode(self, photos, **more)

    monkeypatch.setattr(ImageEncoder, "__call__", counting)
    done = run(tree, "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    assert sum(encoded) == 3
    found = {Path(row["photo"]).name: row for row in rows(done.stdout)}
    assert len(found) == len(rows(done.stdout)) == 10
    for name in ("b.jpg", "c.jpg", *(f"copy{number}.jpg" for number in range(5))):
        assert found[name]["notes"] == "duplicate"
        assert {**found[name], "photo": "", "notes": ""} == {**found["a.jpg"], "photo": "", "notes": ""}


@posix_only
@pytest.mark.row(48)
def test_of_twenty_thousand_files_the_first_row_comes_within_seconds(tree: Path, good: Path) -> None:
    for folder in range(20):
        (tree / f"{folder:02}").mkdir()
        for number in range(1000):
            os.link(good, tree / f"{folder:02}" / f"{number:04}.jpg")
    begun = time.monotonic()
    with subprocess.Popen([*PROGRAM, tree, "-q", "--model", "starter"], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        first = [program.stdout.readline() for _ in range(2)]
        waited, memory = time.monotonic() - begun, peak_mib(program.pid)
        for _ in range(1000):
            program.stdout.readline()
        later = peak_mib(program.pid)
        program.kill()
        program.stdout.close()
    assert b"0000.jpg" in first[1]
    assert waited < 20  # on a machine with other work to do; alone it takes one
    if memory is not None and later is not None:
        assert later - memory < 100


def peak_mib(process: int) -> float | None:
    """The peak memory of a process so far, where the system tells."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)


@pytest.fixture
def cache(tmp_path: Path) -> str:
    """The folder of all caches."""
    return os.fspath(tmp_path / "cache")


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """A gallery of the user's own."""
    points = np.random.default_rng(3).uniform((-60, -180), (70, 180), size=(300, 2))
    path = tmp_path / "gallery.csv"
    np.savetxt(path, points, delimiter=",", header="LAT,LON", comments="", fmt="%.5f")
    return path


@pytest.mark.row(49)
def test_two_runs_at_once_share_a_cache_and_neither_is_locked_out(
    good: Path, gallery: Path, cache: str
) -> None:
    words = [*PROGRAM, good, "-q", "--model", "starter", "--gallery", gallery]
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    running = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        for _ in range(3)
    ]
    found = [program.communicate() for program in running]
    assert [program.returncode for program in running] == [0, 0, 0], found
    assert {answer for answer, _ in found} == {found[0][0]}
    assert all(message == b"" for _, message in found)


@pytest.mark.row(49)
def test_answers_that_two_runs_write_at_once_are_all_kept(tmp_path: Path) -> None:
    from geolocate.records import Place, Position

    told: list[str] = []
    path = tmp_path / "geocoding.sqlite3"

    def write(row: int) -> None:
        cache = AnswerCache(path, told.append)
        for column in range(100):
            cache.put("nominatim", row, column, Place("x", "", "", "", Position(0, 0)))
        cache.close()

    threads = [threading.Thread(target=write, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == []
    found = AnswerCache(path, told.append)
    assert all(found.get("nominatim", row, column)[0] for row in range(4) for column in range(100))
    found.close()


@pytest.mark.row(50)
@pytest.mark.parametrize("damage", [b"", b"no array", b"\x93NUMPY" + b"\xff" * 60])
def test_a_corrupt_gallery_of_the_cache_is_built_again(
    good: Path, gallery: Path, cache: str, damage: bytes
) -> None:
    def place() -> str:
        done = run(good, "--gallery", gallery, XDG_CACHE_HOME=cache)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    expected = place()
    arrays = [path for path in Path(cache).rglob("*.npy") if path.is_file()]
    assert arrays
    for path in arrays:
        path.chmod(0o600)
        path.write_bytes(damage)
    assert place() == expected
    assert all(path.read_bytes() != damage for path in Path(cache).rglob("*.npy"))


@pytest.mark.row(50)
def test_a_gallery_that_another_model_embedded_is_not_taken(
    good: Path, gallery: Path, cache: str, tmp_path: Path
) -> None:
    from onnx import load, numpy_helper, save

    assert run(good, "--gallery", gallery, XDG_CACHE_HOME=cache).exit_code == 0
    other = Path(shutil.copytree(load_bundle("starter").path, tmp_path / "other"))
    model = load(other / "location_encoder.onnx")
    weights = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2)
    weights.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weights), weights.name))
    save(model, other / "location_encoder.onnx")
    relisted(other, "location_encoder.onnx")
    done = run(good, "--gallery", gallery, "--model", other, XDG_CACHE_HOME=cache)
    assert done.exit_code == 0, done.stderr
    assert "embedded earlier" not in done.stderr
    alone = run(good, "--gallery", gallery, "--model", other, XDG_CACHE_HOME=f"{cache}-alone")
    assert done.stdout == alone.stdout
    assert "embedded earlier" in run(good, "--gallery", gallery, XDG_CACHE_HOME=cache).stderr


@pytest.mark.row(50)
@pytest.mark.parametrize("damage", [b"", b"no database" * 500])
def test_a_corrupt_cache_of_answers_is_set_aside(
    monkeypatch: pytest.MonkeyPatch, cache: str, damage: bytes
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    path = default_cache_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(damage)
    told: list[str] = []
    opened = AnswerCache(path, told.append)
    assert opened.get("nominatim", 1, 2) == (False, None)
    opened.close()
    with sqlite3.connect(path) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    database.close()
