"""Where a concept lives: scores at points, means of areas, GeoJSON, and the picture."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from concept_worlds import CONCEPT_NAMES, HOMES, POINTS_EACH, axis, concept_world
from PIL import Image

from geolocate.bundle import load_bundle
from geolocate.concept_map import ConceptMap, map_direction, map_known_concept
from geolocate.concepts import ConceptBank
from geolocate.drawing import draw_map, is_own_picture
from geolocate.gallery import Gallery


@pytest.fixture(scope="module", params=["zero-shot", "trained"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ConceptBank, Gallery]:
    bundle = load_bundle(concept_world(tmp_path_factory.mktemp("map") / "world", request.param))
    bank = ConceptBank.from_bundle(bundle)
    assert bank is not None
    return bank, Gallery.from_bundle(bundle)


@pytest.mark.parametrize(("code", "concept"), [(code, concept) for code, _, concept in HOMES])
def test_a_concept_is_strongest_where_it_lives(
    world: tuple[ConceptBank, Gallery], code: str, concept: str
) -> None:
    bank, gallery = world
    found = map_known_concept(bank, axis(concept), gallery)
    countries = found.countries()
    assert countries[0].country_code == code
    assert countries[0].score > 1.0
    assert countries[0].points >= POINTS_EACH - 10
    assert found.regions()[0].country_code == code
    assert found.regions()[0].region


def test_a_concept_that_is_everywhere_alike_has_no_home(world: tuple[ConceptBank, Gallery]) -> None:
    bank, gallery = world
    assert all(abs(area.score) < 0.7 for area in map_known_concept(bank, axis("street"), gallery).countries())


def test_a_direction_of_any_length_gives_cosines(world: tuple[ConceptBank, Gallery]) -> None:
    _, gallery = world
    direction = gallery.embeddings[0]
    found = map_direction("here", 5.0 * direction, gallery)
    assert found.scores[0] == pytest.approx(1.0, abs=1e-5)
    assert np.argmax(found.scores) == 0


def test_geojson_is_a_feature_collection_with_longitude_first(world: tuple[ConceptBank, Gallery]) -> None:
    bank, gallery = world
    found = map_known_concept(bank, 0, gallery)
    written = json.loads("".join(found.geojson()))
    assert written["type"] == "FeatureCollection"
    assert written["concept"] == CONCEPT_NAMES[0]
    assert len(written["features"]) == len(gallery)
    feature = written["features"][7]
    latitude, longitude = gallery.coordinates[7]
    assert feature["geometry"] == {
        "type": "Point",
        "coordinates": [pytest.approx(longitude, abs=1e-6), pytest.approx(latitude, abs=1e-6)],
    }
    assert feature["properties"]["score"] == pytest.approx(float(found.scores[7]), abs=1e-5)


def test_few_points_are_no_country(world: tuple[ConceptBank, Gallery]) -> None:
    _, gallery = world
    few = np.zeros(len(gallery), dtype=bool)
    few[:9] = True
    assert ConceptMap("x", gallery.subset(few), np.arange(9, dtype=np.float32)).countries() == []


def test_a_map_where_all_points_score_alike_is_flat_and_can_be_drawn(
    world: tuple[ConceptBank, Gallery], tmp_path: Path
) -> None:
    _, gallery = world
    flat = ConceptMap("$x^2$ \x1b[31m", gallery, np.full(len(gallery), 0.3, np.float32))
    assert not flat.deviations.any()
    (tmp_path / "m.png").write_bytes(draw_map(flat, subtitle="$\\frac{"))
    assert is_own_picture(str(tmp_path / "m.png"))


def test_the_picture_is_red_at_home_and_its_land_is_not_the_sea(world: tuple[ConceptBank, Gallery]) -> None:
    bank, gallery = world
    picture = Image.open(io.BytesIO(draw_map(map_known_concept(bank, axis("torii"), gallery), subtitle="s")))
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[1] > 1.5 * pixels.shape[0]
    map_part = pixels[100:700]
    red = (map_part[..., 0] > 200) & (map_part[..., 1] < 130) & (map_part[..., 2] < 110)
    assert red.any()
    assert np.nonzero(red)[1].mean() > 0.7 * pixels.shape[1]  # Japan is on the right
    land = (map_part == (0xE6, 0xE3, 0xDC)).all(axis=2).mean()
    assert 0.1 < land < 0.5


def test_a_photo_is_never_taken_for_a_picture_of_ours(drawn_photos: Path, tmp_path: Path) -> None:
    assert not is_own_picture(str(next(iter(sorted(drawn_photos.iterdir())))))
    Image.new("RGB", (4, 4)).save(tmp_path / "theirs.png")
    assert not is_own_picture(str(tmp_path / "theirs.png"))
    assert not is_own_picture(str(tmp_path / "nothing.png"))
