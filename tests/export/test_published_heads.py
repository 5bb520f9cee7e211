"""Real CLIP ViT-L/14 vectors through the exported published heads and gallery find the published places.

All behind the backbone is GeoCLIP's own; the bundle's backbone is a small random one that nothing here uses.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from geolocate.bundle import IMAGE_HEAD, Bundle
from geolocate.concept_map import map_known_concept
from geolocate.concepts import ZERO_SHOT, ConceptBank, ConceptEntry
from geolocate.gallery import Gallery
from geolocate.places import PlaceIndex
from geolocate.session import Retrieval
from geolocate.sphere import great_circle_km, unit_vectors
from geolocate.text import ModalityMeans

EMBEDDINGS = Path(__file__).resolve().parents[3] / "shared" / "embeddings"
pytestmark = pytest.mark.skipif(
    not EMBEDDINGS.is_dir(), reason="the real CLIP vectors do not lie beside the repository"
)

#: Great-circle distances of the literature's accuracies.
THRESHOLDS_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)
#: What the published heads reach on the 60 news photos, in per cent.
NEWS_ACCURACY = (10.0, 21.7, 31.7, 53.3, 78.3)
ONE_PHOTO = 100.0 / 60.0
#: Art movements that are called after a place, and its country.
NAMED_AFTER = {
    "american impressionism": "US", "american realism": "US", "ashcan school": "US",
    "australian tonalism": "AU", "bengal school of art": "IN", "berlin secession": "DE",
    "german romanticism": "DE", "harlem renaissance": "US", "heidelberg school": "AU",
    "hudson river school": "US", "paris school": "FR", "qajar art": "IR", "quito school": "EC",
    "vancouver school": "CA", "viennese actionism": "AT",
}  # fmt: skip
#: Which row of the Mexican vectors the stored top-5 belongs to.
MEXICO_CITY = 0

Array = NDArray[Any]


@pytest.fixture(scope="module")
def bundle(published_heads: Bundle) -> Bundle:
    return published_heads


@pytest.fixture(scope="module")
def gallery(bundle: Bundle) -> Gallery:
    return Gallery.from_bundle(bundle)


@pytest.fixture(scope="module")
def retrieval(bundle: Bundle, gallery: Gallery) -> Retrieval:
    return Retrieval(bundle, gallery.embeddings, gallery.log_weights, "cpu")


@pytest.fixture(scope="module")
def news() -> list[dict[str, str]]:
    with (EMBEDDINGS / "news_places.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def head(bundle: Bundle, features: Array) -> Array:
    session = onnxruntime.InferenceSession(str(bundle.file(IMAGE_HEAD)), providers=["CPUExecutionProvider"])
    embeddings: Array = session.run(None, {"features": features.astype(np.float32)})[0]
    return embeddings


def errors_km(gallery: Gallery, retrieval: Retrieval, embeddings: Array, news: list[dict[str, str]]) -> Array:
    """Great-circle distance from the published ranking's first to the true place, by row."""
    posteriors = retrieval.posteriors(embeddings)
    best = [gallery.rank(posterior, 1, "published")[0][0] for posterior in posteriors]
    guessed = unit_vectors(*gallery.coordinates[best].T)
    truth = np.array([(float(row["latitude"]), float(row["longitude"])) for row in news])
    true = unit_vectors(*truth.T)
    return np.array([great_circle_km(a[None], b)[0] for a, b in zip(guessed, true, strict=True)])


def accuracies(errors: Array) -> list[float]:
    found = [float((errors <= limit).mean() * 100) for limit in THRESHOLDS_KM]
    print("within", ", ".join(f"{t:g} km {a:.1f} %" for t, a in zip(THRESHOLDS_KM, found, strict=True)))
    return found


def test_mexico_city_gets_the_published_top_five(gallery: Gallery, retrieval: Retrieval) -> None:
    raw = np.load(EMBEDDINGS / "geoclip_mexico_image_embeddings.npy")[[MEXICO_CITY]]
    with (EMBEDDINGS / "geoclip_mexico_cdmx_top5.csv").open(encoding="utf-8") as file:
        expected = list(csv.DictReader(file))
    embedding = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    (posterior,) = retrieval.posteriors(embedding)
    ranked = gallery.rank(posterior, 5, "published")
    found = [gallery.coordinates[index] for index, _ in ranked]
    wanted = [(float(row["pred_lat"]), float(row["pred_lon"])) for row in expected]
    assert np.array(found) == pytest.approx(np.array(wanted), abs=1e-5)  # stored in float32
    assert [share for _, share in ranked] == pytest.approx(
        [float(row["probability"]) for row in expected], abs=1e-4
    )


def test_news_photos_reach_the_published_accuracies(
    bundle: Bundle, gallery: Gallery, retrieval: Retrieval, news: list[dict[str, str]]
) -> None:
    rows = [int(row["row"]) for row in news]
    features = np.load(EMBEDDINGS / "news_image_embeddings.npy")[rows].astype(np.float32)
    found = accuracies(errors_km(gallery, retrieval, head(bundle, features), news))
    for accuracy, published in zip(found, NEWS_ACCURACY, strict=True):
        assert abs(accuracy - published) <= ONE_PHOTO + 0.1


def test_normalised_features_ruin_it_so_the_head_must_get_raw_ones(
    bundle: Bundle, gallery: Gallery, retrieval: Retrieval, news: list[dict[str, str]]
) -> None:
    rows = [int(row["row"]) for row in news]
    features = np.load(EMBEDDINGS / "news_image_embeddings.npy")[rows].astype(np.float32)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert accuracies(errors_km(gallery, retrieval, head(bundle, unit), news))[2] < 10.0


def test_captions_with_the_gap_closed_find_half_of_the_places_within_25_km(
    bundle: Bundle, gallery: Gallery, retrieval: Retrieval, news: list[dict[str, str]]
) -> None:
    """The means come from the 940 rows without a place: nothing is fitted on what is tested."""
    rows = [int(row["row"]) for row in news]
    texts = np.load(EMBEDDINGS / "news_caption_embeddings.npy").astype(np.float32)
    images = np.load(EMBEDDINGS / "news_image_embeddings.npy").astype(np.float32)
    others = np.setdiff1d(np.arange(len(texts)), rows)
    assert len(others) == 940
    means = ModalityMeans.of(texts[others], images[others])
    print(f"mean norm of image features: {means.image_norm:.2f}")
    raw = accuracies(errors_km(gallery, retrieval, head(bundle, texts[rows]), news))
    closed = accuracies(errors_km(gallery, retrieval, head(bundle, means.close_gap(texts[rows])), news))
    assert closed[1] >= 50.0
    assert closed[1] >= raw[1]
    assert closed[0] > raw[0]


def test_concept_maps_of_art_movements_find_the_country_they_are_called_after(
    bundle: Bundle, gallery: Gallery
) -> None:
    """The area under the ROC curve of the home country's points; the whole list is in benchmarks/."""
    names = (EMBEDDINGS / "art_movements.txt").read_text(encoding="utf-8").splitlines()
    vectors = np.load(EMBEDDINGS / "art_movement_text_embeddings.npy").astype(np.float32)
    texts = np.load(EMBEDDINGS / "news_caption_embeddings.npy").astype(np.float32)
    images = np.load(EMBEDDINGS / "news_image_embeddings.npy").astype(np.float32)
    directions = head(bundle, ModalityMeans.of(texts, images).close_gap(vectors))
    entries = tuple(ConceptEntry(name, "", (), 0.0, None, True, True) for name in names)
    bank = ConceptBank(entries, directions, ZERO_SHOT)
    codes = PlaceIndex.load().country_codes
    areas = []
    for name, code in NAMED_AFTER.items():
        found = map_known_concept(bank, names.index(name), gallery).scores
        home = gallery.countries == codes.index(code)
        ranks = np.searchsorted(np.sort(found[~home]), found[home])  # elsewhere, below each point at home
        areas.append(float(ranks.mean() / (~home).sum()))
    print({name: round(area, 3) for name, area in zip(NAMED_AFTER, areas, strict=True)})
    assert np.median(areas) >= 0.9
