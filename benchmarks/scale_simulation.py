"""A worker played photo by photo: a discrete-event simulation of stages, pools and bounded waiting rooms.

Work begins where a server is free, the photos are there and the next waiting room has space for them: what
is slow holds back what comes before it, as the program's bounded queues do. Later stages are served first.
The same seed gives the same figures.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, field

from scale_model import Stage, Worker

#: Of the photos, left out of the figures at the beginning while the waiting rooms fill.
WARM_UP = 0.25
#: A pool is a bottleneck beside the busiest one from this share of its load on.
AS_BUSY = 0.97


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened in a simulation.

    Attributes:
        rate: photos/s that left the last stage, after the warm-up.
        busy: share of each pool's servers that worked in that time.
        inside: photos in the pipeline, the mean over that time.
        stay_s: seconds from the first stage to the last, the mean over photos that left in that time.
    """

    rate: float
    busy: dict[str, float]
    inside: float
    stay_s: float

    @property
    def bottleneck(self) -> str:
        """The busiest pool; several where they are as busy as it."""
        most = max(self.busy.values())
        return ", ".join(sorted(pool for pool, busy in self.busy.items() if busy >= AS_BUSY * most))


def simulate(worker: Worker, photos: int, seed: int = 1) -> Outcome:
    """Sends so many photos through the worker; storage always has the next one ready."""
    run = _Run(worker, photos, random.Random(seed))
    run.play()
    return _outcome(run)


@dataclass
class _Run:
    """The state of a simulation, and the record of what happened."""

    worker: Worker
    photos: int
    chance: random.Random
    #: By stage: photos that wait; photos that came so far; photos that wait, are served, or on their way.
    queues: list[deque[int]] = field(default_factory=list)
    came: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    #: When each photo entered and left.
    entered: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    #: Pool, begin and end of each piece of work.
    work: list[tuple[str, float, float]] = field(default_factory=list)

    def play(self) -> None:
        """From the first photo to the last."""
        stages = self.worker.stages
        free = dict(self.worker.pools)
        self.queues = [deque(range(self.photos)), *(deque() for _ in stages[1:])]
        self.came = [self.photos, *(0 for _ in stages[1:])]
        self.taken = [0] * len(stages)
        self.entered, self.left = [0.0] * self.photos, [0.0] * self.photos
        ends: list[tuple[float, int, int, list[int]]] = []  # end, number, stage, photos
        now = 0.0
        while True:
            for at in range(len(stages) - 1, -1, -1):
                pool = stages[at].pool
                while free[pool] and (served := self._begin(at)):
                    free[pool] -= 1
                    end = now + self._seconds(stages[at], len(served))
                    self.work.append((pool, now, end))
                    heapq.heappush(ends, (end, len(self.work), at, served))
                    for photo in served if at == 0 else ():
                        self.entered[photo] = now
            if not ends:
                return
            now, _, at, served = heapq.heappop(ends)
            free[stages[at].pool] += 1
            self.taken[at] -= len(served)
            if at + 1 < len(stages):
                self.queues[at + 1].extend(served)
                self.came[at + 1] += len(served)
            for photo in served if at + 1 == len(stages) else ():
                self.left[photo] = now

    def _begin(self, at: int) -> list[int]:
        """The photos of one piece of work, with their room at the next stage; none where it cannot begin."""
        stages, queue = self.worker.stages, self.queues[at]
        count = min(stages[at].batch, len(queue))
        if not count or (count < stages[at].batch and self.came[at] < self.photos):
            return []
        if at + 1 < len(stages):
            if self.taken[at + 1] + count > stages[at + 1].waiting:
                return []
            self.taken[at + 1] += count
        if at == 0:
            self.taken[at] += count
        return [queue.popleft() for _ in range(count)]

    def _seconds(self, stage: Stage, count: int) -> float:
        """How long a piece of work takes: log-normal round the mean where the stage has a spread."""
        if not stage.spread:
            return stage.seconds * count
        variance = math.log1p(stage.spread**2)
        factor = math.exp(self.chance.gauss(-variance / 2, math.sqrt(variance)))
        return stage.seconds * count * factor


def _outcome(run: _Run) -> Outcome:
    """Figures from the warm-up's end to the moment when the first stage runs out of photos."""
    begin = sorted(run.left)[int(WARM_UP * run.photos)]
    end = max(run.entered)
    left = [photo for photo in range(run.photos) if begin < run.left[photo] <= end]
    span = end - begin
    busy = {
        pool: sum(
            max(0.0, min(end, until) - max(begin, since)) for which, since, until in run.work if which == pool
        )
        / (servers * span)
        for pool, servers in run.worker.pools
    }
    # Counted when something changes, not from the stays: so Little's law tests it.
    steps = sorted([(time, 1) for time in run.entered] + [(time, -1) for time in run.left])
    area, inside, before = 0.0, 0, begin
    for time, change in steps:
        if begin < time <= end:
            area += inside * (time - before)
            before = time
        inside += change
        if time > end:
            break
    return Outcome(
        rate=len(left) / span,
        busy=busy,
        inside=area / span,
        stay_s=sum(run.left[photo] - run.entered[photo] for photo in left) / len(left),
    )
