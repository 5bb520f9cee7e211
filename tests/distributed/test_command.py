"""`geolocate distributed` as a user calls it."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner

from geolocate.cli import cli
from geolocate.distributed.plan import read_plan, write_plan
from geolocate.distributed.store import Folder

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "geolocate", "distributed"]


def parts(output: Path) -> dict[str, tuple[int, int]]:
    """What tells a file that was written from one that was written again."""
    states = {path.name: path.stat() for path in output.glob("part-*.parquet")}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}


def rows(files: list[Path]) -> arrow.Table:
    return arrow.concat_tables([parquet.read_table(file).replace_schema_metadata(None) for file in files])


def ended_at(words: list[str], environment: dict[str, str], output: Path, finished: int, end: int) -> str:
    """Begins a job, ends its process group when so many partitions are finished, and gives its messages."""
    job = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True, errors="replace"
    )
    try:
        deadline = time.monotonic() + 300
        while len(list(output.glob("part-*.json"))) < finished:
            assert job.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(job.pid, end)
        said = job.communicate()[1]
    assert job.returncode == (130 if end != signal.SIGKILL else -end)
    return said


def test_a_job_that_was_killed_goes_on_and_does_no_finished_partition_twice(
    mixed_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, photos = tmp_path / "out", tmp_path / os.fsdecode(b"photos \xff")
    photos.symlink_to(mixed_photos)
    words = [*COMMAND, "--partition-size", "5", os.fspath(photos), os.fspath(output)]
    # Nobody listens at that address: a cluster of our own is meant.
    environment = os.environ | {"HOME": os.fspath(tmp_path), "RAY_ADDRESS": "127.0.0.1:9"}
    ended_at(words, environment, output, 3, signal.SIGKILL)
    earlier = set(Path("/tmp").glob("geolocate-ray-*"))
    said = ended_at(words, environment, output, 5, signal.SIGTERM)
    assert said.splitlines()[-2:] == [
        "geolocate: finished partitions are kept; the same command goes on",
        "geolocate: interrupted",
    ]
    assert set(Path("/tmp").glob("geolocate-ray-*")) <= earlier
    assert not (output / "manifest.json").exists()
    finished = {path.with_suffix(".parquet").name for path in output.glob("part-*.json")}
    before = parts(output)

    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert not (tmp_path / ".ray").exists()
    assert (done.returncode, done.stdout) == (3, "")  # some photos fail, and nothing else is printed there
    assert "partitions are finished" in done.stderr
    assert "ray" not in done.stderr.lower()
    after = parts(output)
    assert len(after) == read_plan(Folder(output)).partitions > len(finished)
    assert {name: after[name] for name in finished} == {name: before[name] for name in finished}
    manifest = json.loads((output / "manifest.json").read_text())
    assert (manifest["photos"], manifest["failed"]) == (52, 3)

    single = tmp_path / "one.parquet"
    subprocess.run(
        [sys.executable, "-m", "geolocate", "-q", "--parquet", single, photos],
        check=False,
    )
    assert rows(sorted(output.glob("part-*.parquet"))).equals(rows([single]))

    again = subprocess.run(words, capture_output=True, text=True)
    assert (again.returncode, parts(output)) == (3, after)
    assert "is complete; --overwrite starts anew" in again.stderr

    # What says that all is there goes before anything is done again.
    (output / "part-000002.parquet").unlink()
    monkeypatch.setattr("geolocate.distributed.cluster.started", lambda pool: nullcontext())
    monkeypatch.setattr("geolocate.distributed.pipeline.run_partitions", lambda *words: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(cli, words[3:], catch_exceptions=False)
    assert not (output / "manifest.json").exists()


def call(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["distributed", *map(os.fspath, words)])
    return result.exit_code, " ".join(result.stderr.split())


def test_another_job_is_refused_and_it_says_in_what(drawn_photos: Path, tmp_path: Path) -> None:
    job = {"options": {"top_k": 1, "device": "cpu"}, "inputs": ["elsewhere"]}
    write_plan(Folder(tmp_path), job, iter(()), 10)
    status, said = call("-k", "5", drawn_photos, tmp_path)
    assert status == 2
    assert "holds another job" in said
    assert "top_k was 1 and is 5" in said
    assert "inputs" in said
    assert "--overwrite" in said


def test_a_folder_with_other_files_is_left_alone(drawn_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "part-000000.parquet").write_text("somebody's")
    for overwrite in ((), ("--overwrite",)):
        status, said = call(*overwrite, drawn_photos, tmp_path)
        assert status == 2
        assert "is not empty" in said
    assert (tmp_path / "part-000000.parquet").read_text() == "somebody's"
    assert call(drawn_photos, tmp_path / "part-000000.parquet")[0] == 2


def test_no_photos_are_a_complete_job_and_need_no_cluster(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    status, said = call(tmp_path / "empty", tmp_path / "out")
    assert (status, "no photos found" in said) == (0, True)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["partitions"] == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--csv", "x"], "geolocate merge"),
        (["--map", "x"], "geolocate merge"),
        (["--album"], "another machine"),
        (["--reference", "x"], "one machine"),
        (["--resume"], "the same command again"),
        (["--shard", "1/2"], "without one"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    words: list[str], reason: str, drawn_photos: Path, tmp_path: Path
) -> None:
    status, said = call(*words, drawn_photos, tmp_path / "out")
    assert (status, reason in said) == (2, True)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_called_so_is_a_usage_error(drawn_photos: Path, tmp_path: Path) -> None:
    assert call()[0] == 2
    assert call(tmp_path / "missing", tmp_path / "out") == (
        2,
        f"geolocate: no such file or folder: {tmp_path}/missing",
    )
    assert call("--geocoder", "nominatim", drawn_photos, tmp_path / "out")[0] == 2
    assert call(drawn_photos)[0] == 2


@pytest.mark.parametrize("address", ["local", "", "host", "ray://127.0.0.1:9", "127.0.0.1:x", ":1"])
def test_what_is_no_address_is_refused_before_ray_makes_something_of_it(
    address: str, drawn_photos: Path, tmp_path: Path
) -> None:
    status, said = call("--address", address, drawn_photos, tmp_path / "out")
    assert status == 2
    assert said.startswith("geolocate: --address is HOST:PORT or auto, not ")


def test_a_cluster_that_is_not_there_is_an_error_of_one_line(drawn_photos: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "-q", "--address", "127.0.0.1:9", os.fspath(drawn_photos), os.fspath(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("geolocate: no Ray cluster can be reached at 127.0.0.1:9")
    assert len(done.stderr.splitlines()) == 1


def test_without_the_extra_it_says_how_to_get_it(drawn_photos: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "PathFinder.find_spec = lambda name, *rest: None if name == 'ray' else find(name, *rest)\n"
        "from geolocate.cli import cli\n"
        f"cli.main(['distributed', {os.fspath(drawn_photos)!r}, {os.fspath(tmp_path / 'out')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'geolocate[ray]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_ray_is_imported_by_nothing_else() -> None:
    importing = set()
    for path in (ROOT / "geolocate").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "ray" for name in names):
                importing.add(path.relative_to(ROOT).as_posix())
    assert importing == {"geolocate/distributed/cluster.py"}


def test_a_plain_run_loads_neither_ray_nor_arrow(drawn_photos: Path) -> None:
    code = (
        "import sys; from geolocate.cli import cli\n"
        f"try: cli.main(['-q', '--csv', '-', {os.fspath(drawn_photos)!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "print([name for name in ('ray', 'pyarrow', 'fsspec') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
