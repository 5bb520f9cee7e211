"""The plan on paper: its arithmetic, its simulation, and the page that both make."""

from __future__ import annotations

import importlib
import runpy
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
SCRIPT = BENCHMARKS / "scale.py"
#: Relative; the simulation's ends and the chance in it.
CLOSE = 0.04


@pytest.fixture(scope="module")
def scale() -> Iterator[SimpleNamespace]:
    """The modules of the plan, importable as when a script of theirs is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        names = ("limits", "model", "parameters", "plan", "simulation", "tables", "validation")
        yield SimpleNamespace(**{name: importlib.import_module(f"scale_{name}") for name in names})


@pytest.fixture(scope="module")
def parameters(scale: SimpleNamespace) -> Any:
    return scale.parameters.read_parameters()


def three_pools(scale: SimpleNamespace, load: float, decode: float, encode: float) -> Any:
    """A worker whose link, three cores and GPU need so many milliseconds a photo; batches of 8."""
    stage = scale.model.Stage
    return scale.model.Worker(
        (
            stage("transfer", "link", load / 1e3),
            stage("decode", "cores", decode / 1e3, waiting=32),
            stage("encode", "GPU", encode / 1e3, batch=8, waiting=32),
        ),
        (("link", 1), ("cores", 3), ("GPU", 1)),
    )


def test_the_operations_of_vit_l_14_are_two_for_each_weight_and_token(scale: SimpleNamespace) -> None:
    """Without attention's own products a transformer multiplies each weight of its layers once a token."""
    parts = scale.model.vit_flop()
    weights_of_layers = 24 * (4 * 1024 * 1024 + 2 * 1024 * 4096)
    assert parts["query, key, value and output"] + parts["perceptron"] == 2 * 257 * weights_of_layers
    assert sum(parts.values()) == pytest.approx(162e9, rel=1e-3)
    twice_the_side = scale.model.vit_flop(side=448)
    assert twice_the_side["attention"] / parts["attention"] == pytest.approx((1025 / 257) ** 2)


@pytest.mark.parametrize(
    ("load", "decode", "encode", "rate", "pool"),
    [
        (10.0, 6.0, 2.0, 100.0, "link"),
        (1.0, 30.0, 2.0, 100.0, "cores"),
        (1.0, 6.0, 10.0, 100.0, "GPU"),
    ],
)
def test_the_slowest_pool_decides_in_the_closed_form_and_in_the_simulation(
    scale: SimpleNamespace, load: float, decode: float, encode: float, rate: float, pool: str
) -> None:
    worker = three_pools(scale, load, decode, encode)
    assert worker.rate() == pytest.approx(rate)
    assert worker.bottleneck() == pool
    outcome = scale.simulation.simulate(worker, 4000)
    assert outcome.rate == pytest.approx(rate, rel=0.01)
    assert outcome.bottleneck == pool
    assert outcome.busy[pool] == pytest.approx(1, abs=0.01)


@settings(max_examples=25, deadline=None)
@given(load=st.floats(0.1, 20), decode=st.floats(0.1, 60), encode=st.floats(0.1, 20))
def test_no_pool_does_more_than_its_servers_can_and_each_is_as_busy_as_its_work_takes(
    scale: SimpleNamespace, load: float, decode: float, encode: float
) -> None:
    worker = three_pools(scale, load, decode, encode)
    outcome = scale.simulation.simulate(worker, 1500)
    assert outcome.rate <= worker.rate() * (1 + CLOSE)
    for pool, ceiling in worker.ceilings().items():
        assert outcome.busy[pool] <= 1 + 1e-9
        assert outcome.busy[pool] == pytest.approx(outcome.rate / ceiling, abs=CLOSE)


def test_photos_inside_are_photos_a_second_times_seconds_inside(
    scale: SimpleNamespace, parameters: Any
) -> None:
    """Little's law; both sides are counted apart."""
    for size in scale.model.SIZES:
        outcome = scale.simulation.simulate(scale.model.gpu_worker(parameters, size), 6000)
        assert outcome.inside == pytest.approx(outcome.rate * outcome.stay_s, rel=CLOSE)


def test_waiting_rooms_are_bounded_and_small_ones_cost_photos(scale: SimpleNamespace) -> None:
    stage = scale.model.Stage

    def outcome(room: int) -> Any:
        stages = (
            stage("decode", "cores", 0.01, spread=1.0),
            stage("encode", "GPU", 0.01, spread=1.0, waiting=room),
        )
        worker = scale.model.Worker(stages, (("cores", 1), ("GPU", 1)))
        return scale.simulation.simulate(worker, 6000)

    tight, wide = outcome(1), outcome(64)
    assert tight.inside <= 2  # one at each stage
    assert tight.rate < 0.9 * wide.rate


def test_a_last_batch_that_is_not_full_is_done_too(scale: SimpleNamespace) -> None:
    run = scale.simulation._Run(three_pools(scale, 1, 6, 2), 13, None)
    run.play()
    assert all(left > entered for left, entered in zip(run.left, run.entered, strict=True))


def test_the_simulation_is_close_to_the_closed_form_for_every_worker_of_the_page(
    scale: SimpleNamespace, parameters: Any
) -> None:
    assert scale.validation.worst_difference(parameters) < CLOSE


def test_more_cores_are_never_slower_until_the_next_bottleneck(
    scale: SimpleNamespace, parameters: Any
) -> None:
    for size in scale.model.SIZES:
        rates = [scale.model.gpu_worker(parameters, size, cores=cores).rate() for cores in (4, 16, 64, 256)]
        assert all(more >= fewer for fewer, more in pairwise(rates))
        enough = scale.model.cores_to_feed(parameters, size)
        wide = parameters.changed(network=1e4)
        fed = scale.model.gpu_worker(wide, size, cores=int(enough) + 1)
        assert fed.bottleneck() == "GPU"
        assert scale.model.gpu_worker(wide, size, cores=int(enough)).bottleneck() == "cores"


def test_parts_measured_one_by_one_add_up_to_the_program(scale: SimpleNamespace, parameters: Any) -> None:
    for name in ("starter", "fp32", "int8"):
        assert parameters[f"parts {name}"] == pytest.approx(parameters[f"program {name}"], rel=0.1)


def test_a_job_is_its_photos_over_all_workers_and_storage_bounds_it(
    scale: SimpleNamespace, parameters: Any
) -> None:
    worker = scale.model.gpu_worker(parameters, "3 MB")
    one, many = (scale.plan.job(parameters, "3 MB", worker, 1e8, workers) for workers in (1, 100_000))
    assert one.wall_s * one.rate == pytest.approx(1e8)
    assert one.read_bytes == pytest.approx(1e8 * parameters["file 3 MB"] * 1e6)
    assert many.bottleneck == "storage"
    assert many.read_gbit == pytest.approx(parameters["storage"])


def test_a_cost_is_hours_times_prices(scale: SimpleNamespace, parameters: Any) -> None:
    priced = parameters.changed(price_H200=3.6, price_core=0.1, price_reads=0.5)
    cost = scale.plan.cost(priced, 1000.0, gpu="H200", cores=16, per_read=1000)
    assert (cost.gpu, cost.cores, cost.reads) == pytest.approx((1.0, 16 / 36, 0.0005))
    assert scale.plan.cost(priced, 1000.0, gpu=None, cores=16).gpu == 0


def test_the_arithmetic_of_listing_failures_and_merging(scale: SimpleNamespace, parameters: Any) -> None:
    plan = scale.plan
    stated = parameters.changed(list_call=100, failures=1, restart=60)
    assert plan.list_s(stated, 1000) == pytest.approx(0.1)
    assert plan.list_s(stated, 1001) == pytest.approx(0.2)
    assert plan.lost_share(stated, 2400, rate=10) == pytest.approx((120 + 60) / 3600)
    assert plan.unbroken(stated, 2, 1800) == pytest.approx(0.3679, abs=1e-4)
    assert plan.working_share(
        parameters.changed(round=1000, round_of_an_actor=10), 100.0, 8
    ) == pytest.approx(0.5)
    assert plan.round_photos(parameters.changed(round=1000, round_of_an_actor=200), 8) == 1600
    assert plan.shard_readings(64, 64) == 1
    assert plan.shard_readings(128, 64) == 1.5  # the first half, then all
    assert plan.same_size(0, 1e6) == 0
    assert plan.same_size(10_000, 1e6) == pytest.approx(0.00995, abs=1e-5)
    assert [plan.merge_passes(size, 10, fan_in=4) for size in (10, 11, 40, 41, 160, 161)] == [
        0,
        1,
        1,
        2,
        2,
        3,
    ]


def test_no_other_partition_costs_less_than_the_best(scale: SimpleNamespace, parameters: Any) -> None:
    def share(photos: float, overhead_s: float = 2.0, rate: float = 250.0) -> float:
        return overhead_s * rate / photos + float(scale.plan.lost_share(parameters, photos, rate))

    best = scale.plan.best_partition(parameters, 250.0, 2.0)
    assert share(best) <= min(share(best * factor) for factor in (0.5, 0.9, 1.1, 2.0))


def test_names_take_the_memory_that_python_takes(scale: SimpleNamespace) -> None:
    names = [b"%024d" % number for number in range(1000)]
    held = sum(map(sys.getsizeof, names)) + sys.getsizeof(names)
    assert scale.plan.names_bytes(1000, 24) == pytest.approx(held, rel=0.02)


@pytest.mark.parametrize(
    "entry",
    [
        'value = 0\nunit = "s"\nkind = "stated"\nsource = "here"',
        'value = nan\nunit = "s"\nkind = "stated"\nsource = "here"',
        'value = 1\nunit = ""\nkind = "stated"\nsource = "here"',
        'value = 1\nunit = "s"\nkind = "guessed"\nsource = "here"',
        'value = 1\nunit = "s"\nkind = "stated"\nsource = ""',
    ],
)
def test_a_number_without_unit_kind_or_source_is_refused(
    scale: SimpleNamespace, tmp_path: Path, entry: str
) -> None:
    (tmp_path / "odd.toml").write_text(f'["odd"]\n{entry}\n')
    with pytest.raises(ValueError, match=r"odd|positive"):
        scale.parameters.read_parameters(tmp_path / "odd.toml")


def test_what_the_plan_says_of_the_program_is_so(parameters: Any) -> None:
    from geolocate.device import BATCH_SIZE
    from geolocate.distributed.pipeline import ACTOR_ROUND_BLOCKS, BLOCK_PHOTOS, ROUND_BLOCKS
    from geolocate.distributed.plan import MAX_PARTITIONS
    from geolocate.duplicates import REMEMBERED_PHOTOS
    from geolocate.sources.limits import PARALLEL_FETCHES

    assert parameters["batch"] == BATCH_SIZE["cuda"]
    assert parameters["remembered"] == REMEMBERED_PHOTOS
    assert parameters["partitions at most"] == MAX_PARTITIONS
    assert parameters["fetches"] == PARALLEL_FETCHES
    assert parameters["block"] == BLOCK_PHOTOS
    assert parameters["round"] == ROUND_BLOCKS * BLOCK_PHOTOS
    assert parameters["round of an actor"] == ACTOR_ROUND_BLOCKS * BLOCK_PHOTOS


def test_the_page_is_what_the_simulation_gives(scale: SimpleNamespace) -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    made = runpy.run_path(str(ROOT / "scripts" / "build_scale_docs.py"))["document"]()
    assert page == made, "run python scripts/build_scale_docs.py"
    assert "$" not in page


def test_the_picture_is_drawn_and_is_small(scale: SimpleNamespace, parameters: Any) -> None:
    pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib")
    drawn = importlib.import_module("scale_picture").draw(parameters)
    kept = (ROOT / "docs" / "pictures" / "scale_cores.png").read_bytes()
    for picture in (drawn, kept):
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < 300_000


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_job_of_ones_own_is_told(tmp_path: Path) -> None:
    done = run("--photos", "1e8", "--gpus", "64", "--gpu", "L4", "--set", "network=25", "--size", "0.5 MB")
    assert done.returncode == 0, done.stderr
    assert "bottleneck             GPU" in done.stdout
    assert "ideal" in done.stdout


@pytest.mark.parametrize(
    "change", ["speed=3", "network=fast", "network=-1", "network=nan", "cores_per_gpu=0.5"]
)
def test_a_parameter_that_is_none_is_a_usage_error(change: str) -> None:
    done = run("--set", change)
    assert done.returncode == 2
    assert "--set" in done.stderr
    assert "Traceback" not in done.stderr
