"""What stands in the text of docs/scale.md: every table by its name, and single figures."""

from __future__ import annotations

import scale_limits
import scale_tables
import scale_validation
from markdown_figures import duration, percent, short, size_of
from scale_model import (
    BITS_PER_BYTE,
    MS_PER_S,
    cores_to_feed,
    cpu_worker,
    gigabits_to_feed,
    gpu_rate,
    gpu_worker,
)
from scale_parameters import Parameters
from scale_plan import (
    SECONDS_PER_HOUR,
    best_partition,
    cost,
    job,
    list_s,
    names_bytes,
    shard_readings,
    simulated,
    working_share,
)
from scale_tables import PATH_LENGTH, SIZE

#: The largest archive of the page, in photos, and seconds of a year.
LARGEST = 1e10
YEAR_S = 365.25 * 86400


def figures(parameters: Parameters) -> dict[str, str]:
    """All of them, by the names that the text has for them."""
    tables = {
        name: getattr(module, name)(parameters)
        for module in (scale_tables, scale_limits, scale_validation)
        for name in vars(module)
        if name.endswith("_table")
    }
    return tables | _of_one_worker(parameters) | _of_failures(parameters) | _of_the_largest(parameters)


def _usd(parameters: Parameters, size: str, gpu: str | None) -> str:
    worker = gpu_worker(parameters, size, gpu=gpu) if gpu else cpu_worker(parameters, size)
    cores = parameters["cores per GPU"]
    return short(cost(parameters, simulated(worker).rate, gpu=gpu, cores=cores).total)


def _of_one_worker(parameters: Parameters) -> dict[str, str]:
    one = simulated(gpu_worker(parameters, SIZE))
    given_out = parameters["block"] / parameters["driver block"] * MS_PER_S
    first_byte_s = parameters["first byte"] / MS_PER_S
    fetches = parameters["fetches"]
    encoded = gpu_rate(parameters, "H200")
    return {
        "utilisation": f"{parameters['utilisation']:g}",
        "one_rate": short(one.rate),
        "one_busy": percent(one.busy["GPU"]),
        "feed_cores": short(cores_to_feed(parameters, SIZE)),
        "feed_gbit": short(gigabits_to_feed(parameters, SIZE)),
        "h200_rate": short(encoded),
        "usd_h200": _usd(parameters, SIZE, "H200"),
        "usd_l4": _usd(parameters, SIZE, "L4"),
        "usd_cpu": _usd(parameters, SIZE, None),
        "usd_shrunk": _usd(parameters, "0.1 MB", "H200"),
        "storage_workers": short(
            parameters["storage"] * 1e3 / BITS_PER_BYTE / parameters[f"file {SIZE}"] / one.rate
        ),
        "fetches": short(fetches),
        "fetched_alone": short(fetches / first_byte_s),
        "round_start": f"{parameters['round start']:g}",
        "round": short(parameters["round"]),
        "block": short(parameters["block"]),
        "driver_block": f"{parameters['driver block']:g}",
        "driver_rate": short(given_out),
        "driver_gpus": short(given_out / one.rate),
        "round_of_an_actor": short(parameters["round of an actor"]),
        "at_work_64": percent(
            working_share(parameters, job(parameters, SIZE, gpu_worker(parameters, SIZE), 1e8, 64).rate, 64)
        ),
        "in_flight": short(one.rate * first_byte_s),
        "in_flight_gpu": short(encoded * first_byte_s),
        "worst_difference": percent(scale_validation.worst_difference(parameters), 1),
    }


def _of_failures(parameters: Parameters) -> dict[str, str]:
    rate = simulated(gpu_worker(parameters, SIZE)).rate
    best = best_partition(parameters, rate, parameters["partition overhead"])
    return {
        "restart": f"{parameters['restart']:g}",
        "failures": f"{parameters['failures']:,g}",
        "mtbf_64": duration(parameters["failures"] * SECONDS_PER_HOUR / 64),
        "overhead": f"{parameters['partition overhead']:g}",
        "best_partition": short(best),
        "best_duration": duration(best / rate),
    }


def _of_the_largest(parameters: Parameters) -> dict[str, str]:
    megabytes = parameters[f"file {SIZE}"]
    merge_s = (parameters["read parquet"] + parameters["write csv"]) / 1e6
    core_s = parameters[f"decode {SIZE}"] / MS_PER_S
    return {
        "read_10": size_of(LARGEST * megabytes * 1e6),
        "list_10": duration(list_s(parameters, LARGEST)),
        "told_10": duration(LARGEST * parameters["told apart"] / 1e6),
        "folder_10": size_of(names_bytes(LARGEST, scale_limits.NAME_LENGTH)),
        "plan_10": size_of(LARGEST * PATH_LENGTH),
        "partitions_10": short(LARGEST / parameters["partition"]),
        "shards_driver": duration(1e8 * megabytes * BITS_PER_BYTE / (parameters["network"] * 1e3)),
        "shard_readings": short(shard_readings(parameters["photos per shard"], parameters["batch"])),
        "reads_10": short(LARGEST / 1e6 * parameters["price reads"]),
        "prefix_10": duration(LARGEST / parameters["reads per prefix"]),
        "merge_10": duration(LARGEST * merge_s),
        "merge_rate": short(1 / merge_s),
        "cores_10": short(LARGEST * core_s / YEAR_S),
        "rows_share": f"{megabytes * 1e6 / parameters['parquet k=1']:,.0f}th",
    }
