"""Cores and memory: what the process may use, not what the machine has."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from geolocate import machine

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the system's files of a made-up machine of eight processors, two a core."""
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(machine, "_CPU_TOPOLOGY", tmp_path / "cpu")
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def put(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    for cpu in range(8):
        put(f"cpu/cpu{cpu}/topology/thread_siblings_list", f"{cpu % 4},{cpu % 4 + 4}\n")
    return put


def test_two_processors_of_one_core_are_one_core(write: Write) -> None:
    assert (machine.usable_cpus(), machine.usable_cores()) == (8, 4)


def test_affinity_leaves_what_it_leaves(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 4, 1}, raising=False)
    assert (machine.usable_cpus(), machine.usable_cores()) == (3, 2)


@pytest.mark.parametrize(("quota", "cpus"), [("max 100000", 8), ("150000 100000", 2), ("20000 100000", 1)])
def test_a_container_of_version_2_limits_processors(write: Write, quota: str, cpus: int) -> None:
    write("own", "0::/box/inner\n")
    write("cgroup/box/cpu.max", quota)
    assert machine.usable_cpus() == cpus
    assert machine.usable_cores() == min(cpus, 4)


@pytest.mark.parametrize(("quota", "cpus"), [("-1", 8), ("250000", 3)])
def test_a_container_of_version_1_limits_processors(write: Write, quota: str, cpus: int) -> None:
    write("own", "3:cpu,cpuacct:/box\n2:memory:/box\n")
    write("cgroup/cpu/box/cpu.cfs_quota_us", quota)
    write("cgroup/cpu/box/cpu.cfs_period_us", "100000")
    assert machine.usable_cpus() == cpus


def test_memory_is_the_least_that_any_limit_leaves(write: Write) -> None:
    assert machine.available_memory() is None
    write("meminfo", "MemTotal: 2048 kB\nMemAvailable: 1024 kB\n")
    assert machine.available_memory() == 2**20
    write("own", "0::/box\n")
    write("cgroup/box/memory.max", "max")
    write("cgroup/box/memory.current", "4096")
    assert machine.available_memory() == 2**20
    write("cgroup/memory.max", "100000")
    write("cgroup/memory.current", "40000")
    assert machine.available_memory() == 60_000
    write("cgroup/memory.stat", "anon 1000\ninactive_file 15000\n")
    assert machine.available_memory() == 75_000, "files that are only cached are given up"
    write("cgroup/memory.current", "140000")
    assert machine.available_memory() == 0


def test_a_system_that_tells_nothing_counts_its_processors(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_CPU_TOPOLOGY", tmp_path / "nothing")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert (machine.usable_cpus(), machine.usable_cores(), machine.available_memory()) == (6, 6, None)
