"""The pipeline of a job on Ray Data: blocks of photos through decoders and actors, partition by partition.

Ray Data keeps the order and bounds what waits between the stages. A task or an actor whose process dies is
begun again elsewhere, and gives the same rows: nothing is written before a partition is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

from geolocate.distributed import stages
from geolocate.distributed.cluster import Pool, import_ray
from geolocate.distributed.faults import fault_in
from geolocate.distributed.partitions import Partition
from geolocate.distributed.plan import Plan, photos_to_json, read_partition
from geolocate.distributed.store import Store
from geolocate.errors import ClusterError
from geolocate.text_safety import first_line

#: Photos that go from stage to stage together: some 20 MB of pixels, two batches for a GPU. Each block costs
#: the driver some 40 ms of its processor: with blocks of half the size a run on two cores is a tenth slower.
BLOCK_PHOTOS = 128
#: A process that decodes is replaced after so many blocks, whatever its libraries hold on to. That it has an
#: end of its own also keeps Ray from decoding in the actors, which would leave a GPU waiting.
DECODER_BLOCKS = 1000
#: Blocks that one execution of the pipeline is given, at least and for each actor: what the driver holds
#: does not grow with the job, and actors begin anew after minutes of work, however many they are.
ROUND_BLOCKS = 1024
ACTOR_ROUND_BLOCKS = 256


def run_partitions(
    store: Store,
    plan: Plan,
    todo: Sequence[int],
    pool: Pool,
    decoding: stages.Decoding,
    locating: stages.Locating,
) -> Iterator[Partition]:
    """Yields each partition of `todo`, in order, when it is written.

    Raises:
        GeolocateError: what a machine raised: no bundle there, no space in the store.
        ClusterError: machines were lost and did not come back.
    """
    ray = import_ray()
    block = min(max(BLOCK_PHOTOS, locating.batch_size or 0), plan.partition_size)
    blocks = -(-plan.partition_size // block)
    step = max(1, round_blocks(pool.actors) // blocks)
    for start in range(0, len(todo), step):
        partitions = todo[start : start + step]
        rows = [row for partition in partitions for row in _blocks(store, plan, partition, block)]
        with _our_errors(ray):
            for row in _dataset(ray, rows, store, plan, pool, decoding, locating).iter_rows():
                yield Partition(**{field.name: row[field.name] for field in fields(Partition)})


def round_blocks(actors: int) -> int:
    """Blocks that one execution of the pipeline is given."""
    return max(ROUND_BLOCKS, ACTOR_ROUND_BLOCKS * actors)


def _blocks(store: Store, plan: Plan, partition: int, size: int) -> Iterator[dict[str, Any]]:
    photos = read_partition(store, plan, partition)
    for start in range(0, len(photos), size):
        yield {"partition": partition, "photos": photos_to_json(photos[start : start + size])}


def _dataset(
    ray: Any,
    rows: list[dict[str, Any]],
    store: Store,
    plan: Plan,
    pool: Pool,
    decoding: stages.Decoding,
    locating: stages.Locating,
) -> Any:
    """The partitions of those rows, written as they are asked for."""
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    blocks = ray.data.from_items(rows, override_num_blocks=len(rows))
    options = replace(decoding.options, workers=decoding.options.workers or 1)
    decoded = blocks.map_batches(
        stages.decode,
        fn_kwargs={"how": replace(decoding, options=options)},
        batch_size=None,
        batch_format="pyarrow",
        zero_copy_batch=True,
        concurrency=min(pool.decoders, len(rows)),
        num_cpus=1,
        max_calls=DECODER_BLOCKS,
    )
    on_gpu = pool.device == "cuda"
    located = decoded.map_batches(
        stages.Locate,
        fn_constructor_kwargs={"how": replace(locating, threads=pool.threads)},
        batch_size=None,
        batch_format="pyarrow",
        zero_copy_batch=True,
        compute=ray.data.ActorPoolStrategy(size=min(pool.actors, len(rows))),
        num_cpus=0 if on_gpu else 1,
        num_gpus=1 if on_gpu else 0,
    )
    return located.map_batches(
        stages.write,
        fn_kwargs={"store": store, "plan": plan},
        # Blocks of a partition add up to this, so a batch is a partition.
        batch_size=plan.partition_size,
        batch_format="pyarrow",
        num_cpus=1,
    )


@contextmanager
def _our_errors(ray: Any) -> Iterator[None]:
    """What a machine raised, as it raised it."""
    try:
        yield
    except ray.exceptions.RayError as error:
        if (fault := fault_in(str(error))) is not None:
            raise fault from None
        raise ClusterError(f"Ray gave up: {first_line(error)}") from error
