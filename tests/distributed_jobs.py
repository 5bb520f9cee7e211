"""A distributed job as the command makes it, ready to be run in a cluster that is there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from geolocate.bundle import load_bundle
from geolocate.decoded_item import DecodeOptions
from geolocate.distributed.plan import Plan, write_plan
from geolocate.distributed.stages import Decoding, Locating
from geolocate.distributed.store import Folder
from geolocate.duplicates import told_apart
from geolocate.photos import find_photos

TOP_K = 2


@dataclass(frozen=True)
class Job:
    """A job with its plan."""

    store: Folder
    plan: Plan
    decoding: Decoding
    locating: Locating


def job_of(photos: Path, output: Path, partition_size: int) -> Job:
    bundle = load_bundle("starter")
    found = find_photos([os.fspath(photos)], on_warning=lambda text: None)
    store = Folder(output)
    with store.claimed():
        plan = write_plan(store, {}, told_apart(found, lambda photo: False), partition_size)
    decoding = Decoding(bundle.manifest.image.size, DecodeOptions(), True, os.getcwd(), (os.fspath(photos),))
    locating = Locating(
        model="starter",
        sha256=bundle.sha256,
        device="cpu",
        precision="fp32",
        batch_size=None,
        priors=(),
        gallery=None,
        geocoder="offline",
        top_k=TOP_K,
        ranking="merged",
        concepts=5,
        by="place",
        abstain_km=None,
    )
    return Job(store, plan, decoding, locating)
