"""Asking again: servers that are busy, broken or silent get a few tries, later and later."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from geolocate.errors import PhotoNotReadable
from geolocate.sources.limits import FetchLimits

Value = TypeVar("Value")

#: A server that asks to be left alone for longer is not waited for so long.
LONGEST_WAIT_S = 30.0

ACCESS_DENIED = "access denied: check the credentials in the environment"
NOT_FOUND = "not found (404)"


class Transient(Exception):
    """A fault that may be gone at the next try.

    Args:
        reason: for the row's `error`.
        wait_s: how long the server asks to be left alone.
    """

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Patience:
    """The tries and the time that one photo has, or one archive.

    Args:
        total_s: seconds from now on; None for an archive, of which any number of photos come.
        sleep, clock: seconds.
    """

    def __init__(
        self,
        limits: FetchLimits,
        total_s: float | None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._total_s = total_s
        self._sleep, self._clock = sleep, clock
        self._end = None if total_s is None else clock() + total_s

    def left_s(self) -> float:
        """Seconds that the next step may take; of an archive each may take as long as a photo.

        Raises:
            PhotoNotReadable: none are left.
        """
        left = self.limits.total_s if self._end is None else self._end - self._clock()
        if left <= 0:
            raise PhotoNotReadable(f"took longer than {self._total_s:g} s to come")
        return left

    def attempt(self, action: Callable[[], Value]) -> Value:
        """What `action` gives, asked again where it raises Transient.

        Waits grow twofold and differ by chance, so that many do not come back at once.

        Raises:
            PhotoNotReadable: it never worked, with the last reason.
        """
        wait_s = self.limits.wait_s
        for last in range(self.limits.tries - 1, -1, -1):
            self.left_s()
            try:
                return action()
            except Transient as fault:
                if not last:
                    tries = "1 try" if self.limits.tries == 1 else f"{self.limits.tries} tries"
                    raise PhotoNotReadable(f"{fault} after {tries}") from None
                self._sleep(min(LONGEST_WAIT_S, max(fault.wait_s, wait_s * random.uniform(0.5, 1.5))))
                wait_s *= 2
        raise AssertionError("the last try returns or raises")
