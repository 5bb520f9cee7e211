"""What this process may use of the machine: cores and memory, with the limits of containers and affinity.

The system's own counts are those of the whole machine: 64 threads in a container of two cores wait for each
other, and memory that a container does not have ends in a kill.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CPU_TOPOLOGY = Path("/sys/devices/system/cpu")
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_MEMORY = Path("/proc/meminfo")


def usable_cpus() -> int:
    """Logical processors that this process may run on: its affinity, and the quota of its container."""
    return max(1, math.ceil(min(len(_affinity()), _cpu_quota())))


def usable_cores() -> int:
    """Cores among them: two logical processors of one core share what multiplies matrices.

    On systems that do not tell, every processor counts as a core.
    """
    cores = set()
    for cpu in _affinity():
        try:
            cores.add((_CPU_TOPOLOGY / f"cpu{cpu}/topology/thread_siblings_list").read_text())
        except OSError:
            return usable_cpus()
    return max(1, min(len(cores), usable_cpus()))


def available_memory() -> int | None:
    """Bytes that can be taken without swapping and within the container's limit; None where nobody tells."""
    limits = list(_memory_left())
    with suppress(OSError, ValueError, IndexError):
        line = next(line for line in _MEMORY.read_text().splitlines() if line.startswith("MemAvailable:"))
        limits.append(int(line.split()[1]) * 1024)
    return max(0, min(limits)) if limits else None


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _cpu_quota() -> float:
    """Processors' worth of time that the container has, infinite without a limit."""
    quota = math.inf
    for folder in _own_cgroups("cpu"):
        with suppress(OSError, ValueError, ZeroDivisionError):  # version 2: "max 100000" or "150000 100000"
            most, period = (folder / "cpu.max").read_text().split()
            if most != "max":
                quota = min(quota, int(most) / int(period))
        with suppress(OSError, ValueError, ZeroDivisionError):  # version 1: -1 is no limit
            most, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if int(most) > 0:
                quota = min(quota, int(most) / int(period))
    return quota


def _memory_left() -> Iterator[int]:
    """What each limit of the container still leaves, in bytes."""
    for folder in _own_cgroups("memory"):
        for limit, used, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with suppress(OSError, ValueError):  # "max" is no number
                left = int((folder / limit).read_text()) - int((folder / used).read_text())
                yield left + _statistic(folder / "memory.stat", cache)


def _statistic(path: Path, name: str) -> int:
    """A number of `memory.stat`: what only caches files counts as used, and is given up when wanted."""
    try:
        lines = (line.split() for line in path.read_text().splitlines())
        return next(int(words[1]) for words in lines if words[:1] == [name])
    except (OSError, ValueError, IndexError, StopIteration):
        return 0


def _own_cgroups(controller: str) -> Iterator[Path]:
    """The control groups that limit this process, innermost first, with those around them."""
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _CGROUPS / controller if controllers else _CGROUPS
        own = root / path.lstrip("/")
        while True:
            yield own
            if own == root:
                break
            own = own.parent
