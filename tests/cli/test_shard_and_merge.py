"""`--shard` and `merge`: parts of a run, made anywhere, become the very output of one run."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from geolocate.cli import cli
from geolocate.cli.photo_paths import PhotoTotal
from geolocate.sharding.shard import Shard
from geolocate.writers import formats

SHARDS = 8
#: Those that this installation writes.
FORMATS = tuple(
    form for form in formats.FORMATS if form not in formats.EXTRAS or find_spec(formats.EXTRAS[form][0])
)
#: Those that can be parts.
READABLE = tuple(form for form in FORMATS if form in ("csv", "jsonl", "parquet"))
OPTIONS = ("--model", "starter", "-k", "3")


def draw(path: Path, seed: int) -> None:
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks).resize((64, 48)).save(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path) -> Path:
    """Photos in nested folders, some with EXIF: copies, links, files that are none, names of any bytes."""
    folder = tmp_path_factory.mktemp("shards") / "photos"
    for number in range(40):
        path = folder / f"day{number // 9}" / f"{number:03}.jpg"
        draw(path, number)
        if number % 10 == 7:
            path.write_bytes(b"no photo")
        if number % 6 == 5:
            shutil.copy(
                folder / f"day{(number - 5) // 9}" / f"{number - 5:03}.jpg", folder / f"copy{number}.jpg"
            )
    shutil.copytree(drawn_photos, folder / "drawn")
    (folder / "link.jpg").symlink_to(folder / "day0" / "001.jpg")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    draw(folder / "day1" / "=1+1, 'really'.jpg", 1000)
    if sys.platform == "linux":  # where names are bytes
        for number, name in enumerate(("\udcff.jpg", "a\nb.jpg", "caf\udce9.jpg")):
            draw(folder / "day2" / name, 2000 + number)
    return folder


def run(*words: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, [os.fspath(word) for word in words], input=stdin)  # type: ignore[call-overload]


def outputs(folder: Path, name: str, forms: Iterable[str] = FORMATS) -> list[str]:
    return [word for form in forms for word in (f"--{form}", os.fspath(folder / f"{name}.{form}"))]


def parts(folder: Path, form: str = "csv", count: int = SHARDS) -> list[Path]:
    return [folder / f"{index}.{form}" for index in range(1, count + 1)]


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of one run, `whole.*`."""
    folder = tmp_path_factory.mktemp("whole")
    result = run(photos, *OPTIONS, *outputs(folder, "whole"))
    assert result.exit_code == 3, result.stderr
    return folder


@pytest.fixture(scope="module")
def shards(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of eight, `1.*` to `8.*`."""
    folder = tmp_path_factory.mktemp("parts")
    for index in range(1, SHARDS + 1):
        result = run(photos, *OPTIONS, "--shard", f"{index}/{SHARDS}", *outputs(folder, str(index), READABLE))
        assert result.exit_code in (0, 3), result.stderr
    return folder


@pytest.fixture
def mine(shards: Path, tmp_path: Path) -> Path:
    """A copy of the parts, to be damaged."""
    return Path(shutil.copytree(shards, tmp_path / "parts"))


@pytest.mark.parametrize("form", READABLE)
def test_eight_shards_merged_are_byte_for_byte_one_run_in_every_format(
    whole: Path, shards: Path, tmp_path: Path, form: str
) -> None:
    disorder = parts(shards, form)[::-1]
    result = run("merge", *disorder, *outputs(tmp_path, "all"))
    assert result.exit_code == 0, result.stderr
    for wanted in FORMATS:
        assert (tmp_path / f"all.{wanted}").read_bytes() == (whole / f"whole.{wanted}").read_bytes(), wanted


def test_parts_of_different_formats_go_together(whole: Path, shards: Path) -> None:
    forms = itertools.cycle(READABLE)
    mixed = [path.with_suffix(f".{form}") for path, form in zip(parts(shards), forms, strict=False)]
    assert run("merge", *mixed, "--csv", "-").stdout_bytes == (whole / "whole.csv").read_bytes()


def test_the_manifest_of_the_whole_says_what_it_was_merged_from(
    whole: Path, shards: Path, tmp_path: Path
) -> None:
    assert run("merge", *parts(shards), "--csv", tmp_path / "all.csv").exit_code == 0
    manifest = json.loads((tmp_path / "all.csv.manifest.json").read_text(encoding="utf-8"))
    of_one = json.loads((whole / "whole.csv.manifest.json").read_text(encoding="utf-8"))
    merged = manifest.pop("merged")
    assert manifest == of_one
    assert [part["shard"] for part in merged] == [f"{index}/8" for index in range(1, 9)]
    assert sum(part["photos"] for part in merged) == of_one["photos"]
    assert all(part["photos"] for part in merged)


def test_one_output_becomes_another_format(whole: Path, tmp_path: Path) -> None:
    result = run("merge", whole / "whole.jsonl", "--csv", tmp_path / "a.csv", "--kml", tmp_path / "a.kml")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "a.csv").read_bytes() == (whole / "whole.csv").read_bytes()
    assert (tmp_path / "a.kml").read_bytes() == (whole / "whole.kml").read_bytes()


def refused(result: Result, said: str, status: int = 2) -> None:
    assert result.exit_code == status, result.stderr
    assert said in " ".join(result.stderr.split())
    assert not result.stdout


def test_what_is_missing_or_there_twice_is_named(shards: Path) -> None:
    there = parts(shards)
    refused(run("merge", *there[:2], *there[3:]), "shard 3 of 8 is missing")
    refused(run("merge", *there[4:]), "shards 1, 2, 3, 4 of 8 are missing")
    refused(run("merge", *there, there[2]), "shard 3/8 is there twice: ")
    refused(run("merge", *there, shards / "3.jsonl"), f"{shards / '3.jsonl'}")
    refused(run("merge", there[0]), "shards 2, 3, 4, 5, 6, 7, 8 of 8 are missing")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["-k", "2"], "top_k was 3 and is 2"),
        (["--no-exif"], "exif was true and is false"),
        (["--near", "1,2,3000"], "near was null and is [1.0, 2.0, 3000.0]"),
    ],
)
def test_a_shard_of_another_run_is_refused_and_says_in_what(
    photos: Path, mine: Path, changes: list[str], said: str
) -> None:
    run(photos, *OPTIONS, *changes, "--shard", "3/8", "--csv", mine / "3.csv")
    refused(run("merge", *parts(mine)), said)


def test_a_gallery_that_changed_under_its_name_is_another_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    gallery = tmp_path / "gallery.csv"
    for index, points in ((1, "1,2\n3,4\n"), (2, "1,2\n3,5\n")):
        gallery.write_text(f"LAT,LON\n{points}", encoding="utf-8")
        call = (photos / "day0", *OPTIONS, "--gallery", gallery, "--shard", f"{index}/2")
        run(*call, "--csv", tmp_path / f"{index}.csv")
    refused(run("merge", *parts(tmp_path, count=2)), "gallery_sha256")


def test_a_shard_of_other_photos_or_another_number_of_shards_is_refused(
    photos: Path, mine: Path, whole: Path
) -> None:
    run(photos / "day1", *OPTIONS, "--shard", "3/8", "--csv", mine / "3.csv")
    refused(run("merge", *parts(mine)), "inputs")
    run(photos, *OPTIONS, "--shard", "3/9", "--csv", mine / "3.csv")
    refused(run("merge", *parts(mine)), "there were 8 shards and are 9")
    refused(run("merge", *parts(mine)[:2], whole / "whole.csv"), "is the output of a whole run")


def test_photos_that_came_between_the_runs_are_noticed(tmp_path: Path) -> None:
    for number in range(6):
        draw(tmp_path / "p" / f"{number}.jpg", number)
    run(tmp_path / "p", *OPTIONS, "--shard", "1/2", "--csv", tmp_path / "1.csv")
    draw(tmp_path / "p" / "new.jpg", 7)
    run(tmp_path / "p", *OPTIONS, "--shard", "2/2", "--csv", tmp_path / "2.csv")
    refused(run("merge", tmp_path / "1.csv", tmp_path / "2.csv"), "6 were found then and 7 now")


@pytest.mark.parametrize("form", READABLE)
def test_a_part_that_was_cut_off_or_edited_is_refused(mine: Path, form: str) -> None:
    part = mine / f"3.{form}"
    data = part.read_bytes()
    part.write_bytes(data[: len(data) // 2])
    refused(run("merge", *parts(mine, form)), "is cut off", 1)
    part.write_bytes(data.replace(b"starter", b"better!"))
    refused(run("merge", *parts(mine, form)), "has changed since it was written", 1)
    part.unlink()
    refused(run("merge", *parts(mine, form)), "no such file")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("shard", "ordinals"), "x", "damaged"),
        (("shard", "ordinals"), None, "ordinals"),
        (("shard", "index"), 9, "index"),
        (("shard", "index"), 4, "there twice"),
        (("shard", "of"), 0, "of"),
        (("shard", "listed"), 5, "other photos"),
        (("shard",), [], "shard"),
        (("photos",), 3, "damaged"),
        (("photos",), -1, "photos"),
        (("file", "sha256"), "0" * 64, "has changed"),
        (("file",), None, "file"),
        (("options",), {"top_k": [[]]}, "another run"),
    ],
)
def test_a_manifest_that_was_tampered_with_is_refused(
    mine: Path, path: tuple[str, ...], value: object, said: str
) -> None:
    file = mine / "3.csv.manifest.json"
    manifest = inner = json.loads(file.read_text(encoding="utf-8"))
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(json.dumps(manifest), encoding="utf-8")
    result = run("merge", *parts(mine))
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert not result.stdout


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"photos": 1e999}'])
def test_what_is_no_manifest_is_refused(mine: Path, content: bytes) -> None:
    (mine / "3.csv.manifest.json").write_bytes(content)
    refused(run("merge", *parts(mine)), "is no manifest of an output", 1)


def test_parts_without_manifests_are_sorted_by_path_and_each_photo_is_there_once(
    whole: Path, mine: Path, tmp_path: Path
) -> None:
    for file in mine.glob("*.manifest.json"):
        file.unlink()
    refused(run("merge", *parts(mine)), "--by-path takes it all the same")
    result = run("merge", "--by-path", *parts(mine)[::-1], mine / "3.jsonl", "--csv", tmp_path / "all.csv")
    assert result.exit_code == 0, result.stderr
    assert "nothing tells whether one is missing" in result.stderr
    assert "repeats of photos that are there already" in result.stderr
    assert (tmp_path / "all.csv").read_bytes() == (whole / "whole.csv").read_bytes()


def test_of_a_photo_that_failed_somewhere_the_other_rows_count(mine: Path) -> None:
    header = (mine / "1.csv").read_text(encoding="utf-8").splitlines()[0]
    (mine / "a.csv").write_text(f"{header}\nx.jpg,,,,,,,,,,,,,,,,,no disk\n", encoding="utf-8")
    (mine / "b.csv").write_text(f"{header}\nx.jpg,1,1,2,0.5,,,,,,,,,,,,,\n", encoding="utf-8")
    merged = run("merge", "--by-path", mine / "a.csv", mine / "b.csv").stdout
    assert merged.splitlines()[1:] == ["x.jpg,1,1.000000,2.000000,0.5,,,,,,,,,,,,,"]


def test_an_unfinished_shard_says_so(mine: Path) -> None:
    (mine / "3.csv.manifest.json").unlink()
    (mine / "3.csv.journal").write_bytes(b"x")
    refused(run("merge", *parts(mine)), "is not complete: its command with --resume goes on with it")


def test_no_output_replaces_a_part_or_its_manifest(mine: Path) -> None:
    before = (mine / "2.csv").read_bytes()
    refused(run("merge", *parts(mine), "--csv", mine / "2.csv"), "which this run reads")
    refused(run("merge", *parts(mine), "--jsonl", mine / "2.csv.manifest.json"), "which this run reads")
    assert (mine / "2.csv").read_bytes() == before


def test_a_merge_that_was_interrupted_leaves_nothing_in_the_way_of_the_next(
    whole: Path, mine: Path, tmp_path: Path, interrupted_after: Callable[..., Result]
) -> None:
    call = ("merge", *parts(mine), *outputs(tmp_path, "all"))
    there = sorted(tmp_path.rglob("*"))
    interrupted_after(30, *call)
    assert sorted(tmp_path.rglob("*")) == there
    assert run(*call).exit_code == 0
    assert (tmp_path / "all.csv").read_bytes() == (whole / "whole.csv").read_bytes()


def test_a_shard_that_was_interrupted_goes_on_and_no_other_takes_its_place(
    photos: Path, shards: Path, tmp_path: Path, interrupted_after: Callable[..., Result]
) -> None:
    call = (photos, *OPTIONS, *outputs(tmp_path, "3", READABLE))
    interrupted_after(3, *call, "--shard", "3/8")
    refused(run(*call, "--shard", "2/8", "--resume"), 'shard was "3/8" and is "2/8"')
    refused(run(*call, "--resume"), 'shard was "3/8" and is null')
    again = run(*call, "--shard", "3/8", "--resume")
    assert again.exit_code in (0, 3), again.stderr
    for name in (path.name for path in shards.glob("3.*")):
        assert (tmp_path / name).read_bytes() == (shards / name).read_bytes(), name


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_shard_that_was_killed_goes_on(photos: Path, shards: Path, tmp_path: Path) -> None:
    target = tmp_path / "3.csv"
    command = [sys.executable, "-m", "geolocate", os.fspath(photos), *OPTIONS, "--shard", "3/8"]
    command += ["--csv", os.fspath(target), "--batch-size", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as program:
        deadline = time.monotonic() + 60
        journal = tmp_path / "3.csv.journal"
        while time.monotonic() < deadline and program.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") > 2:
                break
            time.sleep(0.002)
        program.kill()
    run(photos, *OPTIONS, "--shard", "3/8", "--csv", target, "--resume")
    assert target.read_bytes() == (shards / "3.csv").read_bytes()
    manifests = [json.loads((place / "3.csv.manifest.json").read_bytes()) for place in (tmp_path, shards)]
    assert manifests[0] == manifests[1]


def test_shards_that_go_on_after_photos_came_still_give_the_order_of_one_run(
    tmp_path: Path, interrupted_after: Callable[..., Result]
) -> None:
    for number in range(0, 40, 2):
        draw(tmp_path / "p" / f"{number:02}.jpg", number)
    calls = [
        (tmp_path / "p", *OPTIONS, "--shard", f"{index}/2", "--csv", tmp_path / f"{index}.csv")
        for index in (1, 2)
    ]
    for call in calls:
        interrupted_after(6, *call)
    for number in range(1, 40, 2):
        draw(tmp_path / "p" / f"{number:02}.jpg", number)
    for call in calls:
        assert run(*call, "--resume").exit_code == 0
    whole = run(tmp_path / "p", *OPTIONS, "--csv", "-").stdout_bytes
    assert run("merge", tmp_path / "1.csv", tmp_path / "2.csv").stdout_bytes == whole


def test_a_photo_that_went_away_after_it_was_done_has_no_place(
    tmp_path: Path, interrupted_after: Callable[..., Result]
) -> None:
    for number in range(20):
        draw(tmp_path / "p" / f"{number:02}.jpg", number)
    names = sorted(path.name for path in (tmp_path / "p").iterdir())
    own = [name for name in names if Shard(1, 2).holds(name.encode())]
    call = (tmp_path / "p", *OPTIONS, "--shard", "1/2", "--csv", tmp_path / "1.csv")
    interrupted_after(3, *call)
    (tmp_path / "p" / own[0]).unlink()
    assert run(*call, "--resume").exit_code == 0
    assert run(tmp_path / "p", *OPTIONS, "--shard", "2/2", "--csv", tmp_path / "2.csv").exit_code == 0
    refused(
        run("merge", tmp_path / "1.csv", tmp_path / "2.csv"), "photos that were gone when its run was resumed"
    )
    merged = run("merge", "--by-path", tmp_path / "1.csv", tmp_path / "2.csv").stdout
    assert len({row["photo"] for row in csv.DictReader(merged.splitlines())}) == 20


def test_a_list_on_standard_input_is_cut_into_shards_too(photos: Path, tmp_path: Path) -> None:
    names = [os.fsencode(path) for path in sorted((photos / "day1").iterdir())]
    listed = b"\0".join([*names, b"missing.jpg", *names[:4], os.fsencode(photos / "day0")])
    call = ("-0", "-", *OPTIONS)
    for index in (1, 2, 3):
        run(*call, "--shard", f"{index}/3", "--csv", tmp_path / f"{index}.csv", stdin=listed)
    merged = run("merge", *parts(tmp_path, count=3)).stdout_bytes
    assert merged == run(*call, "--csv", "-", stdin=listed).stdout_bytes
    assert merged


def test_the_same_photos_are_in_a_shard_on_every_mount(photos: Path, tmp_path: Path) -> None:
    there = tmp_path / "mnt" / "archive"
    shutil.copytree(photos / "day1", there)
    for index, folder in ((1, photos / "day1"), (2, there)):
        run(f"{folder}/", *OPTIONS, "--shard", f"{index}/2", "--csv", tmp_path / f"{index}.csv")
    refused(run("merge", tmp_path / "1.csv", tmp_path / "2.csv"), "inputs differs")
    merged = run("merge", "--any-mount", tmp_path / "1.csv", tmp_path / "2.csv")
    assert merged.exit_code == 0, merged.stderr
    found = [os.path.basename(row["photo"]) for row in csv.DictReader(merged.stdout.splitlines(True))]
    assert len(set(found)) == len(list(there.iterdir()))


def test_rows_of_features_are_cut_into_shards_by_their_number(tmp_path: Path) -> None:
    from geolocate.bundle import load_bundle

    features = np.random.default_rng(3).normal(size=(300, load_bundle("starter").manifest.feature_dim))
    np.save(tmp_path / "f.npy", features.astype(np.float32))
    call = ("--features", tmp_path / "f.npy", "--model", "starter")
    for index in (1, 2, 3):
        run(*call, "--shard", f"{index}/3", "--csv", tmp_path / f"{index}.csv")
    assert (
        (tmp_path / "2.csv").read_text(encoding="utf-8").splitlines()[1].startswith(f"{tmp_path}/f.npy#100,")
    )
    assert run("merge", *parts(tmp_path, count=3)).stdout_bytes == run(*call, "--csv", "-").stdout_bytes


def test_an_album_knows_the_neighbours_in_other_shards(drawn_photos: Path, tmp_path: Path) -> None:
    call = (drawn_photos, *OPTIONS, "--album")
    for index in (1, 2, 3):
        run(*call, "--shard", f"{index}/3", "--csv", tmp_path / f"{index}.csv")
    assert run("merge", *parts(tmp_path, count=3)).stdout_bytes == run(*call, "--csv", "-").stdout_bytes


def test_a_shard_without_photos_is_a_part_too(drawn_photos: Path, tmp_path: Path) -> None:
    count = 40
    for index in range(1, count + 1):
        result = run(
            drawn_photos, *OPTIONS, "--shard", f"{index}/{count}", "--csv", tmp_path / f"{index}.csv"
        )
        if f"no photos in shard {index}/{count}" in result.stderr:
            break
    else:
        raise AssertionError("no shard is empty")
    assert json.loads((tmp_path / f"{index}.csv.manifest.json").read_bytes())["photos"] == 0


def test_the_progress_line_counts_the_photos_of_the_shard_alone(photos: Path) -> None:
    def counted(part: Shard | None) -> int:
        total = PhotoTotal((os.fspath(photos),), part=part)
        deadline = time.monotonic() + 60
        while (count := total()) is None and time.monotonic() < deadline:
            time.sleep(0.001)
        assert count is not None
        return count

    sizes = [counted(Shard(index, 8)) for index in range(1, 9)]
    assert sum(sizes) == counted(None)
    assert max(sizes) < counted(None)


@pytest.mark.parametrize("text", ["0/8", "9/8", "8", "x"])
def test_what_is_no_shard_is_refused_before_any_work(photos: Path, tmp_path: Path, text: str) -> None:
    refused(run(photos, "--shard", text, "--csv", tmp_path / "a.csv"), "is no shard")
    assert list(tmp_path.iterdir()) == []


def test_the_environment_sets_no_shard(photos: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOLOCATE_SHARD", "1/8")
    assert run(photos, *OPTIONS, "--csv", "-").stdout_bytes == (whole / "whole.csv").read_bytes()
