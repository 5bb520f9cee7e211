"""`geolocate tag --in-place`: exiftool writes a copy, the original stays, and undo is the original again."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tagging.tagged_folders import WITH_GPS, contents, draw, prediction, tag, write_results

from geolocate.exif import read_exif
from geolocate.photos import read_exif_block
from geolocate.photos.pixels import pixel_digest
from geolocate.records import Position
from geolocate.tagging.folder import Folder
from geolocate.tagging.xmp import is_near

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs the program exiftool")

HERE = Position(-46.123456, -8.654321)


def located(name: str, **changes: object) -> Any:
    return prediction(name, HERE.latitude, HERE.longitude, **changes)


def as_exiftool_reads(photo: Path) -> dict[str, Any]:
    done = subprocess.run(["exiftool", "-n", "-json", "-G1", "-a", photo], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


def test_the_position_is_written_and_the_pixels_are_the_same(tmp_path: Path) -> None:
    names = ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"]
    for number, name in enumerate(names):
        draw(tmp_path / name, number)
        os.utime(tmp_path / name, ns=(10**18, 10**18 + number))
    pixels = {name: pixel_digest(tmp_path / name) for name in names}
    results = write_results(tmp_path / "out.csv", map(located, names))
    before = contents(tmp_path)
    assert tag(tmp_path, results, "--in-place").exit_code == 0
    assert contents(tmp_path) == before
    done = tag(tmp_path, results, "--in-place", "--write")
    assert done.exit_code == 0, done.stdout
    for name in names:
        found = as_exiftool_reads(tmp_path / name)
        assert is_near(Position(*map(float, found["Composite:GPSPosition"].split())), HERE)
        assert found["GPS:GPSProcessingMethod"].startswith("geolocate estimate")
        assert found["GPS:GPSHPositioningError"] == 12_000
        assert found["XMP-photoshop:City"] == "Göschenen"
        assert pixel_digest(tmp_path / name) == pixels[name]
        assert contents(tmp_path)[f"{name}.untagged"] == before[name]
        assert (tmp_path / name).stat().st_mtime_ns == before[name][2]
        # What the program wrote it does not take for the truth.
        assert read_exif(read_exif_block(tmp_path / name)).notes == ("exif-estimate",)
    assert "has an estimate in its EXIF" in tag(tmp_path, results, "--in-place", "--write").stdout

    undone = tag(tmp_path, results, "--undo")
    assert undone.exit_code == 0, undone.stdout
    assert contents(tmp_path) == before


def test_real_photos_keep_pixels_and_all_other_metadata(tmp_path: Path, real_photos: Path) -> None:
    pytest.importorskip("pillow_heif", reason="needs the extra heic")
    names = ["DSCN0010.jpg", "IMG_5195.HEIC", "landscape_8.jpg"]
    for name in names:
        shutil.copyfile(real_photos / "exif" / name, tmp_path / name)
    pixels = {name: pixel_digest(tmp_path / name) for name in names}
    old = {name: as_exiftool_reads(tmp_path / name) for name in names}
    results = write_results(tmp_path / "out.csv", map(located, names))
    before = contents(tmp_path)
    done = tag(tmp_path, results, "--in-place", "--write", "--overwrite")
    assert done.exit_code == 0, done.stdout
    for name in names:
        found = as_exiftool_reads(tmp_path / name)
        assert is_near(Position(*map(float, found["Composite:GPSPosition"].split())), HERE)
        assert "GPS:GPSAltitude" not in found
        assert pixel_digest(tmp_path / name) == pixels[name]
        kept = [k for k in old[name] if k.startswith(("ExifIFD:", "IFD0:")) and "Offset" not in k]
        assert {k: found.get(k) for k in kept} == {k: old[name][k] for k in kept}
    assert tag(tmp_path, results, "--undo").exit_code == 0
    assert contents(tmp_path) == before


def test_a_photo_with_a_position_is_left_alone_wherever_it_has_it(tmp_path: Path, drawn_photos: Path) -> None:
    shutil.copy(drawn_photos / "alps.jpg", tmp_path / "exif.jpg")
    draw(tmp_path / "own.jpg", xmp=WITH_GPS)
    draw(tmp_path / "beside.jpg")
    (tmp_path / "beside.jpg.xmp").write_bytes(WITH_GPS)
    draw(tmp_path / "zero.jpg")
    zero = ["-GPSLatitude=0", "-GPSLongitude=0", "-GPSLatitudeRef=N", "-GPSLongitudeRef=E"]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *zero, tmp_path / "zero.jpg"], check=True)
    names = ("exif.jpg", "own.jpg", "beside.jpg", "zero.jpg")
    results = write_results(tmp_path / "out.csv", map(located, names))
    before = contents(tmp_path)
    done = tag(tmp_path, results, "--in-place", "--write")
    assert done.exit_code == 3
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["skipped"] * 3 + ["failed"]
    assert "exiftool finds a position in it (GPS)" in done.stdout
    assert {k: v for k, v in contents(tmp_path).items() if k != "out.csv.tagged"} == before

    assert tag(tmp_path, results, "--in-place", "--write", "--overwrite").exit_code == 0
    for name in names:
        found = as_exiftool_reads(tmp_path / name)
        assert is_near(Position(*map(float, found["Composite:GPSPosition"].split())), HERE)
        assert "XMP-exif:GPSLatitude" not in found
    assert tag(tmp_path, results, "--undo").exit_code == 0
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("given", "tag_read"),
    [
        ("-XMP:City=Home", "XMP-photoshop:City"),
        ("-IPTC:City=Home", "IPTC:City"),
        ("-XMP-iptcExt:LocationShownCity=Home", "XMP-iptcExt:LocationShownCity"),
        ("-XMP-iptcExt:LocationCreatedCountryName=Home", "XMP-iptcExt:LocationCreatedCountryName"),
    ],
)
def test_names_that_a_person_gave_stay(given: str, tag_read: str, tmp_path: Path) -> None:
    draw(tmp_path / "a.jpg")
    subprocess.run(["exiftool", "-q", "-overwrite_original", given, tmp_path / "a.jpg"], check=True)
    results = write_results(tmp_path / "out.csv", [located("a.jpg")])
    assert tag(tmp_path, results, "--in-place", "--write").exit_code == 0
    found = as_exiftool_reads(tmp_path / "a.jpg")
    assert found[tag_read] == "Home"
    assert "XMP-photoshop:Country" not in found


def test_what_cannot_be_written_stays_byte_for_byte_and_the_others_go_on(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.bmp")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.gif")
    draw(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-200])
    draw(tmp_path / "read_only.jpg").chmod(0o444)
    draw(tmp_path / "two_names.jpg")
    os.link(tmp_path / "two_names.jpg", tmp_path / "second")
    draw(tmp_path / "kept.jpg")
    (tmp_path / "kept.jpg.untagged").write_text("from an earlier run")
    draw(tmp_path / "whole.jpg")
    names = ["a.bmp", "a.gif", "cut.jpg", "read_only.jpg", "two_names.jpg", "kept.jpg", "whole.jpg"]
    results = write_results(tmp_path / "out.csv", map(located, names))
    before = contents(tmp_path)
    done = tag(tmp_path, results, "--in-place", "--write")
    assert done.exit_code == 3
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["failed"] * 6 + ["wrote"]
    for reason in ("not supported", "holds no position", "damaged", "read-only", "hard link", "earlier run"):
        assert reason in done.stdout
    after = contents(tmp_path)
    assert {name: after[name] for name in before if name != "whole.jpg"} == {
        name: before[name] for name in before if name != "whole.jpg"
    }
    assert after.keys() - before.keys() == {"whole.jpg.untagged", "out.csv.tagged"}
    assert tag(tmp_path, results, "--undo").exit_code == 0
    assert contents(tmp_path) == before


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_no_name_becomes_an_option_of_exiftool(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    names = [
        b"-overwrite_original",
        b"-o x.jpg",
        b"a\n-execute\n-GPS:all=.jpg",
        b"caf\xe9.jpg",
        b"|touch x|",
        b"@x",
    ]
    for name in names:
        os.rename(draw(tmp_path / "x.jpg"), os.path.join(os.fsencode(folder), name))
    results = write_results(
        tmp_path / "out.jsonl", [located(os.fsdecode(name), model="-x\n<f>|;$(x)") for name in names]
    )
    before = contents(folder)
    done = tag(folder, results, "--in-place", "--write")
    assert done.exit_code == 0, done.stdout
    assert {name + ".untagged" for name in before} | before.keys() == contents(folder).keys()
    assert tag(folder, results, "--undo").exit_code == 0
    assert contents(folder) == before


def test_without_exiftool_it_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = write_results(tmp_path / "out.csv", [located(draw(tmp_path / "a.jpg").name)])
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    refused = tag(tmp_path, results, "--in-place")
    assert refused.exit_code == 1
    assert "exiftool.org" in refused.stderr
    for answer, reason in (
        ("echo 12.10", "is 12.10"),
        ("exit 1", "does not work"),
        ("echo hello", "does not work"),
    ):
        fake = tmp_path / "exiftool"
        fake.write_text(f"#!/bin/sh\n{answer}\n")
        fake.chmod(0o755)
        refused = tag(tmp_path, results, "--in-place", "--write")
        assert refused.exit_code == 1
        assert reason in refused.stderr
    assert not (tmp_path / "out.csv.tagged").exists()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("cat", "holds no position"),
        ("head -c 100", ""),
        ("exit 0", ""),
        ("echo Error: it hurts - - >&2; exit 1", "exiftool: it hurts\n"),
    ],
)
def test_an_exiftool_that_spoils_the_photo_is_found_out(
    answer: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = write_results(tmp_path / "out.csv", [located(draw(tmp_path / "a.jpg").name)])
    real = shutil.which("exiftool")
    fake = tmp_path / "bin" / "exiftool"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\ncase "$*" in *" -o "*) {answer};; *) exec {real} "$@";; esac\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    before = contents(tmp_path)
    done = tag(tmp_path, results, "--in-place", "--write")
    assert done.exit_code == 3
    assert reason in done.stdout
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"out.csv.tagged"}


def test_an_exiftool_that_changes_pixels_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.jpg"
    draw(other, 5)
    results = write_results(tmp_path / "out.csv", [located(draw(tmp_path / "a.jpg").name)])
    real = shutil.which("exiftool")
    fake = tmp_path / "bin" / "exiftool"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in *" -o "*) exec {real} "$@" < {other};; *) exec {real} "$@";; esac\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    before = (tmp_path / "a.jpg").read_bytes()
    done = tag(tmp_path, results, "--in-place", "--write")
    assert done.exit_code == 3
    assert "change its pixels" in done.stdout
    assert (tmp_path / "a.jpg").read_bytes() == before


def test_where_files_have_one_name_only_the_original_is_kept_as_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Folder, name: str, target: str) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Folder, "link", refuse)
    draw(tmp_path / "a.jpg")
    results = write_results(tmp_path / "out.csv", [located("a.jpg")])
    before = contents(tmp_path)
    assert tag(tmp_path, results, "--in-place", "--write").exit_code == 0
    assert contents(tmp_path)["a.jpg.untagged"] == before["a.jpg"]
    assert tag(tmp_path, results, "--undo").exit_code == 0
    assert contents(tmp_path) == before


def test_undo_leaves_a_photo_alone_that_was_edited_since(tmp_path: Path) -> None:
    for name in "abc":
        draw(tmp_path / f"{name}.jpg")
    results = write_results(tmp_path / "out.csv", [located(f"{name}.jpg") for name in "abc"])
    tag(tmp_path, results, "--in-place", "--write")
    draw(tmp_path / "a.jpg", 9)
    (tmp_path / "b.jpg").unlink()
    (tmp_path / "c.jpg.untagged").unlink()
    before = contents(tmp_path)
    undone = tag(tmp_path, results, "--undo")
    assert undone.exit_code == 3
    for reason in (
        "changed since",
        "gone; what it was is in b.jpg.untagged",
        "c.jpg.untagged is gone or changed",
    ):
        assert reason in undone.stdout
    assert contents(tmp_path) == before
