"""Full disks, failing disks, kills: every file is what it was or what it becomes, and undo gives all back."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tagging.tagged_folders import DARKTABLE, LIGHTROOM, contents, draw, prediction, tag, write_results

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "scripts" / "kill_and_tag.py"
COUNT = 200

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks of POSIX")
needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs the program exiftool")
#: The right to mount, and where mounts are listed.
CAN_MOUNT = sys.platform == "linux" and os.geteuid() == 0


def broken_at_every_step(tmp_path: Path, way: str, fault: str, *sidecars: bytes | None) -> int:
    """How many steps there were; each was broken once."""
    folder = tmp_path / "photos"
    for number, sidecar in enumerate(sidecars):
        draw(folder / f"{number}.jpg", number)
        if sidecar is not None:
            (folder / f"{number}.jpg.xmp").write_bytes(sidecar)
    names = [f"{number}.jpg" for number in range(len(sidecars))]
    results = write_results(tmp_path / "out.csv", map(prediction, names))
    words = [sys.executable, HERE / "broken_at_every_step.py", folder, results, way, fault]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("fault", ["killed", "full", "failing"])
def test_sidecars_broken_off_at_every_single_step(fault: str, tmp_path: Path) -> None:
    assert broken_at_every_step(tmp_path, "", fault, None, DARKTABLE) > 30


@needs_exiftool
@pytest.mark.parametrize("fault", ["killed", "full"])
def test_photos_broken_off_at_every_single_step(fault: str, tmp_path: Path) -> None:
    assert broken_at_every_step(tmp_path, "--in-place", fault, None) > 20


@pytest.fixture
def two_hundred(tmp_path: Path) -> Path:
    """Results of 200 photos, some with sidecars of other programs, in `photos` beside them."""
    for number in range(COUNT):
        path = draw(tmp_path / "photos" / f"{number:03}.jpg", number)
        if sidecar := (None, None, DARKTABLE, LIGHTROOM)[number % 4]:
            path.with_name(path.name + ".xmp").write_bytes(sidecar)
    return write_results(tmp_path / "out.csv", [prediction(f"{number:03}.jpg") for number in range(COUNT)])


def test_200_files_on_a_disk_that_fails_at_random(two_hundred: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = two_hundred.parent / "photos"
    before = contents(folder)
    assert tag(folder, two_hundred, "--write").exit_code == 0
    after = {name: content for name, (content, _, _) in contents(folder).items()}
    assert tag(folder, two_hundred, "--undo").exit_code == 0
    assert contents(folder) == before
    chance = random.Random(8)

    def at_random(name: str) -> Any:
        real = getattr(os, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            if chance.random() < 0.02:
                number = chance.choice((errno.ENOSPC, errno.EIO))
                if name == "write":
                    real(arguments[0], arguments[1][: chance.randrange(len(arguments[1]) + 1)])
                raise OSError(number, os.strerror(number))
            return real(*arguments, **keywords)

        return call

    failed = runs = 0
    for undoing in (False, True):
        status = 1
        while status:
            runs += 1
            with monkeypatch.context() as patched:
                for name in ("write", "fsync", "link", "replace", "fchmod"):
                    patched.setattr(os, name, at_random(name))
                done = tag(folder, two_hundred, "--undo" if undoing else "--write")
            status = done.exit_code
            failed += done.stdout.count("failed  ")
            assert status in (0, 1, 3), done.stderr
            for name, (content, _, _) in contents(folder).items():
                assert content in (before.get(name, (None,))[0], after[name]), name
            assert before.keys() <= contents(folder).keys() <= after.keys()
        if not undoing and shutil.which("exiftool"):
            assert positions(folder) == {(46.5, 8.25)}
    assert failed > 5
    assert runs > 2
    assert contents(folder) == before


def positions(folder: Path) -> set[tuple[float, float]]:
    """All that exiftool reads in sidecars, to 1e-5 degree."""
    words = ["exiftool", "-n", "-json", "-GPSLatitude", "-GPSLongitude", "-ext", "xmp", folder]
    found = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    assert len(found) == COUNT
    return {(round(each["GPSLatitude"], 5), round(each["GPSLongitude"], 5)) for each in found}


@pytest.mark.skipif(not CAN_MOUNT, reason="needs the right to mount a small disk")
def test_200_files_on_a_disk_that_is_really_full(two_hundred: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        folder = disk / "photos"
        shutil.copytree(two_hundred.parent / "photos", folder)
        results = Path(shutil.copy(two_hundred, tmp_path / "far.csv"))
        before = contents(folder)
        filler = disk / "filler"
        filler.write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize - 100_000))
        done = tag(folder, results, "--write")
        assert done.exit_code == 3
        assert "No space left on device" in done.stdout
        assert "wrote" in done.stdout
        for name, (content, _, _) in contents(folder).items():
            assert name not in before or content == before[name][0] or b"geolocate estimate" in content
        filler.unlink()
        assert tag(folder, results, "--write").exit_code == 0
        assert tag(folder, results, "--undo").exit_code == 0
        assert contents(folder) == before
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("way", [(), pytest.param(("--in-place",), marks=needs_exiftool)])
def test_200_files_killed_at_random(way: tuple[str, ...]) -> None:
    photos, kills = ("8", "3") if way else ("200", "12")
    words = [sys.executable, SCRIPT, "--photos", photos, "--kills", kills, "--seed", "8", *way]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills" in done.stdout
    assert "as it was" in done.stdout


def test_two_runs_at_once_are_refused(two_hundred: Path) -> None:
    from geolocate.tagging.change_log import ChangeLog

    log = ChangeLog(os.fspath(two_hundred))
    try:
        refused = tag(two_hundred.parent / "photos", two_hundred, "--write")
    finally:
        log.close()
    assert refused.exit_code == 2
    assert "another run" in refused.stderr
