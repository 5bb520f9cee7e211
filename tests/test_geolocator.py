"""The pipeline on real decoders and the shipped starter: what a user of the Python interface relies on."""

from __future__ import annotations

import csv
import io
import itertools
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geopy.distance import geodesic
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException
from PIL import Image

from geolocate import Geolocator
from geolocate.errors import BundleDamaged, BundlePartMissing, DeviceError, UsageError
from geolocate.geodesic import geodesic_km
from geolocate.records import Position, Prediction
from geolocate.session import Embedded
from geolocate.writers.rows import rows_of


@pytest.fixture(scope="module")
def starter() -> Geolocator:
    return Geolocator.load("starter", device="cpu", say=lambda text: None)


def written(predictions: list[Prediction]) -> list[dict[str, object]]:
    return [row for prediction in predictions for row in rows_of(prediction)]


def test_a_photo_gets_candidates_with_everything_a_row_needs(starter: Geolocator, drawn_photos: Path) -> None:
    predictions = list(starter.locate([drawn_photos], top_k=5))
    assert [Path(p.photo).name for p in predictions] == sorted(p.name for p in drawn_photos.iterdir())
    for prediction in predictions:
        assert prediction.error is None
        assert prediction.model == "starter"
        assert [c.rank for c in prediction.candidates] == [1, 2, 3, 4, 5]
        probabilities = [c.probability for c in prediction.candidates]
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0 < sum(probabilities) <= 1
        assert prediction.candidates[0].radius_km is not None
        assert prediction.candidates[0].radius_km > 0
        assert all(c.radius_km is None for c in prediction.candidates[1:])
        for candidate in prediction.candidates:
            assert candidate.named is not None
            assert candidate.named.place is not None
            assert len(candidate.named.place.country_code) == 2
            assert prediction.exif is not None
            here = (candidate.position.latitude, candidate.position.longitude)
            truth = (prediction.exif.latitude, prediction.exif.longitude)
            assert candidate.error_km == pytest.approx(geodesic(here, truth).km, rel=1e-9)


def test_the_drawn_positions_come_back_from_exif(starter: Geolocator, drawn_photos: Path) -> None:
    found = {Path(p.photo).stem: p.exif for p in starter.locate([drawn_photos])}
    assert found["atacama"] is not None
    assert (found["atacama"].latitude, found["atacama"].longitude) == pytest.approx((-23.9045, -68.2001))
    assert all(p.exif is None for p in starter.locate([drawn_photos], exif=False))


def test_a_photo_gets_the_same_row_in_every_batch(drawn_photos: Path) -> None:
    rows = [
        written(
            list(Geolocator.load("starter", device="cpu", batch_size=size).locate([drawn_photos], top_k=5))
        )
        for size in (1, 2, 3, 8)
    ]
    assert rows[0] == rows[1] == rows[2] == rows[3]


def test_a_photo_gets_the_same_row_alone_and_among_others(starter: Geolocator, drawn_photos: Path) -> None:
    together = {p.photo: p for p in starter.locate([drawn_photos], top_k=5)}
    for photo, prediction in together.items():
        assert written(list(starter.locate([photo], top_k=5))) == written([prediction])


def test_one_bad_photo_costs_one_row_and_keeps_its_place(
    starter: Geolocator, drawn_photos: Path, tmp_path: Path
) -> None:
    good = sorted(drawn_photos.iterdir())
    shutil.copy(good[0], tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(good[1].read_bytes()[:20_000])
    (tmp_path / "c.jpg").write_bytes(b"")
    shutil.copy(good[2], tmp_path / "d.jpg")
    (tmp_path / "e.jpg").symlink_to(tmp_path / "nowhere")
    predictions = list(starter.locate([tmp_path], top_k=3))
    assert [Path(p.photo).name for p in predictions] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]
    assert [p.error is None for p in predictions] == [True, False, False, True, False]
    assert [len(p.candidates) for p in predictions] == [3, 0, 0, 3, 0]
    alone = next(iter(starter.locate([good[2]], top_k=3)))
    assert predictions[3].candidates == alone.candidates


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
@pytest.mark.filterwarnings("ignore:invalid value")  # numpy's remark on inf - inf
def test_a_photo_for_which_the_model_gives_no_vector_does_not_take_its_batch_along(
    starter: Geolocator, drawn_photos: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    expected = list(starter.locate([drawn_photos]))
    encode = starter._encoders.image_encoder

    def with_nan(pixels: list[NDArray[np.uint8]], rows: int) -> Embedded:
        embedded = encode(pixels, rows)
        embedded.embeddings[1:2] = value
        return embedded

    monkeypatch.setattr(starter._encoders, "image_encoder", with_nan)
    found = list(starter.locate([drawn_photos]))
    assert found[1].error == "the model gave no number for this photo"
    assert found[1].candidates == ()
    assert [found[i] for i in (0, 2, 3)] == [expected[i] for i in (0, 2, 3)]


def test_photos_that_are_located_at_the_same_time_have_the_same_rows(
    starter: Geolocator, drawn_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(starter.locate([drawn_photos], top_k=5))
    with ThreadPoolExecutor(3) as pool:
        monkeypatch.setattr(starter._placer, "_pool", pool)
        assert list(starter.locate([drawn_photos], top_k=5)) == expected
        assert list(starter.locate([drawn_photos], by="country")) != expected


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeException(
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer"
        ),
        Fail(
            "[ONNXRuntimeError] : 1 : FAIL : BFCArena::AllocateRawInternal Available memory of 0 is smaller"
        ),
    ],
    ids=["python", "runtime", "arena"],
)
def test_a_batch_too_large_for_memory_is_made_smaller_and_said_once(
    drawn_photos: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    said: list[str] = []
    small = Geolocator.load("starter", device="cpu", batch_size=4, say=said.append)
    expected = written(list(small.locate([drawn_photos])))
    session = small._encoders.image_encoder.graph.session

    class Limited:
        def run(self, outputs: list[str], inputs: dict[str, NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
            if len(inputs["pixels"]) > 1:
                raise error
            found: list[NDArray[np.float32]] = session.run(outputs, inputs)
            return found

    monkeypatch.setattr(small._encoders.image_encoder.graph, "session", Limited())
    assert written(list(small.locate([drawn_photos]))) == expected
    assert said == ["not enough memory for a batch: going on with smaller ones"]


def test_another_fault_of_the_runtime_is_not_taken_for_a_lack_of_memory(
    drawn_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Geolocator.load("starter", device="cpu", say=lambda text: None)

    class Broken:
        def run(self, outputs: list[str], inputs: dict[str, NDArray[np.uint8]]) -> None:
            raise Fail("[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned")

    monkeypatch.setattr(broken._encoders.image_encoder.graph, "session", Broken())
    with pytest.raises(BundleDamaged, match="cannot be run"):
        list(broken.locate([drawn_photos]))


def test_what_has_arrived_is_not_kept_waiting_for_what_has_not(
    starter: Geolocator, drawn_photos: Path
) -> None:
    """A program that sends one path and waits for its row gets it, however large the batch."""
    photo = str(next(drawn_photos.iterdir()))
    answered = threading.Event()

    def one_at_a_time() -> Iterator[str]:
        for _ in range(3):
            answered.clear()
            yield photo
            assert answered.wait(30), "the row never came"

    count = 0
    for prediction in starter.locate(one_at_a_time()):
        assert prediction.error is None
        count += 1
        answered.set()
    assert count == 3


def test_a_fault_of_the_source_of_paths_reaches_the_caller_after_the_photos_before_it(
    starter: Geolocator, drawn_photos: Path
) -> None:
    def broken() -> Iterator[str]:
        yield str(next(drawn_photos.iterdir()))
        raise KeyError("source")

    found = starter.locate(broken())
    assert next(found).error is None
    with pytest.raises(KeyError, match="source"):
        next(found)


@pytest.mark.parametrize("paths", ["photos/", b"photos/", Path("/")])
def test_a_single_path_is_refused_because_it_reads_as_a_list_of_letters(
    starter: Geolocator, paths: Any
) -> None:
    with pytest.raises(UsageError, match="list"):
        starter.locate(paths)
    with pytest.raises(UsageError, match="list"):
        starter.query("a souk in the desert")


@pytest.mark.parametrize("wish", [{"top_k": 1.5}, {"ranking": "foo"}, {"concepts": -1}])
def test_what_makes_no_sense_is_refused(starter: Geolocator, wish: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        starter.locate([], **wish)
    for options in ({"device": "tpu"}, {"batch_size": -1}):
        with pytest.raises(UsageError):
            Geolocator.load("starter", **options)  # type: ignore[arg-type]


def test_photos_are_read_lazily_and_a_bounded_number_ahead(starter: Geolocator, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    asked = 0

    def endless() -> Iterator[str]:
        nonlocal asked
        while True:
            Image.new("RGB", (20, 20), (asked % 256, asked // 256, 0)).save(photo)
            yield os.fspath(photo.rename(tmp_path / f"{asked}.png"))
            asked += 1

    predictions = starter.locate(endless())
    assert len(list(itertools.islice(predictions, 20))) == 20
    # Four photos are a batch on the CPU: one being encoded, one gathered, two ahead, and one a worker.
    assert asked <= 20 + 5 * 4 + (os.cpu_count() or 1) + 1
    predictions.close()  # type: ignore[attr-defined]


def test_a_photo_that_changes_nothing_about_orientation_is_decoded_upright(
    starter: Geolocator, real_photos: Path
) -> None:
    upright, *turned = (
        next(iter(starter.locate([real_photos / "exif" / f"landscape_{n}.jpg"]))) for n in range(1, 9)
    )
    for other in turned:
        assert other.candidates[0].probability == pytest.approx(upright.candidates[0].probability, rel=0.2)


def test_rankings_differ_only_in_what_they_count_as_one(starter: Geolocator, drawn_photos: Path) -> None:
    photo = next(drawn_photos.iterdir())
    even = replace(starter.gallery, weights=np.ones(len(starter.gallery), np.float32))
    unweighted = Geolocator(starter.bundle, device="cpu", gallery=even, say=lambda text: None)
    points = next(iter(unweighted.locate([photo], top_k=10, ranking="points")))
    published = next(iter(starter.locate([photo], top_k=10, ranking="published")))
    # The published ranking knows no weights, and the starter's gallery has no duplicates: the two agree.
    assert [c.position for c in points.candidates] == [c.position for c in published.candidates]
    chances = [[c.probability for c in found.candidates] for found in (points, published)]
    assert chances[0] == pytest.approx(chances[1], rel=1e-4)
    merged = next(iter(starter.locate([photo], top_k=20_000)))
    everything = next(iter(starter.locate([photo], top_k=20_000, ranking="points")))
    by_position = {c.position: c.probability for c in everything.candidates}
    assert len(merged.candidates) < len(everything.candidates)
    assert all(c.probability >= by_position[c.position] for c in merged.candidates)
    for predicted in (merged, everything):
        assert sum(c.probability for c in predicted.candidates) == pytest.approx(1, abs=1e-4)


def test_top_k_of_nothing_is_refused_before_any_work(starter: Geolocator) -> None:
    with pytest.raises(UsageError):
        starter.locate(["nowhere.jpg"], top_k=0)


def test_asking_for_cuda_where_there_is_none_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geolocate.device.cuda_problem", lambda: "no NVIDIA driver")
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        Geolocator.load("starter", device="cuda")


def test_auto_falls_back_to_the_cpu_and_says_why_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geolocate.device.cuda_problem", lambda: "no NVIDIA driver")
    said: list[str] = []
    assert Geolocator.load("starter", device="auto", say=said.append).device == "cpu"
    assert said == ["running on the CPU: no NVIDIA driver"]


def test_auto_falls_back_where_cuda_fails_only_when_a_session_is_opened(
    monkeypatch: pytest.MonkeyPatch, drawn_photos: Path
) -> None:
    """Nothing speaks against CUDA beforehand, but no session comes to use it, as with too old a driver."""
    monkeypatch.setattr("geolocate.device.cuda_problem", lambda: None)
    said: list[str] = []
    fallen = Geolocator.load("starter", device="auto", say=said.append)
    assert fallen.device == "cpu"
    assert len(said) == 1
    assert "CUDA does not work" in said[0]
    assert next(iter(fallen.locate([drawn_photos]))).error is None
    with pytest.raises(DeviceError):
        Geolocator.load("starter", device="cuda")


def test_geodesic_is_on_the_ellipsoid() -> None:
    # A quarter of a meridian of WGS-84 is 10,001.966 km, of the mean sphere 10,007.557 km.
    north_pole, equator = Position(90, 0), Position(0, 0)
    assert geodesic_km(north_pole, equator) == pytest.approx(10_001.966, abs=0.001)


def test_the_real_photos_read_as_csv(starter: Geolocator, real_photos: Path) -> None:
    """The five photos of Arezzo have real positions; each of the five ranks says how far off it is."""
    buffer = io.StringIO()
    predictions = list(starter.locate([real_photos / "exif" / "DSCN0010.jpg"], top_k=5))
    table = csv.DictWriter(buffer, fieldnames=list(written(predictions)[0]))
    table.writerows(written(predictions))
    assert predictions[0].exif is not None
    assert predictions[0].exif.latitude == pytest.approx(43.467448, abs=1e-5)
    assert predictions[0].exif.longitude == pytest.approx(11.885127, abs=1e-5)
    assert len(buffer.getvalue().splitlines()) == 5


def test_features_give_what_the_photos_give(starter: Geolocator) -> None:
    """Features (N, c) go through the image head; a row depends on no other and NaN fails one row alone."""
    rng = np.random.default_rng(5)
    features = rng.normal(0, 1, (600, starter.bundle.manifest.feature_dim)).astype(np.float16)
    features[3] = np.nan
    found = list(starter.locate_features(features, name="f.npy", top_k=2))
    assert [p.photo for p in found] == [f"f.npy#{row}" for row in range(600)]
    assert [p.error is None for p in found] == [row != 3 for row in range(600)]
    alone = next(iter(starter.locate_features(features[299:300], name="f.npy", top_k=2)))
    assert alone.candidates == found[299].candidates
    expected = starter._encoders.image_head(np.asarray(features[:1], dtype=np.float32)).embeddings
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "features",
    [np.zeros((2, 7)), np.zeros(128), np.zeros((2, 128), dtype=complex)],
    ids=["width", "1-d", "complex"],
)
def test_features_of_another_model_are_refused(starter: Geolocator, features: NDArray[np.float64]) -> None:
    with pytest.raises(UsageError, match="128"):
        starter.locate_features(features)


def test_a_bundle_without_a_text_encoder_says_so(starter: Geolocator) -> None:
    with pytest.raises(BundlePartMissing, match="text"):
        starter.query(["a souk in the desert"])
    with pytest.raises(UsageError, match="empty"):
        starter.query([" "])
