"""The machines of a job: a Ray cluster that is there, or one of this machine's cores for this run alone.

Ray tells nobody: its usage reports and its dashboard are switched off before it is imported. A cluster of our
own listens on the loopback interface alone, keeps its files in a private folder, and ends with the run.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from geolocate.device import Device, choose_device, cuda_devices
from geolocate.errors import ClusterError, ExtraMissing, UsageError
from geolocate.file_lock import lock
from geolocate.machine import usable_cores, usable_cpus
from geolocate.text_safety import first_line, printable

#: What Ray is told before it is imported, and its processes with it.
QUIET_ENVIRONMENT: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # what goes wrong reaches the user as an error
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # its new rule, without the warning about the old one
}
#: Keeps a cluster to the loopback interface, as Ray does by itself on other systems; read at its import.
_LOOPBACK_ENVIRONMENT = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_LOOPBACK = "127.0.0.1"
#: What blocks on their way between stages may take of this machine's memory.
OBJECT_STORE_BYTES = 384 * 2**20
#: How long a cluster may take to answer.
CONNECT_LIMIT_S = 15.0
#: Of Ray's own folder.
_PREFIX = "geolocate-ray-"
_FRESH_S = 60.0
#: Ray puts sockets into its folder, under names of some 70 bytes; a socket's path has 107 at most.
_LONGEST_PARENT = 12
_SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Pool:
    """How many of each there are.

    Attributes:
        actors: that hold a model.
        decoders: photos that are decoded at the same time.
        threads: of one actor.
    """

    device: Literal["cuda", "cpu"]
    actors: int
    decoders: int
    threads: int


def require_ray() -> None:
    """Makes sure that Ray can be used; it is imported only when it is known for what.

    Raises:
        ExtraMissing: it is not installed.
        ClusterError: the name of the current folder is no UTF-8.
    """
    if any(find_spec(name) is None for name in ("ray", "pyarrow")):
        raise ExtraMissing("geolocate distributed needs", "ray")
    try:
        os.getcwd().encode()
    except UnicodeEncodeError:
        raise ClusterError(
            "Ray starts in no folder whose name is not UTF-8: call it from another one"
        ) from None


def import_ray() -> Any:
    """Ray, silenced."""
    os.environ.update(QUIET_ENVIRONMENT)
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # what goes wrong reaches the user as an error
    return ray


def earlier_attempts() -> int:
    """How often the task that this process works on was begun before, by processes that died over it."""
    from ray._private.worker import global_worker

    worker = getattr(global_worker, "core_worker", None)
    return 0 if worker is None else int(worker.get_current_task_attempt_number())


@contextlib.contextmanager
def joined(address: str, device: Device, actors: int | None, decoders: int | None) -> Iterator[Pool]:
    """A cluster that is there, for as long as the context lasts.

    Args:
        device: "auto" takes GPUs where the cluster has any.
        actors: None takes one for each GPU, without GPUs one for every other CPU.
        decoders: None takes one for each CPU that is left.

    Raises:
        ClusterError: it cannot be reached, or has no GPU where CUDA is asked for.
        UsageError: it is no address, or so many actors leave no CPU for decoding.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address
    _check_address(address)
    ray = import_ray()
    with _silent(ray):
        try:
            _knock(address)
            with _signals_as_they_were(), _nameless(), _without_standard_error():
                ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        except (ValueError, RuntimeError, OverflowError, OSError) as error:
            raise ClusterError(
                f"no Ray cluster can be reached at {printable(address)}: {first_line(error)}; one that is "
                "guarded by a token needs RAY_AUTH_MODE=token and the token here too"
            ) from error
        try:
            yield _pool(ray.cluster_resources(), device, actors, decoders)
        finally:
            ray.shutdown()


def _check_address(address: str) -> None:
    """Raises UsageError for what Ray takes as more than that: "local" starts a cluster nobody guards."""
    host, separator, port = address.rpartition(":")
    if address != "auto" and not (host and separator and port.isdecimal() and "://" not in address):
        raise UsageError(f"--address is HOST:PORT or auto, not {printable(address) or 'nothing'}")


def _knock(address: str) -> None:
    """Finds out whether anybody listens there; Ray itself would go on trying without an end.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.rpartition(":")
    if host:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_LIMIT_S).close()


def _pool(resources: Mapping[str, float], device: Device, actors: int | None, decoders: int | None) -> Pool:
    cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    if device == "cuda" and not gpus:
        raise ClusterError("the cluster has no GPU")
    if device != "cpu" and gpus:
        actors = min(actors or gpus, gpus)
        return Pool("cuda", actors, decoders or max(1, cpus), max(1, cpus // actors))
    actors = actors or max(1, cpus // 2)
    if actors >= cpus:
        raise UsageError(f"--actors {actors} of {cpus} CPUs of the cluster: none is left for decoding")
    return Pool("cpu", actors, decoders or cpus - actors, 1)


def own_pool(device: Device, actors: int | None, decoders: int | None, say: Callable[[str], None]) -> Pool:
    """What suits this machine; nothing is started.

    Args:
        actors: None takes one for each core, with GPUs one for each of them, which is the most there can be.
        decoders: None takes one for each logical processor.

    Raises:
        DeviceError: `device` is "cuda" and does not work.
    """
    chosen = choose_device(device, say)
    if chosen == "cuda":
        gpus = cuda_devices()
        actors = min(actors or gpus, gpus)
    actors = actors or usable_cores()
    return Pool(chosen, actors, decoders or usable_cpus(), max(1, usable_cores() // actors))


@contextlib.contextmanager
def started(pool: Pool) -> Iterator[None]:
    """A cluster on this machine's loopback interface, for as long as the context lasts.

    Raises:
        ClusterError: Ray does not start.
    """
    os.environ.update(_LOOPBACK_ENVIRONMENT)
    # A secret of this run: no other user of the machine can join, and Ray leaves none of its own in HOME.
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    ray = import_ray()
    with _private_folder() as folder, _silent(ray):
        try:
            _start(ray, pool, folder)
            yield
        finally:  # what had begun when the start was cut off as well
            ray.shutdown()


def _start(ray: Any, pool: Pool, folder: str) -> None:
    try:
        with (
            _signals_as_they_were(),
            _nameless(),
            _out_of_reach_of_the_terminal(),
            _without_standard_error(),
        ):
            ray.init(
                address="local",  # whatever RAY_ADDRESS says
                # A slot for each process that computes; the system shares the cores out among them.
                num_cpus=pool.actors + pool.decoders + 1,
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                _node_ip_address=_LOOPBACK,
                _temp_dir=folder,
            )
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise ClusterError(f"Ray does not start on this machine: {first_line(error)}") from error


def short_of_shared_memory() -> bool:
    """Whether blocks between the stages will lie in files, not in memory: Ray finds too little of it."""
    try:
        state = os.statvfs(_SHARED_MEMORY)
    except (OSError, AttributeError):  # other systems have none
        return False
    return state.f_frsize * state.f_bavail < OBJECT_STORE_BYTES


@contextlib.contextmanager
def _private_folder() -> Iterator[str]:
    """A folder for Ray's files, removed at the end; those of runs that were killed are removed now."""
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _LONGEST_PARENT and os.name != "nt":
        parent = "/tmp"
    for left in Path(parent).glob(f"{_PREFIX}????????"):
        with contextlib.suppress(OSError), _claimed(left) as claimed:
            # One that was made a moment ago may not be claimed yet.
            if claimed and time.time() - left.stat().st_mtime > _FRESH_S:
                shutil.rmtree(left, ignore_errors=True)
    try:
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
    except OSError as error:
        raise ClusterError(f"Ray's files need a folder in {printable(parent)}: {error.strerror}") from error
    try:
        with _claimed(Path(folder)):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    """Claims a folder of the user's own; False where another process has it. Raises OSError."""
    if os.name == "nt":  # where no folder can be opened
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield os.fstat(descriptor).st_uid == os.getuid() and lock(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _signals_as_they_were() -> Iterator[None]:
    """Ray takes SIGTERM for itself while it starts; here it ends a run as Ctrl-C does."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError, TypeError):  # not in the main thread, or not set from Python
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _nameless() -> Iterator[None]:
    """Ray shows a job by its command line, which may be no UTF-8 and is nobody else's affair."""
    utils: Any = importlib.import_module("ray._private.utils")
    name = utils.get_entrypoint_name
    utils.get_entrypoint_name = lambda: "geolocate distributed"
    try:
        yield
    finally:
        utils.get_entrypoint_name = name


@contextlib.contextmanager
def _out_of_reach_of_the_terminal() -> Iterator[None]:
    """Processes that Ray starts meanwhile get no Ctrl-C, which is for the one that ends them in order.

    If they died by themselves, Ray would end this process on the spot, and its files would stay.
    """
    services: Any = importlib.import_module("ray._private.services")
    popen = services.ConsolePopen

    class Apart(popen):  # type: ignore[misc, valid-type]
        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **({} if os.name == "nt" else {"process_group": 0}) | options)

    services.ConsolePopen = Apart
    try:
        yield
    finally:
        services.ConsolePopen = popen


@contextlib.contextmanager
def _silent(ray: Any) -> Iterator[None]:
    """Ray prints warnings of its own to standard output, where results may go, and draws its own progress."""
    with (
        open(os.devnull, "w", encoding="utf-8") as nothing,
        contextlib.redirect_stdout(nothing),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", module=r"ray\.")
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        yield


@contextlib.contextmanager
def _without_standard_error() -> Iterator[None]:
    """While Ray starts, its C++ side says how it logs, whatever it was told; failures are exceptions."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
