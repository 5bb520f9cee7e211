"""GeoJSON: valid by RFC 7946 whatever the names, and the same positions when it is read back."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geolocate.records import COLUMNS, Prediction
from geolocate.writers.geojson import GeojsonWriter
from geolocate.writers.rows import rows_of
from geolocate.writers.target import FileTarget

Written = Callable[..., Path]
SCHEMA = Path(__file__).with_name("rfc7946.schema.json")


def features(path: Path) -> list[dict[str, Any]]:
    """The features of a file that is valid."""
    jsonschema = pytest.importorskip("jsonschema")

    def refuse(text: str) -> float:
        raise AssertionError(f"{text} is no JSON")

    collection = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(collection)
    found: list[dict[str, Any]] = collection["features"]
    return found


def test_the_schema_refuses_what_the_standard_forbids(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    path = tmp_path / "bad.geojson"
    point = {"type": "Point", "coordinates": [1, 2]}
    for bad in (
        {"type": "FeatureCollection"},
        {"type": "FeatureCollection", "features": [], "crs": {}},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": point}]},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}}]},
        {
            "type": "FeatureCollection",
            "features": [
                {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [43, 181]}}
            ],
        },
    ):
        path.write_text(json.dumps(bad), encoding="utf-8")
        with pytest.raises(jsonschema.ValidationError):
            features(path)


def test_each_photo_and_rank_is_a_feature_with_the_columns_as_properties(
    written: Written, located: Prediction, failed: Prediction
) -> None:
    path = written("geojson", located, failed)
    first, second, last = features(path)
    assert first["geometry"] == {"type": "Point", "coordinates": [-73.9, 43.467448]}
    assert tuple(first["properties"]) == COLUMNS
    assert [f["properties"] for f in (first, second, last)] == [*rows_of(located), *rows_of(failed)]
    assert (first["properties"]["radius_km"], second["properties"]["radius_km"]) == (12.346, None)
    assert last["geometry"] is None
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2 + 3  # a line each


def test_without_any_photo_the_collection_is_empty(written: Written) -> None:
    assert features(written("geojson")) == []


def test_the_edges_of_the_map_are_valid_and_no_zero_is_negative(
    written: Written, everywhere: list[Prediction]
) -> None:
    path = written("geojson", *everywhere)
    points = [feature["geometry"] and feature["geometry"]["coordinates"] for feature in features(path)]
    assert points == [
        [180, 0], [-180, 0], [0, 90], [0, -90], [12.345679, 0], [0, 51.4779], None, None, None, None
    ]  # fmt: skip
    assert "-0.0" not in path.read_text(encoding="utf-8")


def test_hostile_names_are_text_and_bytes_that_are_none_survive(
    written: Written, hostile: list[Prediction]
) -> None:
    found = features(written("geojson", *hostile))
    rows = [row for prediction in hostile for row in rows_of(prediction)]
    for feature, row in zip(found, rows, strict=True):
        properties, photo = feature["properties"], os.fsencode(str(row["photo"]))
        if "photo_bytes" in properties:
            assert base64.b64decode(properties["photo_bytes"]) == photo
            assert "\ufffd" in properties["photo"]
        else:
            assert properties["photo"].encode() == photo


def test_geopandas_reads_the_same_positions(
    written: Written, located: Prediction, everywhere: list[Prediction], hostile: list[Prediction]
) -> None:
    geopandas = pytest.importorskip("geopandas")
    path = written("geojson", located, *everywhere, *hostile)
    table = geopandas.read_file(path)
    assert table.crs.to_epsg() == 4326
    expected = [feature["geometry"] and feature["geometry"]["coordinates"] for feature in features(path)]
    assert [None if point is None else [point.x, point.y] for point in table.geometry] == expected
    assert list(table["rank"][:2]) == [1, 2]
    assert table["radius_km"][0] == 12.346


def test_an_interrupted_run_keeps_its_features_so_far_under_another_name(
    tmp_path: Path, located: Prediction
) -> None:
    path = tmp_path / "out.geojson"
    path.write_text("old", encoding="utf-8")
    writer = GeojsonWriter(FileTarget(path))
    writer.write(located)
    kept = writer.abort()
    assert path.read_text(encoding="utf-8") == "old"
    assert kept is not None
    lines = kept.read_text(encoding="utf-8").splitlines()[1:]
    assert json.loads(lines[0].removesuffix(","))["properties"]["photo"] == "photos/a.jpg"
