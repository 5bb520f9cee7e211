"""Stages by themselves, without a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as arrow
import pytest

from geolocate import errors
from geolocate.decoded_item import DecodedItem, DecodeOptions
from geolocate.distributed import stages
from geolocate.distributed.faults import Told, fault_in, telling
from geolocate.distributed.plan import PlannedPhoto, photos_to_json


def row(*photos: Path) -> arrow.Table:
    planned = photos_to_json(PlannedPhoto(os.fspath(photo), None) for photo in photos)
    return arrow.table({"partition": [3], "photos": [planned]})


def decoding(folder: Path) -> stages.Decoding:
    return stages.Decoding(160, DecodeOptions(workers=1), True, os.fspath(folder), ())


def test_a_photo_that_fails_has_an_error_and_no_pixels(drawn_photos: Path, tmp_path: Path) -> None:
    block = stages.decode(row(drawn_photos / "alps.jpg", tmp_path / "gone.jpg"), decoding(tmp_path))
    assert block["partition"].to_pylist() == [3, 3]
    assert block["error"].to_pylist() == [None, '"no such file"']
    assert [pixels and len(pixels) for pixels in block["pixels"].to_pylist()] == [160 * 160 * 3, None]


@pytest.mark.parametrize("died_before", [False, True])
def test_photos_that_a_process_died_over_are_decoded_in_isolation(
    died_before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolated = []

    def decode_batches(
        photos: object, size: int, batch: int, options: DecodeOptions, **rest: object
    ) -> Iterator[list[DecodedItem]]:
        isolated.append(options.isolate)
        yield []

    monkeypatch.setattr(stages, "decode_batches", decode_batches)
    monkeypatch.setattr(stages, "earlier_attempts", lambda: int(died_before))
    stages.decode(row(), decoding(tmp_path))
    assert isolated == [died_before]


@pytest.mark.parametrize(
    "error",
    [errors.ClusterError('a "b"\nc'), errors.BundleDamaged("x"), errors.ExtraMissing("It needs", "ray")],
)
def test_an_error_of_ours_survives_as_text(error: errors.GeolocateError) -> None:
    with pytest.raises(Told) as told, telling():
        raise error
    found = fault_in(f"Traceback ...\nTold: {told.value}\nmore")
    assert (type(found), str(found)) == (type(error), str(error))


@pytest.mark.parametrize(
    "text", ["", "geolocate says [1]", "geolocate says [1, 2", 'geolocate says ["Told", "x"]']
)
def test_no_other_text_is_one(text: str) -> None:
    assert fault_in(text) is None
