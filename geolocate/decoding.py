"""Decoding ahead: photos through threads or processes, a bounded number before the encoder, in order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TypeAlias

from geolocate.decode_processes import DecoderProcesses
from geolocate.decoded_item import DecodedItem as DecodedItem
from geolocate.decoded_item import DecodeOptions as DecodeOptions
from geolocate.decoded_item import SeenPhoto, decode_item, fetch_item
from geolocate.machine import usable_cpus
from geolocate.sources.threads import WaitingThreads
from geolocate.sources.urls import is_url

#: Bound on the pixels that wait for the encoder, whatever the batch.
LOOK_AHEAD_BYTES = 256 * 2**20
#: A source of paths, or the next photo, that is silent for so long: those at hand go on without a full batch.
IDLE_S = 0.2
#: How soon the thread that asks for paths notices that nobody wants them any more.
STOP_CHECK_S = 0.2


_Queue: TypeAlias = "queue.Queue[Future[DecodedItem] | BaseException | None]"


def decode_batches(
    photos: Iterator[str | SeenPhoto], size: int, batch_size: int, options: DecodeOptions, *, exif: bool
) -> Generator[list[DecodedItem], None, None]:
    """Photos in order, in lists of at most `batch_size` decoded ones and any number of others.

    A list is shorter where the source of paths pauses, or one photo takes longer than IDLE_S to come after
    those before it were ready, and lists are empty while that lasts: what is ready is not kept waiting for
    what is not.

    Args:
        photos: asked in a thread, no further ahead than two batches and a photo for each worker. One that
            is at hand passes in its place without being decoded.
        size: side S of the pixels.
        exif: read the EXIF facts as well.
    """
    workers = options.workers or usable_cpus()
    most = max(1, LOOK_AHEAD_BYTES // (size * size * 3))
    ahead: _Queue = queue.Queue(min(2 * batch_size + workers, most))
    stop = threading.Event()
    processes = DecoderProcesses(size, options, exif) if options.isolate else None

    def decode(path: str) -> DecodedItem:
        return processes.decode(path) if processes else decode_item(path, size, options, exif)

    def fetch(url: str) -> DecodedItem:
        return fetch_item(url, options, lambda path: pool.submit(decode, path).result())

    def submit(photo: str | SeenPhoto) -> Future[DecodedItem]:
        if isinstance(photo, str):
            return fetching.submit(lambda: fetch(photo)) if is_url(photo) else pool.submit(decode, photo)
        if photo.at_hand:
            return _done(DecodedItem(photo.file.path, seen=photo))
        path = photo.file.path
        if is_url(path):
            return fetching.submit(lambda: replace(fetch(path), seen=photo))
        return pool.submit(lambda: replace(decode(path), seen=photo))

    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    fetching = WaitingThreads[DecodedItem](options.fetch.parallel, "fetch")
    feeder = threading.Thread(
        target=_feed,
        args=(photos, submit, ahead, stop),
        name="find",
        daemon=True,  # it may hang in a read of a pipe that nobody writes to
    )
    feeder.start()
    try:
        yield from _batches(ahead, min(batch_size, most))
    finally:
        stop.set()
        fetching.close()
        pool.shutdown(wait=False, cancel_futures=True)
        if processes:
            processes.close()


def _feed(
    photos: Iterator[str | SeenPhoto],
    submit: Callable[[str | SeenPhoto], Future[DecodedItem]],
    ahead: _Queue,
    stop: threading.Event,
) -> None:
    """Puts a future for each photo, then what ended it: None, or the source's exception."""

    def put(item: Future[DecodedItem] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                ahead.put(item, timeout=STOP_CHECK_S)
                return
            except queue.Full:
                continue

    try:
        for photo in photos:
            if stop.is_set():
                return
            put(submit(photo))
        put(None)
    except BaseException as error:  # the consumer raises it in its own thread
        if not stop.is_set():
            put(error)


def _done(item: DecodedItem) -> Future[DecodedItem]:
    future: Future[DecodedItem] = Future()
    future.set_result(item)
    return future


def _batches(ahead: _Queue, batch_size: int) -> Generator[list[DecodedItem], None, None]:
    batch: list[DecodedItem] = []
    decoded = 0
    while True:
        try:
            item = ahead.get(timeout=IDLE_S)
        except queue.Empty:
            yield batch
            batch, decoded = [], 0
            continue
        if isinstance(item, Future):
            while not _is_done(item):
                yield batch
                batch, decoded = [], 0
            fault = item.exception()
            if fault is None:
                batch.append(item.result())
                decoded += batch[-1].pixels is not None
                if decoded < batch_size and len(batch) < 16 * batch_size:
                    continue
        else:
            fault = item
        if batch:
            yield batch
            batch, decoded = [], 0
        if fault is not None:
            raise fault
        if item is None:
            return


def _is_done(future: Future[DecodedItem]) -> bool:
    """Whether it is, after waiting for IDLE_S at most."""
    return bool(wait([future], IDLE_S).done)
