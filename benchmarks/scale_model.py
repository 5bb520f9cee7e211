"""The pipeline on paper: stages that share pools of servers, and what each pool lets through.

    storage -> requests -> network link -> decode (cores) -> encode (GPU, or cores) -> place and write (cores)

One worker is one GPU with its cores and its share of the network, or a machine without a GPU. Here is the
closed form, the least of the ceilings; `scale_simulation.py` plays the same worker photo by photo.
"""

from __future__ import annotations

from dataclasses import dataclass

from scale_parameters import Parameters

#: Photos of the plan.
SIZES = ("0.1 MB", "0.5 MB", "3 MB", "12 MB")
#: CLIP ViT-L/14 at 224 px (Radford et al. 2021): 16 x 16 patches of 14 px and one class token.
LAYERS, WIDTH, MLP_WIDTH, OUTPUT_WIDTH, SIDE, PATCH = 24, 1024, 4096, 768, 224, 14
MS_PER_S = 1e3
#: Room of a stage that nothing waits for long.
NO_BOUND = 1_000_000
BITS_PER_BYTE = 8


@dataclass(frozen=True, slots=True)
class Stage:
    """Work that each photo needs.

    Attributes:
        name: what is done.
        pool: who does it.
        seconds: of one server, for one photo.
        batch: photos that are served together; they take `batch` times as long.
        spread: standard deviation over mean of `seconds`; 0 where all photos take the same.
        waiting: photos that may wait or be served here; what comes before stands still when it is full.
    """

    name: str
    pool: str
    seconds: float
    batch: int = 1
    spread: float = 0.0
    waiting: int = NO_BOUND


@dataclass(frozen=True, slots=True)
class Worker:
    """Stages in the order in which a photo passes them, and the servers of each pool."""

    stages: tuple[Stage, ...]
    pools: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        """Raises ValueError where a pool has no server."""
        if empty := [pool for pool, servers in self.pools if servers < 1]:
            raise ValueError(f"no server in the pool {empty[0]}")

    def ceilings(self) -> dict[str, float]:
        """Photos/s that each pool lets through by itself: servers over seconds a photo."""
        return {
            pool: servers / sum(stage.seconds for stage in self.stages if stage.pool == pool)
            for pool, servers in self.pools
        }

    def bottleneck(self) -> str:
        """The pool with the lowest ceiling."""
        ceilings = self.ceilings()
        return min(ceilings, key=lambda pool: ceilings[pool])

    def rate(self) -> float:
        """Photos/s of the closed form: no pool can do more, and with enough waiting room all do as much."""
        return min(self.ceilings().values())


def vit_flop(
    layers: int = LAYERS,
    width: int = WIDTH,
    mlp_width: int = MLP_WIDTH,
    output_width: int = OUTPUT_WIDTH,
    side: int = SIDE,
    patch: int = PATCH,
) -> dict[str, float]:
    """Floating-point operations of a vision transformer over one photo by part, 2 for each multiply-add.

    Normalisation, softmax and activation are left out: less than a hundredth.
    """
    patches = (side // patch) ** 2
    tokens = patches + 1
    return {
        "patches": 2.0 * patches * (patch * patch * 3) * width,
        "query, key, value and output": layers * 2.0 * tokens * 4 * width * width,
        "attention": layers * 2.0 * 2 * tokens * tokens * width,
        "perceptron": layers * 2.0 * tokens * 2 * width * mlp_width,
        "projection": 2.0 * width * output_width,
    }


def gpu_rate(parameters: Parameters, gpu: str) -> float:
    """Photos/s that a GPU encodes: its peak, as much of it as the plan assumes, over the FLOP of a photo."""
    peak = parameters[f"peak {gpu}"] * 1e12
    return peak * parameters["utilisation"] / sum(vit_flop().values())


def transfer_stages(parameters: Parameters, size: str, fetches: int) -> tuple[Stage, ...]:
    """From storage to memory: a request waits for its first byte, then the bytes share the link."""
    megabits = parameters[f"file {size}"] * BITS_PER_BYTE
    return (
        Stage("request", "requests", parameters["first byte"] / MS_PER_S, spread=1.0),
        Stage(
            "transfer",
            "link",
            megabits / (parameters["network"] * 1e3),
            waiting=fetches,
        ),
    )


def core_stages(parameters: Parameters, size: str, gallery: str, cores: int = 1) -> tuple[Stage, Stage]:
    """What the cores do for a photo: decode it, and later place it and write its rows."""
    placed = parameters[f"place {gallery}"] + parameters["write"] / 1e3
    decode = Stage(
        "decode",
        "cores",
        parameters[f"decode {size}"] / MS_PER_S,
        spread=parameters["decode spread"],
        waiting=2 * cores,
    )
    return decode, Stage("place and write", "cores", placed / MS_PER_S)


def gpu_worker(
    parameters: Parameters, size: str, *, gpu: str = "H200", cores: int = 0, gallery: str = "100,000"
) -> Worker:
    """One GPU, `cores` decode cores (0: those of the parameters) and its share of the network."""
    cores = cores or int(parameters["cores per GPU"])
    batch, fetches = int(parameters["batch"]), cores * int(parameters["fetches"])
    decode, place = core_stages(parameters, size, gallery, cores)
    # As in the program: no further ahead than two batches and a photo for each core.
    encode = Stage("encode", "GPU", 1 / gpu_rate(parameters, gpu), batch, waiting=2 * batch + cores)
    return Worker(
        (*transfer_stages(parameters, size, fetches), decode, encode, place),
        (("requests", fetches), ("link", 1), ("cores", cores), ("GPU", 1)),
    )


def cpu_worker(
    parameters: Parameters, size: str, *, precision: str = "int8", cores: int = 0, gallery: str = "100,000"
) -> Worker:
    """A machine without a GPU: decoding, encoding and placing share its cores."""
    cores = cores or int(parameters["cores per GPU"])
    fetches = cores * int(parameters["fetches"])
    decode, place = core_stages(parameters, size, gallery, cores)
    encode = Stage("encode", "cores", parameters[f"encode {precision}"] / MS_PER_S, waiting=8 + cores)
    return Worker(
        (*transfer_stages(parameters, size, fetches), decode, encode, place),
        (("requests", fetches), ("link", 1), ("cores", cores)),
    )


def cores_to_feed(parameters: Parameters, size: str, gpu: str = "H200", gallery: str = "100,000") -> float:
    """Cores that decode, place and write as fast as the GPU encodes."""
    return gpu_rate(parameters, gpu) * sum(stage.seconds for stage in core_stages(parameters, size, gallery))


def gigabits_to_feed(parameters: Parameters, size: str, gpu: str = "H200") -> float:
    """Gbit/s that bring photos as fast as the GPU encodes them."""
    return gpu_rate(parameters, gpu) * parameters[f"file {size}"] * BITS_PER_BYTE / 1e3
