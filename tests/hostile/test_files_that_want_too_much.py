"""Files that would keep a decoder busy for minutes or take gigabytes, and those that only come close."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile import pictures
from hostile.greedy import (
    bmp_of_runs,
    gif_with,
    jpeg_of_scans,
    jpeg_with,
    png_with,
    segment,
    tiff_of_strips,
    with_an_end_in_a_comment,
)
from hostile.program import costs, row_error, rows, run
from PIL import Image

from geolocate.photos import bounds

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="peak memory as Linux tells it")
#: What no photo takes more of, over the baseline.
SECONDS, MIB = 2.0, 500.0


GREEDY: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "exif.jpg": (lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 130), 0, "EXIF is larger"),
    "fill.jpg": (lambda: jpeg_with(b"\xff" * 600_000), 0, "header has no end"),
    "comments.jpg": (lambda: jpeg_with(segment(0xFE, bytes(65_000)) * 2100), 0, "header is larger"),
    "scans.jpg": (lambda: jpeg_of_scans(2000, 600), 0, "more than 500 scans"),
    "junk.jpg": (lambda: jpeg_of_scans(2000, 600).replace(b"\xff\xc2", b"junk\xff\xc2", 1), 0, "500 scans"),
    "end.jpg": (lambda: with_an_end_in_a_comment(jpeg_of_scans(2000, 600)), 0, "500 scans"),
    "tiny.jpg": (lambda: jpeg_of_scans(8, 2100), 0, "more than 2,000 scans"),
    "chunks.png": (lambda: png_with(pictures.png_chunk(b"abCd", b"") * 200_001), 0, "chunks"),
    "chunk.png": (lambda: png_with(struct.pack(">I", 2**30) + b"abCd")[:41], 2**30, "a chunk beside"),
    "profile.png": (
        lambda: png_with(pictures.png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(5 * 10**7)))),
        0,
        "too large",
    ),
    "strips.tif": (lambda: tiff_of_strips(20_000_000), 2**28, "numbers"),
    "runs.bmp": (lambda: bmp_of_runs(5_000_000), 0, "run lengths"),
    "comment.gif": (lambda: gif_with(b"\x21\xfe" + b"\1c" * 600_000 + b"\0"), 0, "header has no end"),
    "sparse.webp": (lambda: pictures.photo("WEBP"), 2**31, "larger than 128 MiB"),
    "sparse.avif": (lambda: pictures.photo("AVIF"), 2**31, "larger than 128 MiB"),
    "over2GiB.jpg": (pictures.photo, 2**31 + 1, "larger than 2 GiB"),
}  # fmt: skip


@linux_only
def test_files_that_want_too_much_are_rows_within_two_seconds_and_500_mib(tree: Path, good: Path) -> None:
    for name, (build, size, _) in GREEDY.items():
        (tree / name).write_bytes(build())
        if size:
            os.truncate(tree / name, size)  # a hole, which takes no room on the disk
    done = run(tree)
    assert done.exit_code == 3
    found = {Path(row["photo"]).name: row["error"] for row in rows(done.stdout)}
    assert set(found) == set(GREEDY)
    for name, (_, _, reason) in GREEDY.items():
        assert reason in found[name], name
    files = sorted(tree.iterdir())
    for path, cost in zip(files, costs(good, files), strict=True):
        assert cost.seconds < SECONDS, path.name
        assert cost.mib < MIB, path.name


def test_what_comes_close_to_it_is_still_a_photo(tree: Path) -> None:
    progressive = pictures.photo("JPEG", progressive=True)
    noise = np.random.default_rng(5).integers(0, 256, 2**20, dtype=np.uint8).tobytes()
    strips = 20_000
    tables = np.full(strips, 100, "<u4").tobytes()
    tall = bytearray(tiff_of_strips(strips) + tables + np.ones(strips, "<u4").tobytes())
    at = tall.index(struct.pack("<HHI", 279, 4, strips)) + 8
    tall[at : at + 4] = struct.pack("<I", 200 + len(tables))
    photos = {
        "segments.jpg": jpeg_with(segment(0xE1, b"Exif\0\0") * 65_535),
        "progressive.jpg": progressive,
        "motion.jpg": progressive + noise * 4,  # the video behind it holds what looks like scans
        "rescanned.jpg": jpeg_of_scans(2000, 400),
        "chunks.png": png_with(pictures.png_chunk(b"abCd", b"") * 50_000),
        "strips.tif": bytes(tall),
        "padded.jpg": pictures.photo() + bytes(2**20),
        "adobe.jpg": pictures.encoded(Image.new("CMYK", (64, 64)), "JPEG"),
    }
    for name, content in photos.items():
        (tree / name).write_bytes(content)
    done = run(tree)
    assert [(row["photo"], row["error"]) for row in rows(done.stdout) if row["error"]] == []


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "avif"])
def test_a_huge_canvas_behind_tiny_data_is_a_row(tree: Path, kind: str) -> None:
    photo = bytearray(pictures.webp_frames(1) if kind == "webp" else pictures.photo(kind.upper(), 64, 64))
    if kind == "gif":
        photo[6:10] = b"\xff" * 4
    elif kind == "webp":
        photo[24:30] = b"\xfe\xff\xff" * 2  # wider and higher than it may be
    elif kind == "png":
        photo[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
        photo[29:33] = struct.pack(">I", zlib.crc32(photo[12:29]))
    else:
        at = photo.index(b"ispe") + 8
        photo[at : at + 8] = b"\x7f\xff\xff\xff" * 2
    (tree / f"a.{kind}").write_bytes(photo)
    assert row_error(tree)


@pytest.mark.parametrize("entries", [0, 1, 2**31])
def test_an_index_of_pictures_that_lies_costs_at_most_its_photo(tree: Path, entries: int) -> None:
    photo = pictures.encoded(
        Image.new("RGB", (64, 64), "teal"), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 64))]
    )
    at = photo.index(b"MPF\0")
    lying = bytearray(photo)
    for place in range(at + 12, at + 60):  # counts and offsets of its directory
        lying[place] = entries >> 24 & 0xFF or lying[place] ^ (entries & 0xFF)
    (tree / "a.mpo").write_bytes(lying)
    done = run(tree)
    assert done.exit_code in (0, 3)
    assert len(rows(done.stdout)) == 1


@linux_only
def test_a_file_that_grows_or_shrinks_while_it_is_read_costs_at_most_its_row(tree: Path, good: Path) -> None:
    import threading

    path, stop = tree / "a.jpg", threading.Event()
    whole = pictures.photo(width=2000, height=1500)

    def change() -> None:
        while not stop.is_set():
            path.write_bytes(whole[: len(whole) // 3])
            path.write_bytes(whole)

    path.write_bytes(whole)
    thread = threading.Thread(target=change)
    thread.start()
    try:
        done = run("-", stdin=b"\n".join([os.fsencode(path)] * 40))
    finally:
        stop.set()
        thread.join()
    assert done.exit_code in (0, 3), done.stderr
    assert len(rows(done.stdout)) == 40


@linux_only
def test_files_of_the_kernel_and_names_at_their_longest_are_rows(good: Path, tree: Path) -> None:
    long = tree / ("n" * 251 + ".jpg")
    long.write_bytes(good.read_bytes())
    names = [
        b"/proc/self/status",
        b"/proc/kcore",
        b"/" + b"d/" * 3000 + b"a.jpg",
        b"\xed\xa0\x80.jpg",
        b"n" * 300,
    ]
    done = run("-", stdin=b"\n".join([os.fsencode(long), *names]))
    assert done.exit_code == 3
    found = [row["error"] for row in rows(done.stdout)]
    assert found[0] == ""
    assert all(found[1:])
    assert len(found) == 1 + len(names)


def test_reading_on_after_opening_knows_no_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_HEADER_BYTES", 4096)
    (tmp_path / "a.bmp").write_bytes(pictures.photo("BMP"))
    with bounds.BoundedFile(io.FileIO(tmp_path / "a.bmp")) as file:
        assert len(file.read()) > 4096
