"""What a cluster is made of, without starting one."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from geolocate.distributed import cluster
from geolocate.distributed.cluster import Pool, own_pool, require_ray, short_of_shared_memory, started
from geolocate.distributed.pipeline import round_blocks
from geolocate.errors import ClusterError


@pytest.mark.parametrize(("asked", "actors"), [(None, 4), (2, 2), (8, 4)])
def test_a_gpu_has_one_actor_and_none_waits_for_one_that_is_not_there(
    asked: int | None, actors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "choose_device", lambda device, say: "cuda")
    monkeypatch.setattr(cluster, "cuda_devices", lambda: 4)
    monkeypatch.setattr(cluster, "usable_cores", lambda: 12)
    assert own_pool("auto", asked, 3, print) == Pool("cuda", actors, 3, 12 // actors)


def test_more_actors_than_cores_have_a_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "usable_cores", lambda: 2)
    assert own_pool("cpu", 8, 2, print) == Pool("cpu", 8, 2, 1)


def test_a_folder_that_ray_cannot_name_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"\xff")
    os.mkdir(folder)
    monkeypatch.chdir(os.fsdecode(folder))
    with pytest.raises(ClusterError, match="call it from another"):
        require_ray()


def test_it_is_known_when_ray_falls_back_to_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "OBJECT_STORE_BYTES", 0)
    assert not short_of_shared_memory()
    monkeypatch.setattr(cluster, "OBJECT_STORE_BYTES", 2**62)
    assert short_of_shared_memory() == cluster._SHARED_MEMORY.exists()


def test_rounds_grow_with_the_actors() -> None:
    assert [round_blocks(actors) for actors in (1, 4, 64)] == [1024, 1024, 16_384]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_start_that_fails_or_is_cut_off_leaves_nothing_behind(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    class Ray:
        def init(self, *, _temp_dir: str, **options: object) -> None:
            done.append(Path(_temp_dir))
            raise error

        def shutdown(self) -> None:
            assert done[0].exists()  # processes end before their files go
            done.append(Path())

    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(cluster, "import_ray", Ray)
    monkeypatch.setattr(cluster, "_silent", lambda ray: nullcontext())
    with pytest.raises((ClusterError, KeyboardInterrupt)), started(Pool("cpu", 1, 1, 1)):
        pass
    assert len(done) == 2
    assert not done[0].exists()
