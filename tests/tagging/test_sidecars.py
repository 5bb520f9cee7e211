"""`geolocate tag` with sidecars: a dry run first, nothing over a position, all of it taken back."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from tagging.tagged_folders import (
    DARKTABLE,
    LIGHTROOM,
    WITH_GPS,
    contents,
    draw,
    prediction,
    tag,
    write_results,
)

from geolocate.records import Position, Prediction
from geolocate.tagging.estimate import Estimate
from geolocate.tagging.photo_file import PhotoFile
from geolocate.tagging.xmp import is_near, read_position

HERE = Position(46.5, 8.25)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photos: plain, with a darktable and a Lightroom sidecar, and with a position in a sidecar."""
    folder = tmp_path / "photos"
    for number, before in enumerate((None, DARKTABLE, LIGHTROOM, WITH_GPS)):
        draw(folder / f"{number}.jpg", number)
        if before is not None:
            sidecar = folder / f"{number}.jpg.xmp"
            sidecar.write_bytes(before)
            os.utime(sidecar, ns=(10**18, 10**18 + number))
    return folder


@pytest.fixture
def results(photos: Path, tmp_path: Path) -> Path:
    return write_results(tmp_path / "out.csv", [prediction(f"{number}.jpg") for number in range(4)])


def position_in(sidecar: Path) -> Position | None:
    found = read_position(sidecar.read_bytes())
    return found.position if found else None


def test_without_write_nothing_is_written_but_said(photos: Path, results: Path) -> None:
    before = contents(photos.parent)
    done = tag(photos, results)
    assert done.exit_code == 0, done.stderr
    assert contents(photos.parent) == before
    lines = done.stdout.splitlines()
    assert (
        lines[0] == "would write  0.jpg.xmp  46.50000, 8.25000  radius 12.0 km  Göschenen, Uri, Switzerland"
    )
    assert lines[3] == "skipped      3.jpg.xmp: has a position in 3.jpg.xmp"
    assert "3 to be written, 1 skipped" in done.stderr
    assert "--write" in done.stderr
    assert tag(photos, results, "-q").stderr == ""


def test_write_does_what_the_dry_run_said_and_undo_takes_all_of_it_back(photos: Path, results: Path) -> None:
    before = contents(photos.parent)
    said = tag(photos, results).stdout
    done = tag(photos, results, "--write")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == said.replace("would write", "wrote      ")
    for number in range(3):
        assert is_near(position_in(photos / f"{number}.jpg.xmp"), HERE)
    assert (photos / "3.jpg.xmp").read_bytes() == WITH_GPS
    assert b"sharpen" in (photos / "1.jpg.xmp").read_bytes()

    undone = tag(photos, results, "--undo")
    assert undone.exit_code == 0, undone.stderr
    assert "3 restored" in undone.stderr
    assert contents(photos.parent) == before
    again = tag(photos, results, "--undo")
    assert again.exit_code == 0
    assert "nothing to take back" in again.stderr


def test_running_again_goes_on_and_writes_nothing_twice(photos: Path, results: Path) -> None:
    tag(photos, results, "--write")
    before = contents(photos)
    again = tag(photos, results, "--write")
    assert again.exit_code == 0
    assert "has an estimate in 0.jpg.xmp" in again.stdout
    assert "has this estimate" in tag(photos, results, "--write", "--overwrite").stdout
    assert {k: v for k, v in contents(photos).items() if k != "3.jpg.xmp"} == {
        k: v for k, v in before.items() if k != "3.jpg.xmp"
    }


def test_overwrite_replaces_a_position_and_undo_gives_it_back(photos: Path, results: Path) -> None:
    before = contents(photos)
    assert tag(photos, results, "--write", "--overwrite").exit_code == 0
    assert is_near(position_in(photos / "3.jpg.xmp"), HERE)
    assert tag(photos, results, "--undo").exit_code == 0
    assert contents(photos) == before


def test_several_runs_are_taken_back_to_the_very_beginning(photos: Path, results: Path) -> None:
    before = contents(photos)
    for latitude in (1.0, 2.0, 3.0):
        write_results(results, [prediction(f"{number}.jpg", latitude) for number in range(4)])
        assert tag(photos, results, "--write", "--overwrite").exit_code == 0
    assert is_near(position_in(photos / "2.jpg.xmp"), Position(3.0, 8.25))
    assert tag(photos, results, "--undo").exit_code == 0
    assert contents(photos) == before


def test_undo_leaves_alone_what_somebody_changed_since(photos: Path, results: Path) -> None:
    tag(photos, results, "--write")
    changed = photos / "1.jpg.xmp"
    changed.write_bytes(changed.read_bytes().replace(b"sharpen", b"blurred"))
    (photos / "2.jpg.xmp").unlink()
    mine = changed.read_bytes()
    undone = tag(photos, results, "--undo")
    assert undone.exit_code == 3
    assert undone.stdout.count("changed since: left as it is") == 2
    assert changed.read_bytes() == mine
    assert not (photos / "0.jpg.xmp").exists()
    assert Path(f"{results}.tagged").exists()


def test_only_estimates_that_are_sure_enough_are_written(tmp_path: Path) -> None:
    for name in "abcd":
        draw(tmp_path / f"{name}.jpg")
    results = write_results(
        tmp_path / "out.jsonl",
        [
            prediction("a.jpg", radius_km=100.0, probability=0.9),
            prediction("b.jpg", radius_km=3000.0, probability=0.9),
            prediction("c.jpg", radius_km=100.0, probability=0.1),
            prediction("d.jpg", radius_km=None, probability=0.9),
            Prediction("e.jpg", notes=("uncertain",)),
            Prediction("f.jpg", error="damaged"),
        ],
    )
    done = tag(tmp_path, results, "--max-radius", "200", "--min-probability", "0.5")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["would"] + ["skipped"] * 5
    assert "radius 3,000.0 km" in done.stdout
    assert "probability 0.1" in done.stdout
    assert "may be off by more than 750 km" not in done.stderr
    assert "2 of them may be off by more than 750 km" in tag(tmp_path, results).stderr


def test_names_are_no_finer_than_the_estimate_is_sure_of(tmp_path: Path) -> None:
    for radius, names in (
        (25, "Göschenen, Uri, Switzerland"),
        (200, "Uri, Switzerland"),
        (750, "Switzerland"),
        (751, ""),
    ):
        draw(tmp_path / "a.jpg")
        results = write_results(tmp_path / "out.csv", [prediction("a.jpg", radius_km=float(radius))])
        assert tag(tmp_path, results).stdout.partition(" km")[2].strip() == names


def test_a_position_in_exif_in_own_xmp_or_in_a_sidecar_of_lightroom_is_left_alone(
    tmp_path: Path, drawn_photos: Path
) -> None:
    (tmp_path / "exif.jpg").write_bytes((drawn_photos / "alps.jpg").read_bytes())
    draw(tmp_path / "own.jpg", xmp=WITH_GPS)
    draw(tmp_path / "beside.jpg")
    (tmp_path / "beside.xmp").write_bytes(WITH_GPS)
    names = ("exif.jpg", "own.jpg", "beside.jpg")
    results = write_results(tmp_path / "out.csv", map(prediction, names))
    done = tag(tmp_path, results, "--write")
    assert done.exit_code == 0
    places = ("its EXIF", "its XMP", "beside.xmp")
    assert done.stdout.splitlines() == [
        f"skipped      {name}.xmp: has a position in {place}"
        for name, place in zip(names, places, strict=True)
    ]
    assert not list(tmp_path.glob("*.jpg.xmp"))


def draw_beside(photo: Path, sidecar: bytes) -> Path:
    """Draws a photo; returns its sidecar."""
    draw(photo)
    path = photo.with_name(photo.name + ".xmp")
    path.write_bytes(sidecar)
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.symlink_to("real.jpg"), "a link"),
        (lambda path: path.mkdir(), "not a regular file"),
        (lambda path: path.write_text("root:x:0:0"), "not a photo"),
        (lambda path: path.write_bytes(b""), "the file is empty"),
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: (draw(path), os.utime(path, (time.time() + 9e3,) * 2)), "changed since"),
        (lambda path: (draw(path), Path(f"{path}.xmp").symlink_to("real.jpg")), "a link"),
        (lambda path: (draw(path), Path(f"{path}.xmp").mkdir()), "not a regular file"),
        (lambda path: (draw(path), draw(path.with_name("x.jpg")).rename(f"{path}.xmp")), "no XMP"),
        (lambda path: draw_beside(path, b"<!DOCTYPE a>" + DARKTABLE[39:]), "document type"),
        (lambda path: draw_beside(path, DARKTABLE + b" " * 2**24), "larger than"),
        (lambda path: draw_beside(path, DARKTABLE).chmod(0o444), "read-only"),
    ],
)  # fmt: skip
@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
def test_what_is_no_photo_or_no_sidecar_is_refused_and_the_others_go_on(
    make: object, reason: str, tmp_path: Path
) -> None:
    draw(tmp_path / "real.jpg")
    make(tmp_path / "odd.jpg")  # type: ignore[operator]
    results = write_results(tmp_path / "out.csv", [prediction("odd.jpg"), prediction("real.jpg")])
    before = contents(tmp_path) if reason != "not a regular file" else {}
    for words in ((), ("--write",)):
        done = tag(tmp_path, results, *words)
        assert done.exit_code == 3
        assert done.stdout.startswith("failed       odd.jpg.xmp: ")
        assert reason in done.stdout.splitlines()[0]
    assert (tmp_path / "real.jpg.xmp").exists()
    if before:
        after = contents(tmp_path)
        assert {name: after[name] for name in before} == before


@pytest.mark.skipif(sys.platform == "win32", reason="names and links of POSIX")
def test_no_path_in_the_results_leads_out_of_the_folder_of_photos(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    draw(outside / "a.jpg")
    draw(inside / "b.jpg")
    (inside / "link").symlink_to(outside)
    (inside / "shortcut").symlink_to(inside)
    paths = ["../outside/a.jpg", str(outside / "a.jpg"), "link/a.jpg", "s3://bucket/a.jpg", "zip://x::a.jpg"]
    fine = [str(inside / "b.jpg"), "shortcut/./b.jpg"]
    results = write_results(tmp_path / "out.csv", [prediction(path) for path in [*paths, *fine]])
    done = tag(inside, results, "--write")
    assert done.exit_code == 3
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["failed"] * len(paths) + ["wrote", "skipped"]
    assert all("outside of" in line and "--photos" in line for line in lines[:3])
    assert not (outside / "a.jpg.xmp").exists()
    # The log is a stranger's word as well, where it came with the results.
    assert tag(outside, results, "--undo").exit_code == 3
    assert (inside / "b.jpg.xmp").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_odd_names_are_tagged_and_shown_safely(tmp_path: Path) -> None:
    names = [
        b"-execute.jpg",
        b"a\nb.jpg",
        b"caf\xe9.jpg",
        b"\x1b[31m.jpg",
        b"=1+1.jpg",
        b"<x>&'\".jpg",
        b"%s.jpg",
    ]
    folder = tmp_path / "photos"
    for name in names:
        draw(tmp_path / "x.jpg")
        folder.mkdir(exist_ok=True)
        os.rename(tmp_path / "x.jpg", os.path.join(os.fsencode(folder), name))
    for kind in ("out.csv", "out.jsonl"):
        before = contents(folder)
        results = write_results(tmp_path / kind, [prediction(os.fsdecode(name)) for name in names])
        done = tag(folder, results, "--write")
        assert done.exit_code == 0, done.stdout
        assert len(done.stdout.splitlines()) == len(names)
        assert "\x1b" not in done.stdout
        for name in names:
            assert os.path.exists(os.path.join(os.fsencode(folder), name + b".xmp"))
        assert tag(folder, results, "--undo").exit_code == 0
        assert contents(folder) == before


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_sidecar_is_hidden_from_those_from_whom_the_photo_is(tmp_path: Path) -> None:
    draw(tmp_path / "a.jpg").chmod(0o600)
    draw(tmp_path / "b.jpg").chmod(0o444)
    results = write_results(tmp_path / "out.csv", [prediction("a.jpg"), prediction("b.jpg")])
    assert tag(tmp_path, results, "--write").exit_code == 0
    assert (tmp_path / "a.jpg.xmp").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "b.jpg.xmp").stat().st_mode & 0o777 == 0o644
    assert Path(f"{results}.tagged").stat().st_mode & 0o777 == 0o600


def test_a_table_that_breaks_off_writes_nothing(photos: Path, results: Path) -> None:
    results.write_bytes(results.read_bytes()[:-40])
    before = contents(photos)
    assert tag(photos, results, "--write").exit_code == 1
    assert contents(photos) == before


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_results_that_cannot_be_read_twice_are_refused(photos: Path, results: Path) -> None:
    ends = os.pipe()
    try:
        os.write(ends[1], results.read_bytes())
        os.close(ends[1])
        for other in (f"/dev/fd/{ends[0]}", photos):
            refused = tag(photos, other, "--write")
            assert refused.exit_code == 2
            assert "is no file, but RESULTS is read twice" in refused.stderr
    finally:
        os.close(ends[0])
    assert not (photos / "0.jpg.xmp").exists()


def test_refused_calls(photos: Path, results: Path) -> None:
    assert tag(photos, results.with_name("gone.csv")).exit_code == 2
    assert tag(photos / "gone", results).exit_code == 2
    assert tag(photos, results, "--undo", "--write").exit_code == 2
    log = Path(f"{results}.tagged")
    log.write_text("my diary")
    for words in (("--write",), ("--undo",)):
        refused = tag(photos, results, *words)
        assert refused.exit_code == 2
        assert "is no log" in refused.stderr
    assert log.read_text() == "my diary"


def test_a_position_that_is_none_is_not_written(tmp_path: Path) -> None:
    draw(tmp_path / "a.jpg")
    results = tmp_path / "out.jsonl"
    write_results(results, [prediction("a.jpg")])
    results.write_text(results.read_text().replace("46.5", "146.5"))
    done = tag(tmp_path, results, "--write")
    assert done.exit_code in (1, 3)
    assert not (tmp_path / "a.jpg.xmp").exists()


def test_pictures_of_every_format_get_a_sidecar(tmp_path: Path) -> None:
    names = [f"a.{kind}" for kind in ("jpg", "png", "webp", "gif", "bmp", "tif", "avif")]
    for name in names:
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    results = write_results(tmp_path / "out.csv", map(prediction, names))
    assert tag(tmp_path, results, "--write").exit_code == 0
    assert sorted(path.name for path in tmp_path.glob("*.xmp")) == sorted(f"{name}.xmp" for name in names)


def test_where_folders_cannot_be_held_open_paths_do(
    photos: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geolocate.tagging.folder.BY_PARTS", False)
    before = contents(photos)
    assert tag(photos, results, "--write", "--overwrite").exit_code == 0
    assert is_near(position_in(photos / "3.jpg.xmp"), HERE)
    assert tag(photos, results, "--undo").exit_code == 0
    assert contents(photos) == before


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    photos: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geolocate.tagging.sidecar import Sidecars

    real = Sidecars.prepare

    def interrupted(self: Sidecars, photo: PhotoFile, estimate: Estimate) -> object:
        if photo.name == "1.jpg":
            raise KeyboardInterrupt
        return real(self, photo, estimate)

    with monkeypatch.context() as patched:
        patched.setattr(Sidecars, "prepare", interrupted)
        done = tag(photos, results, "--write")
    assert done.exit_code == 130
    assert "1 written; the same command goes on from here" in done.stderr
    assert (photos / "0.jpg.xmp").exists()
    assert tag(photos, results, "--write").exit_code == 0
    assert (photos / "2.jpg.xmp").read_bytes() != LIGHTROOM
