"""KML: valid by the schema whatever the names, folders by country, the same positions read back."""

from __future__ import annotations

import base64
import html
import json
import os
import shutil
import subprocess
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geolocate.errors import OutputError
from geolocate.records import Candidate, NamedPosition, Place, Position, Prediction
from geolocate.writers import open_writers
from geolocate.writers.rows import in_json, rows_of

Written = Callable[..., Path]
etree = pytest.importorskip("lxml.etree")
NAMESPACE = "{http://www.opengis.net/kml/2.2}"
#: Everything that may stand in the file and fetches something from elsewhere.
FETCHED = ("href", "Icon", "NetworkLink", "GroundOverlay", "PhotoOverlay", "Model", "link")


def in_country(photo: str, country: str, ranks: int = 1, **more: Any) -> Prediction:
    """A photo whose candidates are all in that country."""
    named = NamedPosition(Place("P", "R", country, country[:2].upper(), Position(1, 2)), 1.0)
    guesses = [
        Candidate(rank, Position(10.0 * rank, 20.0), 0.5 / rank, 100.0 if rank == 1 else None, named, 3.5)
        for rank in range(1, ranks + 1)
    ]
    return Prediction(photo, tuple(guesses), **more)


@pytest.fixture(scope="module")
def schema() -> Any:
    """The schema of KML 2.2 (OGC 07-147r2)."""
    pykml = pytest.importorskip("pykml")
    path = Path(pykml.__file__).with_name("schemas") / "ogckml22.xsd"
    return etree.XMLSchema(etree.parse(os.fspath(path), etree.XMLParser(no_network=True)))


def document(path: Path) -> Any:
    """The Document of a file."""
    (found,) = etree.parse(os.fspath(path)).getroot()
    return found


def children(node: Any, tag: str) -> list[Any]:
    """The elements of that name right below a node."""
    return list(node.findall(NAMESPACE + tag))


def text(node: Any, tag: str) -> str | None:
    """The text of the element of that name right below a node."""
    value: str | None = node.findtext(NAMESPACE + tag)
    return value


def data(placemark: Any) -> dict[str, str]:
    """The columns in a placemark."""
    return {cell.get("name"): text(cell, "value") or "" for cell in placemark.iter(NAMESPACE + "Data")}


def test_files_are_valid_by_the_schema(
    schema: Any,
    written: Written,
    located: Prediction,
    at_sea: Prediction,
    everywhere: list[Prediction],
    hostile: list[Prediction],
) -> None:
    for predictions in ([], [located, at_sea], everywhere, hostile):
        schema.assertValid(etree.parse(os.fspath(written("kml", *predictions))))


def test_photos_lie_in_folders_by_country_and_what_has_none_comes_last(
    written: Written, at_sea: Prediction, failed: Prediction
) -> None:
    nameless = Prediction("x.jpg", (Candidate(1, Position(1, 2), 0.5),))
    photos = [failed, at_sea, nameless, in_country("c.jpg", "Peru"), in_country("b.jpg", "Chad", 2)]
    path = written("kml", *photos, in_country("a.jpg", "Peru"))
    folders = children(document(path), "Folder")
    found = {
        text(folder, "name"): [text(p, "name") for p in children(folder, "Placemark")] for folder in folders
    }
    assert list(found.items()) == [
        ("Chad", ["b.jpg"]),
        ("Peru", ["c.jpg", "a.jpg"]),  # in the order of the run
        ("at sea", ["sea.jpg"]),
        ("no country", ["x.jpg"]),
        ("no position", ["bad.jpg"]),
    ]


def test_lines_go_from_the_guess_to_the_truth_and_other_candidates_are_closed_and_hidden(
    written: Written,
) -> None:
    truth = Position(11.5, -0.0000001)
    path = written("kml", in_country("a.jpg", "Peru", 3, exif=truth), in_country("b.jpg", "Peru"))
    (peru,) = children(document(path), "Folder")
    errors, others = children(peru, "Folder")
    (line,) = children(errors, "Placemark")
    assert text(line, "name") == "a.jpg: 4 km off"
    assert (
        line.findtext(f".//{NAMESPACE}LineString/{NAMESPACE}coordinates")
        == "20.000000,10.000000 0.000000,11.500000"
    )
    assert [text(errors, "name"), text(others, "name")] == ["Peru: errors", "Peru: other candidates"]
    assert [data(placemark)["rank"] for placemark in children(others, "Placemark")] == ["2", "3"]
    assert {text(node, "visibility") for node in (others, *children(others, "Placemark"))} == {"0"}
    assert {text(folder, "open") for folder in (peru, errors, others)} == {None}  # closed


@pytest.mark.parametrize(
    ("radius", "style"),
    [
        (0.5, "radius-25"),
        (25.0, "radius-25"),
        (25.001, "radius-200"),
        (9000.0, "radius-more"),
        (None, "unknown"),
    ],
)
def test_the_style_tells_how_sure_the_guess_is(written: Written, radius: float | None, style: str) -> None:
    path = written("kml", Prediction("a.jpg", (Candidate(1, Position(1, 2), 0.5, radius),)))
    styles = {node.get("id") for node in children(document(path), "Style")}
    (placemark,) = document(path).iter(NAMESPACE + "Placemark")
    assert text(placemark, "styleUrl") == f"#{style}"
    assert style in styles


def test_placemarks_hold_the_columns_and_bytes_that_are_no_text(
    written: Written, located: Prediction, hostile: list[Prediction]
) -> None:
    path = written("kml", located, *hostile)
    found = [data(placemark) for placemark in document(path).iter(NAMESPACE + "Placemark")]
    cells = [cells for cells in found if "model" in cells]  # lines of errors have none
    rows = [in_json(row) for prediction in (located, *hostile) for row in rows_of(prediction)]
    assert len(cells) == len(rows)

    def readable(value: object) -> str:
        """A value as XML can hold it."""
        return "".join("\ufffd" if not fits(ord(character)) else character for character in str(value))

    def fits(code: int) -> bool:
        return code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000

    expected = [{name: readable(value) for name, value in row.items() if value is not None} for row in rows]
    assert sorted(cells, key=json.dumps) == sorted(expected, key=json.dumps)
    assert base64.b64encode(b"caf\xe9/\xff.jpg").decode() in {cells.get("photo_bytes") for cells in found}


def test_a_balloon_shows_names_as_text_and_nothing_is_fetched(
    written: Written, hostile: list[Prediction]
) -> None:
    root = document(written("kml", *hostile))
    tags = {node.tag.removeprefix(NAMESPACE) for node in root.iter()}
    assert not tags & set(FETCHED)
    for style in children(root, "Style"):
        assert text(style.find(NAMESPACE + "BalloonStyle"), "text") == "$[description]"
    for placemark in root.iter(NAMESPACE + "Placemark"):
        page = (
            (text(placemark, "description") or "")
            .replace("<br>", "\n")
            .replace("<b>", "")
            .replace("</b>", "")
        )
        assert "<" not in page
        assert "$[" not in page
    shown = html.unescape(
        "".join(text(placemark, "description") or "" for placemark in root.iter(NAMESPACE + "Placemark"))
    )
    assert "</script><img src=x onerror=alert(1)>.jpg" in shown
    assert "$[description]$[name].jpg" in shown


def positions(predictions: list[Prediction], ranks: Callable[[int], bool]) -> list[tuple[float, float]]:
    """Longitude and latitude of the rows of some ranks."""
    rows = [
        row
        for prediction in predictions
        for row in rows_of(prediction)
        if row["rank"] and ranks(int(row["rank"]))
    ]
    return [
        (float(row["longitude"]), float(row["latitude"]))
        for row in rows
        if row["longitude"] is not None and row["latitude"] is not None
    ]


def test_geopandas_reads_the_same_positions(written: Written, everywhere: list[Prediction]) -> None:
    geopandas = pytest.importorskip("geopandas")
    photos = [in_country("a.jpg", "Peru", 3, exif=Position(1, 2)), *everywhere]
    path = written("kml", *photos)
    peru = geopandas.read_file(path, layer="Peru")
    assert [(point.x, point.y) for point in peru.geometry] == positions(photos[:1], lambda rank: rank == 1)
    others = geopandas.read_file(path, layer="Peru: other candidates")
    assert [(point.x, point.y) for point in others.geometry] == positions(photos[:1], lambda rank: rank > 1)
    elsewhere = geopandas.read_file(path, layer="no country")
    assert [(point.x, point.y) for point in elsewhere.geometry] == positions(everywhere, lambda rank: True)


def test_ogr2ogr_reads_the_same_positions(
    written: Written, tmp_path: Path, everywhere: list[Prediction]
) -> None:
    program = shutil.which("ogr2ogr")
    if program is None:
        pytest.skip("needs ogr2ogr (Debian's gdal-bin)")
    path, back = written("kml", *everywhere), tmp_path / "back.geojson"
    call = [program, "-f", "GeoJSON", os.fspath(back), os.fspath(path), "no country"]
    subprocess.run(call, check=True, capture_output=True)
    points = [feature["geometry"]["coordinates"] for feature in json.loads(back.read_bytes())["features"]]
    assert [tuple(point[:2]) for point in points] == positions(everywhere, lambda rank: True)


def test_memory_does_not_grow_with_the_photos(tmp_path: Path) -> None:
    size = 20_000
    with open_writers({"kml": tmp_path / "out.kml"}) as writers:
        tracemalloc.start()
        for number in range(1000):
            writers.write(Prediction(f"{number}.jpg", error="x" * size))
        writers.close()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (tmp_path / "out.kml").stat().st_size > 1000 * size
    assert peak < 400 * size


def test_what_is_interrupted_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, located: Prediction
) -> None:
    path = tmp_path / "out.kml"
    path.write_bytes(b"old")
    with open_writers({"kml": path}) as writers:
        writers.write(located)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("out.kml", b"old")]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_a_full_disk_of_temporary_files_is_named(
    tmp_path: Path, located: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = open("/dev/full", "w+b")  # noqa: SIM115 - the spool closes it
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
    with (  # noqa: PT012
        pytest.raises(OutputError, match=r"temporary file in .*: No space left"),
        open_writers({"kml": tmp_path / "out.kml"}) as writers,
    ):
        for _ in range(100):  # the first stay in a buffer
            writers.write(located)
    assert full.closed
    assert list(tmp_path.iterdir()) == []
