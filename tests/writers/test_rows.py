"""Rows, and how CSV and JSONL write them."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geolocate.records import COLUMNS, Candidate, Position, Prediction
from geolocate.text_safety import printable, to_bytes
from geolocate.writers import open_writers
from geolocate.writers.csv import cell
from geolocate.writers.rows import rows_of

#: Names of all bytes that a file name can hold.
FILE_NAMES = st.binary(min_size=1, max_size=40).map(
    lambda raw: raw.replace(b"\0", b"x").decode("utf-8", "surrogateescape")
)


def written(tmp_path: Path, form: str, *predictions: Prediction) -> bytes:
    """The bytes of one output file."""
    path = tmp_path / f"out.{form}"
    with open_writers({form: path}) as writers:
        for prediction in predictions:
            writers.write(prediction)
        writers.close()
    return path.read_bytes()


def test_a_photo_has_one_row_per_rank_in_the_columns_of_the_design(
    tmp_path: Path, located: Prediction
) -> None:
    assert written(tmp_path, "csv", located).decode() == (
        "photo,rank,latitude,longitude,probability,radius_km,country_code,country,region,place,place_km,"
        "concepts,exif_latitude,exif_longitude,error_km,model,notes,error\n"
        "photos/a.jpg,1,43.467448,-73.900000,0.123457,12.346,IT,Italy,Tuscany,Arezzo,0.626,"
        "souk:0.512; tuk-tuk:0.250,43.467448,0.000000,1.000,starter,uncertain,\n"
        "photos/a.jpg,2,43.467448,-73.900000,0.0617284,,IT,Italy,Tuscany,Arezzo,0.626,"
        "souk:0.512; tuk-tuk:0.250,43.467448,0.000000,1.000,starter,uncertain,\n"
    )


def test_json_lines_have_the_same_keys_in_order_numbers_and_null(tmp_path: Path, located: Prediction) -> None:
    first, second = (json.loads(line) for line in written(tmp_path, "jsonl", located).splitlines())
    assert tuple(first) == COLUMNS
    assert (first["rank"], first["latitude"], first["longitude"]) == (1, 43.467448, -73.9)
    assert (first["probability"], first["radius_km"], first["error"]) == (0.123457, 12.346, None)
    assert second["radius_km"] is None
    assert second["concepts"] == "souk:0.512; tuk-tuk:0.250"


def test_csv_and_json_lines_hold_the_same_values(
    tmp_path: Path, located: Prediction, failed: Prediction
) -> None:
    rows = list(csv.DictReader(io.StringIO(written(tmp_path, "csv", located, failed).decode())))
    lines = [json.loads(line) for line in written(tmp_path, "jsonl", located, failed).splitlines()]
    for row, line in zip(rows, lines, strict=True):
        for column in COLUMNS:
            value = line[column]
            assert row[column] == "" if value is None else type(value)(row[column]) == value


def test_a_photo_that_failed_has_one_row(failed: Prediction, tmp_path: Path) -> None:
    (row,) = rows_of(failed)
    assert {key: value for key, value in row.items() if value is not None} == {
        "photo": "bad.jpg",
        "model": "starter",
        "notes": "duplicate",
        "error": 'truncated, "really"',
    }
    assert b'"truncated, ""really"""\n' in written(tmp_path, "csv", failed)


def test_at_sea_there_is_no_country_and_a_note_on_that_row_alone(at_sea: Prediction) -> None:
    first, second = rows_of(at_sea)
    assert (first["country_code"], first["country"], first["region"], first["notes"]) == (
        None,
        None,
        None,
        "ocean",
    )
    assert (first["place"], first["place_km"]) == ("Arezzo", 0.626)
    assert (second["country_code"], second["notes"]) == ("IT", None)


def test_a_photo_without_candidates_still_has_its_row() -> None:
    (row,) = rows_of(Prediction(photo="a.jpg", exif=Position(1.0, 2.0)))
    assert (row["photo"], row["rank"], row["exif_latitude"]) == ("a.jpg", None, 1.0)


def test_numbers_that_are_none_are_blank_and_json_stays_valid(tmp_path: Path) -> None:
    odd = Candidate(1, Position(math.nan, math.inf), math.nan, radius_km=-math.inf)
    line = json.loads(written(tmp_path, "jsonl", Prediction("a.jpg", (odd,))))
    assert (line["latitude"], line["longitude"], line["probability"], line["radius_km"]) == (None,) * 4


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1.jpg", "-x.jpg", "@sum.jpg", "\tx.jpg"])
def test_a_path_that_a_spreadsheet_would_run_is_written_with_a_dot(tmp_path: Path, name: str) -> None:
    data = written(tmp_path, "csv", Prediction(photo=name, error="none"))
    assert next(csv.DictReader(io.StringIO(data.decode())))["photo"] == f"./{name}"
    assert json.loads(written(tmp_path, "jsonl", Prediction(photo=name)))["photo"] == f"./{name}"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_other_texts_are_neutralised_and_numbers_stay_numbers(text: str) -> None:
    assert cell("error", text).strip('"').startswith("'")
    assert cell("longitude", -73.9) == "-73.900000"
    assert cell("error", "fine") == "fine"


@pytest.mark.parametrize(
    "name", ["a\nb.jpg", "a\tb.jpg", "a\x1b[31mb.jpg", 'a"b.jpg', "a,b.jpg", "a\rb.jpg", " a.jpg"]
)
def test_control_characters_in_a_name_are_quoted(tmp_path: Path, name: str) -> None:
    text = written(tmp_path, "csv", Prediction(photo=name, error="none")).decode()
    assert text.split("\n", 1)[1].startswith('"')
    assert next(csv.DictReader(io.StringIO(text, newline="")))["photo"] == name


def test_a_name_that_is_not_utf8_survives_as_bytes(tmp_path: Path) -> None:
    photo = b"caf\xe9/\xff.jpg".decode("utf-8", "surrogateescape")
    assert b"\ncaf\xe9/\xff.jpg," in written(tmp_path, "csv", Prediction(photo=photo, error="x"))
    line = json.loads(written(tmp_path, "jsonl", Prediction(photo=photo, error=f"no {photo}")))
    assert base64.b64decode(line["photo_bytes"]) == b"caf\xe9/\xff.jpg"
    assert line["photo"] == "caf\ufffd/\ufffd.jpg"
    assert line["error"] == "no caf\ufffd/\ufffd.jpg"


def test_a_utf8_name_under_an_ascii_locale_needs_no_bytes(tmp_path: Path) -> None:
    photo = "é.jpg".encode().decode("ascii", "surrogateescape")
    line = json.loads(written(tmp_path, "jsonl", Prediction(photo=photo)))
    assert line["photo"] == "é.jpg"
    assert "photo_bytes" not in line


@given(name=FILE_NAMES, error=st.text())
def test_any_name_comes_back_from_csv(name: str, error: str) -> None:
    (row,) = rows_of(Prediction(photo=name, error=error or None))
    line = ",".join(cell(column, value) for column, value in row.items())
    encoded = to_bytes(line + "\n").decode("utf-8", "surrogateescape")
    (cells,) = csv.reader(io.StringIO(encoded, newline=""))
    assert len(cells) == len(COLUMNS)
    assert cells[0] in (name, f"./{name}")


@given(text=st.text(alphabet=st.characters(codec=None)))
def test_printable_text_steers_no_terminal(text: str) -> None:
    for encoding in ("utf-8", "ascii", "latin-1"):
        shown = printable(text, encoding=encoding)
        shown.encode(encoding)
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)


def test_csv_has_its_header_without_any_photo(tmp_path: Path) -> None:
    assert written(tmp_path, "csv") == ",".join(COLUMNS).encode() + b"\n"
    assert written(tmp_path, "jsonl") == b""


def test_pandas_reads_names_back_from_csv_byte_for_byte(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    names = [b"caf\xe9/\xff.jpg", "東京.jpg".encode(), b'a"b,\xc3.jpg', b"line\nend\xe9.jpg"]
    photos = [Prediction(photo=name.decode("utf-8", "surrogateescape"), error="none") for name in names]
    (tmp_path / "o.csv").write_bytes(written(tmp_path, "csv", *photos))
    # pandas' own strings are UTF-8 from version 3 on and could not hold these.
    bytewise = {"encoding_errors": "surrogateescape", "dtype": {"photo": object, "error": object}}
    table = pandas.read_csv(tmp_path / "o.csv", **bytewise)
    assert [photo.encode("utf-8", "surrogateescape") for photo in table["photo"]] == names
