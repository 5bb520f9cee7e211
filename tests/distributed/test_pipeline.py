"""Rows of a cluster are those of one machine, whatever happens to its processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from distributed_jobs import TOP_K, Job, job_of

from geolocate import Geolocator
from geolocate.distributed.cluster import Pool
from geolocate.distributed.partitions import finished_partitions, part_name
from geolocate.distributed.pipeline import run_partitions
from geolocate.errors import ClusterError, OutputError
from geolocate.writers.parquet import ParquetWriter
from geolocate.writers.target import FileTarget


def run(job: Job, pool: Pool, todo: range | list[int] | None = None) -> Iterator[int]:
    """Yields the partitions as they are finished."""
    todo = range(job.plan.partitions) if todo is None else todo
    for partition in run_partitions(job.store, job.plan, todo, pool, job.decoding, job.locating):
        yield partition.partition


def rows_of_job(output: Path, partitions: int) -> arrow.Table:
    parts = [parquet.read_table(output / part_name(index)) for index in range(partitions)]
    return arrow.concat_tables([part.replace_schema_metadata(None) for part in parts])


def rows_of_one_machine(photos: Path, file: Path) -> arrow.Table:
    writer = ParquetWriter(FileTarget(file))
    for prediction in Geolocator.load("starter", device="cpu").locate([photos], top_k=TOP_K):
        writer.write(prediction)
    writer.close()
    return parquet.read_table(file).replace_schema_metadata(None)


def contents(output: Path, plan_partitions: int) -> list[bytes]:
    return [(output / part_name(index)).read_bytes() for index in range(plan_partitions)]


def test_copies_failures_and_odd_names_get_the_rows_of_one_machine(
    mixed_photos: Path, tmp_path: Path, pool: Pool
) -> None:
    job = job_of(mixed_photos, tmp_path / "out", 10)  # smaller than a block, and no divisor of the photos
    assert list(run(job, pool)) == list(range(job.plan.partitions))
    expected = rows_of_one_machine(mixed_photos, tmp_path / "one.parquet")
    rows = rows_of_job(tmp_path / "out", job.plan.partitions)
    assert rows.equals(expected)
    notes = rows["notes"].to_pylist()
    assert sum("duplicate" in (note or "") for note in notes) == 4 * TOP_K
    assert sum(error is not None for error in rows["error"].to_pylist()) == 3


def test_real_photos_get_the_rows_of_one_machine(real_photos: Path, tmp_path: Path, pool: Pool) -> None:
    job = job_of(real_photos, tmp_path / "out", 150)  # several blocks and a rest
    assert list(run(job, pool)) == list(range(job.plan.partitions))
    expected = rows_of_one_machine(real_photos, tmp_path / "one.parquet")
    assert rows_of_job(tmp_path / "out", job.plan.partitions).equals(expected)


def test_an_actor_killed_in_the_middle_changes_nothing(
    mixed_photos: Path, tmp_path: Path, pool: Pool
) -> None:
    job = job_of(mixed_photos, tmp_path / "out", 4)
    partitions = run(job, pool)
    assert next(partitions) == 0
    killed = processes_named("MapWorker(MapBatches(Locate))")
    assert killed
    os.kill(killed[0], signal.SIGKILL)
    assert list(partitions) == list(range(1, job.plan.partitions))
    expected = rows_of_one_machine(mixed_photos, tmp_path / "one.parquet")
    assert rows_of_job(tmp_path / "out", job.plan.partitions).equals(expected)


def processes_named(words: str) -> list[int]:
    """Ids of the processes below this one whose command line holds the words."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_text(errors="replace")
        except OSError:
            continue
        if words in command and os.getpid() in ancestors(int(entry.name)):
            found.append(int(entry.name))
    return found


def ancestors(process: int) -> Iterator[int]:
    while process > 1:
        try:
            stat = Path(f"/proc/{process}/stat").read_text(errors="replace")
        except OSError:
            return
        process = int(stat[stat.rindex(")") + 2 :].split()[1])
        yield process


def test_only_what_is_left_to_do_is_done_and_twice_gives_the_same_bytes(
    mixed_photos: Path, tmp_path: Path, pool: Pool
) -> None:
    job = job_of(mixed_photos, tmp_path / "out", 20)
    assert list(run(job, pool)) == [0, 1, 2]
    before = contents(tmp_path / "out", 3)
    states = [(tmp_path / "out" / part_name(index)).stat() for index in range(3)]
    (tmp_path / "out" / part_name(1)).unlink()
    left = [index for index in range(3) if index not in finished_partitions(job.store, job.plan)]
    assert left == [1]
    assert list(run(job, pool, left)) == [1]
    assert contents(tmp_path / "out", 3) == before
    assert (tmp_path / "out" / part_name(2)).stat().st_ino == states[2].st_ino


def test_isolated_decoders_give_the_same_rows(mixed_photos: Path, tmp_path: Path, pool: Pool) -> None:
    job = job_of(mixed_photos, tmp_path / "out", 60)
    options = replace(job.decoding.options, isolate=True)
    isolated = replace(job, decoding=replace(job.decoding, options=options))
    assert list(run(isolated, pool)) == [0]
    expected = rows_of_one_machine(mixed_photos, tmp_path / "one.parquet")
    assert rows_of_job(tmp_path / "out", 1).equals(expected)


@pytest.mark.parametrize("what", ["folder", "input", "bundle", "store"])
def test_a_machine_that_differs_ends_the_job_and_says_in_what(
    what: str, mixed_photos: Path, tmp_path: Path, pool: Pool
) -> None:
    job = job_of(mixed_photos, tmp_path / "out", 60)
    match what:
        case "folder":
            job = replace(job, decoding=replace(job.decoding, folder="/no/such/folder"))
        case "input":
            job = replace(job, decoding=replace(job.decoding, inputs=("/no/such/photos",)))
        case "bundle":
            job = replace(job, locating=replace(job.locating, sha256="0" * 64))
        case "store":
            (tmp_path / "out" / part_name(0)).mkdir()
            with pytest.raises(OutputError, match="cannot write"):
                list(run(job, pool))
            return
    with pytest.raises(ClusterError, match=r"^machine .* (does not see|has another bundle)"):
        list(run(job, pool))


def test_the_cluster_listens_on_loopback_alone_and_reports_to_nobody(pool: Pool) -> None:
    from ray._common.usage.usage_lib import usage_stats_enabled

    assert not usage_stats_enabled()
    inodes = set()
    for process in processes_named(""):
        for descriptor in Path(f"/proc/{process}/fd").glob("*"):
            try:
                link = os.readlink(descriptor)
            except OSError:
                continue
            inodes.add(link.removeprefix("socket:[").removesuffix("]"))
    listening = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                listening[words[1]] = table
    assert listening
    loopback = ("0100007F:", "0000000000000000FFFF00000100007F:", "00000000000000000000000001000000:")
    assert [address for address in listening if not address.startswith(loopback)] == []
