"""`--resume`: an interrupted run goes on, and its outputs are those of a run that was never interrupted."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from geolocate.cli import cli

PROGRAM = [sys.executable, "-m", "geolocate"]
PHOTOS = 59
OUTPUTS = ("out.csv", "out.jsonl", "out.geojson", "out.kml", "out.parquet", "out.map")
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and limits")


def draw(path: Path, seed: int) -> None:
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((64, 48)).save(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small photos in nested folders; every tenth is none, and one name is no text where names are bytes."""
    folder = tmp_path_factory.mktemp("resume") / "photos"
    for number in range(PHOTOS):
        path = folder / f"day{number // 20}" / f"{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 10 == 7:
            path.write_bytes(b"no photo")
        else:
            draw(path, number)
    if sys.platform == "linux":  # where names are bytes
        draw(folder / "day1" / "\udcff.jpg", 1000)
    return folder


def words(photos: Path, folder: Path, names: tuple[str, ...] = OUTPUTS) -> list[str]:
    return [os.fspath(photos), "--model", "starter", "-k", "2", *output_words(folder, names)]


def output_words(folder: Path, names: tuple[str, ...] = OUTPUTS) -> list[str]:
    """The options of outputs in a folder."""
    return [word for name in names for word in (f"--{name.rpartition('.')[2]}", os.fspath(folder / name))]


def run(*words: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, words, input=stdin)


def outputs(folder: Path) -> list[bytes]:
    return [
        (folder / name).read_bytes() for name in (*OUTPUTS, *(f"{name}.manifest.json" for name in OUTPUTS))
    ]


def done(folder: Path) -> int:
    """How many photos the journal in a folder holds."""
    journal = folder / "out.csv.journal"
    return max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0


@pytest.fixture(scope="module")
def reference(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The outputs and manifests of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("reference")
    result = run(*words(photos, folder))
    assert result.exit_code == 3, result.stderr
    return outputs(folder)


def start(photos: Path, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*PROGRAM, *words(photos, folder), *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(program: subprocess.Popen[bytes], folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while done(folder) < count and program.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


@posix_only
def test_ten_kills_at_random_lose_nothing_and_double_nothing(
    photos: Path, reference: list[bytes], tmp_path: Path
) -> None:
    chance = random.Random(7)
    for _ in range(10):
        before = done(tmp_path)
        with start(photos, tmp_path, "--resume", "--batch-size", str(chance.choice((1, 3, 8)))) as program:
            wait_for(program, tmp_path, before + chance.randrange(PHOTOS // 10))
            time.sleep(chance.random() * 0.02)
            program.kill()
        assert done(tmp_path) >= before
    last = run(*words(photos, tmp_path), "--resume")
    assert last.exit_code == 3, last.stderr
    assert outputs(tmp_path) == reference
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        name + suffix for name in OUTPUTS for suffix in ("", ".manifest.json")
    )


@posix_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_with_130_and_says_how_to_go_on(
    photos: Path, reference: list[bytes], tmp_path: Path, number: int
) -> None:
    with start(photos, tmp_path, "--batch-size", "1") as program:
        wait_for(program, tmp_path, 3)
        program.send_signal(number)
        _, errors = program.communicate()
    assert program.returncode == 130, errors
    assert b"Traceback" not in errors
    (line,) = [line for line in errors.decode().splitlines() if "--resume" in line]
    assert line.startswith(f"geolocate: done so far: {done(tmp_path)} photos, in ")
    assert (tmp_path / "out.csv.partial").read_bytes() in reference[0]
    again = run(*words(photos, tmp_path), "--resume")
    assert f"going on after {line.split()[4]} photos" in again.stderr
    assert outputs(tmp_path) == reference


@posix_only
def test_a_full_disk_is_an_error_and_the_run_goes_on_when_there_is_room(
    photos: Path, reference: list[bytes], tmp_path: Path
) -> None:
    import resource

    limit = 9000
    full = subprocess.run(
        [*PROGRAM, *words(photos, tmp_path, OUTPUTS[:2])],  # KML's temporary file would be full first
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert full.returncode == 1
    assert b"out.csv.journal: File too large" in full.stderr
    assert b"the same command with --resume goes on" in full.stderr
    assert 0 < done(tmp_path) < PHOTOS
    assert (tmp_path / "out.csv.journal").read_bytes().endswith(b"\n")
    assert run(*words(photos, tmp_path), "--resume").exit_code == 3
    assert outputs(tmp_path) == reference


def test_without_resume_an_unfinished_run_is_in_the_way(
    photos: Path, reference: list[bytes], tmp_path: Path, interrupted_after: Callable[..., Result]
) -> None:
    interrupted_after(5, *words(photos, tmp_path))
    refused = run(*words(photos, tmp_path))
    assert refused.exit_code == 2
    assert "(5 photos): --resume goes on with it, --overwrite discards it" in refused.stderr
    assert done(tmp_path) == 5
    both = run(*words(photos, tmp_path), "--resume", "--overwrite")
    assert both.exit_code == 2
    assert done(tmp_path) == 5
    assert run(*words(photos, tmp_path), "--overwrite").exit_code == 3
    assert outputs(tmp_path) == reference


def test_other_options_or_photos_are_refused_and_what_is_done_stays(
    photos: Path, tmp_path: Path, interrupted_after: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_after(5, *words(photos, tmp_path))
    before = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    for more, said in (
        (["-k", "5"], "top_k was 2 and is 5"),
        (["--no-exif"], "exif was true and is false"),
        ([os.fspath(photos / "day0")], "inputs differs"),
        (["--near", "1,2,3000"], "near was null and is [1.0, 2.0, 3000.0]"),
    ):
        refused = run(*words(photos, tmp_path), "--resume", *more)
        assert refused.exit_code == 2, more
        assert said in refused.stderr
        assert "goes on\n" not in refused.stderr
        assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == before
    monkeypatch.chdir(photos)
    csv = os.fspath(tmp_path / "relative.csv")
    interrupted_after(2, "day0", "--model", "starter", "--csv", csv)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day0").mkdir()
    elsewhere = run("day0", "--model", "starter", "--csv", csv, "--resume")
    assert elsewhere.exit_code == 2
    assert "folder" in elsewhere.stderr


def test_an_own_gallery_that_changed_is_another_run(
    photos: Path, tmp_path: Path, interrupted_after: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    gallery = tmp_path / "gallery.csv"
    gallery.write_text("LAT,LON\n1,2\n3,4\n", encoding="utf-8")
    more = ["--gallery", os.fspath(gallery)]
    interrupted_after(5, *words(photos, tmp_path), *more)
    gallery.write_text("LAT,LON\n1,2\n3,4\n5,6\n", encoding="utf-8")
    refused = run(*words(photos, tmp_path), *more, "--resume")
    assert refused.exit_code == 2
    assert "gallery.csv was" in refused.stderr or "gallery.csv differs" in refused.stderr


def test_with_nothing_to_go_on_with_a_run_starts(
    photos: Path, reference: list[bytes], tmp_path: Path
) -> None:
    first = run(*words(photos, tmp_path), "--resume")
    assert first.exit_code == 3
    assert "no photos are done yet" in first.stderr
    assert outputs(tmp_path) == reference


def test_resume_without_an_output_file_is_a_wrong_call(photos: Path, tmp_path: Path) -> None:
    refused = run(os.fspath(photos), "--csv", "-", "--resume")
    assert refused.exit_code == 2
    assert "there is none among the outputs" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_beside_the_file_gets_every_row_again(
    photos: Path, reference: list[bytes], tmp_path: Path, interrupted_after: Callable[..., Result]
) -> None:
    call = [os.fspath(photos), "--model", "starter", "-k", "2", "--jsonl", os.fspath(tmp_path / "out.jsonl")]
    interrupted_after(20, *call)
    more = run(*call, "--csv", "-", "--resume")
    assert more.stdout_bytes == reference[0]
    assert (tmp_path / "out.jsonl").read_bytes() == reference[1]


def test_photos_that_went_stay_and_photos_that_came_follow(
    tmp_path: Path, interrupted_after: Callable[..., Result]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in (1, 3, 5, 7, 9):
        draw(folder / f"{number}.jpg", number)
    interrupted_after(3, *words(folder, tmp_path))
    (folder / "1.jpg").unlink()
    (folder / "9.jpg").unlink()
    draw(folder / "3.jpg", 100)
    draw(folder / "2.jpg", 2)
    draw(folder / "8.jpg", 8)
    before = (tmp_path / "out.csv.partial").read_bytes()
    assert run(*words(folder, tmp_path), "--resume").exit_code == 0
    table = (tmp_path / "out.csv").read_bytes()
    assert table.startswith(before)
    order = [Path(row.split(b",")[0].decode()).stem for row in table.splitlines()[1::2]]
    assert order == ["1", "3", "5", "2", "7", "8"]


def test_a_list_on_standard_input_may_name_a_photo_twice(
    photos: Path, tmp_path: Path, interrupted_after: Callable[..., Result]
) -> None:
    one, two = (os.fsencode(photos / "day0" / name) for name in ("000.jpg", "001.jpg"))
    listed = b"\n".join((one, two, b"missing.jpg", one, two, one))
    target = tmp_path / "out.csv"
    call = ["-", "--model", "starter", "--csv", os.fspath(target)]
    run(*call, stdin=listed)
    whole = target.read_bytes()
    for count in (1, 3, 4, 5):
        interrupted_after(count, *call, "--overwrite", stdin=listed)
        assert run(*call, "--resume", stdin=listed).exit_code == 3
        assert target.read_bytes() == whole


def test_a_run_that_ended_between_its_outputs_is_ended_properly(
    photos: Path, reference: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def replace_but_not_the_second(self: Path, target: Path) -> Path:
        if target.name == OUTPUTS[1]:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_but_not_the_second)
        patch.setattr(signal, "signal", lambda *_: None)
        assert run(*words(photos, tmp_path)).exit_code == 130
    assert (tmp_path / "out.csv").read_bytes() == reference[0]
    assert not (tmp_path / "out.jsonl").exists()
    assert run(*words(photos, tmp_path)).exit_code == 2
    again = run(*words(photos, tmp_path), "--resume")
    assert again.exit_code == 3
    assert outputs(tmp_path) == reference


def test_what_is_done_is_not_decoded_again(
    photos: Path, tmp_path: Path, interrupted_after: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    import geolocate.decoded_item

    call = words(photos, tmp_path, OUTPUTS[:-1])  # the map would decode them for its thumbnails
    interrupted_after(30, *call)
    decoded: list[str] = []
    decode = geolocate.decoded_item.decode_photo

    def decode_and_note(photo: str, **options: object) -> object:
        decoded.append(photo)
        return decode(photo, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(geolocate.decoded_item, "decode_photo", decode_and_note)
    run(*call, "--resume")
    with (tmp_path / "out.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["rank"] in ("", "1")]
    assert len(decoded) == len(set(decoded))
    assert not {row["photo"] for row in rows[:30]} & set(decoded)
    # Copies take what is at hand, and so do the files that are no photo.
    left = [row for row in rows[30:] if not row["error"] and "duplicate" not in row["notes"]]
    assert {row["photo"] for row in left} <= set(decoded)


def test_an_album_goes_on_too(
    drawn_photos: Path, tmp_path: Path, interrupted_after: Callable[..., Result]
) -> None:
    call = [*words(drawn_photos, tmp_path), "--album"]
    run(*call)
    whole = outputs(tmp_path)
    interrupted_after(2, *call)
    run(*call, "--resume")
    assert outputs(tmp_path) == whole


def test_features_go_on_too(tmp_path: Path, interrupted_after: Callable[..., Result]) -> None:
    from geolocate.bundle import load_bundle

    features = np.random.default_rng(3).normal(size=(300, load_bundle("starter").manifest.feature_dim))
    np.save(tmp_path / "f.npy", features.astype(np.float32))
    call = ["--features", os.fspath(tmp_path / "f.npy"), "--model", "starter", *output_words(tmp_path)]
    assert run(*call).exit_code == 0
    whole = outputs(tmp_path)
    interrupted_after(270, *call)
    assert run(*call, "--resume").exit_code == 0
    assert outputs(tmp_path) == whole
