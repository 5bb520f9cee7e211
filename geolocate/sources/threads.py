"""Threads that wait for servers, and that the end of the program does not wait for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Value = TypeVar("Value")


class WaitingThreads(Generic[Value]):
    """As a ThreadPoolExecutor, but of daemon threads: Ctrl-C need not wait until a silent server gives up.

    Args:
        count: of threads, started when there is something to do.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._work: queue.SimpleQueue[tuple[Future[Value], Callable[[], Value]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, action: Callable[[], Value]) -> Future[Value]:
        """What `action` will give; from one thread only."""
        future: Future[Value] = Future()
        self._work.put((future, action))
        if len(self._threads) < self._count:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def close(self) -> None:
        """Drops what has not begun; what has ends by itself."""
        while True:
            try:
                item = self._work.get_nowait()
            except queue.Empty:
                break
            if item is not None:
                item[0].cancel()
        for _ in self._threads:
            self._work.put(None)

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            future, action = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                value = action()
            except BaseException as error:  # whoever asks for the result gets it
                future.set_exception(error)
            else:
                future.set_result(value)
