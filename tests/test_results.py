"""Results read back: written again they are the same rows, and what predict did not write is refused."""

from __future__ import annotations

import base64
import json
import os
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geolocate.errors import TableError
from geolocate.records import COLUMNS, Candidate, Concept, NamedPosition, Place, Position, Prediction
from geolocate.results import read_results
from geolocate.writers import open_writers
from geolocate.writers.formats import load_format
from geolocate.writers.rows import Row, rows_of
from geolocate.writers.run_facts import RunFacts

HEADER = ",".join(COLUMNS)
AREZZO = Place("Arezzo", "Tuscany", "Italy", "IT", Position(43.46276, 11.88068), 3182884)
FORMATS = ("csv", "jsonl", *(["parquet"] if find_spec("pyarrow") else []))


def written(path: Path, predictions: Iterable[Prediction]) -> Path:
    """The file of these predictions, in the format of its name."""
    with open_writers({path.suffix[1:]: path}, overwrite=True) as writers:
        for prediction in predictions:
            writers.write(prediction)
        writers.close()
    return path


def guess(rank: int, latitude: float = 43.5, *, ocean: bool = False) -> Candidate:
    return Candidate(
        rank, Position(latitude, 180.0), 0.1 / rank, 12.3456, NamedPosition(AREZZO, 0.626, ocean), 1.0
    )


#: What a run gives that is easily lost: doubled photos, the sea, no place, failures, odd bytes, formulas.
PREDICTIONS = (
    Prediction(
        "a.jpg", (guess(1), guess(2)), (Concept("souk", 0.51), Concept("a; b:c", -2.0)), model="starter"
    ),
    Prediction("a.jpg", (guess(1), guess(2)), exif=Position(-0.0000001, 180.0), notes=("duplicate",)),
    Prediction("a.jpg", error='truncated\nreally, "quite"'),
    Prediction("sea.jpg", (guess(1, ocean=True), guess(2)), notes=("prior:near",)),
    Prediction("sea2.jpg", (guess(1, ocean=True), guess(2, ocean=True))),
    Prediction("nowhere.jpg", (replace(guess(1), named=None, error_km=None, radius_km=None),)),
    Prediction("unsure.jpg", (), (Concept("=1+1", 0.5),), Position(1.0, 2.0), "starter", ("uncertain",)),
    Prediction(b"caf\xe9/\xff\n.jpg".decode("utf-8", "surrogateescape"), (guess(1),)),
    Prediction("=cmd|x!A0.jpg", error="'tis one, =1+1"),
    Prediction("'=apostrophe.jpg", error="@formula"),
    Prediction(" blanks\r.jpg ", error="\tformula"),
    Prediction("antarctica.jpg", (replace(guess(1), named=NamedPosition(replace(AREZZO, country=""), 9.0)),)),
)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("other", FORMATS)
def test_what_is_read_and_written_again_is_the_same_to_the_byte_in_any_format(
    tmp_path: Path, form: str, other: str
) -> None:
    file = written(tmp_path / f"first.{form}", PREDICTIONS)
    again = written(tmp_path / f"again.{other}", read_results(file))
    assert again.read_bytes() == written(tmp_path / f"straight.{other}", PREDICTIONS).read_bytes()


@pytest.mark.parametrize("form", FORMATS)
def test_each_photo_is_one_prediction_with_what_its_rows_hold(tmp_path: Path, form: str) -> None:
    found = list(read_results(written(tmp_path / f"a.{form}", PREDICTIONS)))
    assert [len(prediction.candidates) for prediction in found] == [
        len(prediction.candidates) for prediction in PREDICTIONS
    ]
    assert found[0].concepts == PREDICTIONS[0].concepts
    first = found[0].candidates[0]
    assert first.radius_km == 12.346
    assert first.named == NamedPosition(replace(AREZZO, position=None, geonames_id=0), 0.626)
    assert [candidate.named and candidate.named.ocean for candidate in found[3].candidates] == [True, False]
    assert found[3].notes == ("prior:near",)
    assert found[7].photo == PREDICTIONS[7].photo
    assert found[9] == PREDICTIONS[9]


degrees = st.floats(-90, 90)
names = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=9)
photos = st.binary(min_size=1, max_size=20).map(
    lambda raw: raw.replace(b"\0", b"x").decode("utf-8", "surrogateescape")
)
distances = st.none() | st.floats(0, 20_015)
places = st.builds(Place, names, names, names, names, st.none())
candidates = st.builds(
    Candidate,
    st.just(1),
    st.builds(Position, degrees, degrees),
    st.floats(0, 1),
    distances,
    st.none() | st.builds(NamedPosition, places, st.floats(0, 20_015), st.booleans()),
    distances,
)
notes = st.lists(st.sampled_from(["album", "duplicate", "ocean", "uncertain"]), max_size=3).map(tuple)
predictions = st.one_of(
    st.builds(Prediction, photos, model=names, notes=notes, error=names),
    st.builds(
        Prediction,
        photos,
        st.lists(candidates, max_size=4).map(
            lambda found: tuple(replace(one, rank=rank) for rank, one in enumerate(found, start=1))
        ),
        st.lists(st.builds(Concept, names, degrees), max_size=3).map(tuple),
        st.none() | st.builds(Position, degrees, degrees),
        names,
        notes,
    ),
)


class Memory:
    """A target that keeps what is written to it: hundreds of runs need no disk."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def commit(self) -> None:
        pass

    def abandon(self) -> None:
        pass


def data_of(form: str, predictions: Iterable[Prediction]) -> bytes:
    """What a format makes of predictions."""
    target = Memory()
    writer = load_format(form)(target, RunFacts())
    for prediction in predictions:
        writer.write(prediction)
    writer.close()
    return target.data


@settings(deadline=None)  # the first example imports pyarrow
@given(st.lists(predictions, max_size=4), st.sampled_from(FORMATS))
def test_any_predictions_come_back_with_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, made: list[Prediction], form: str
) -> None:
    file = tmp_path_factory.getbasetemp() / f"any.{form}"
    file.write_bytes(data_of(form, made))
    found = list(read_results(file))
    assert data_of(form, found) == file.read_bytes()
    if form == "jsonl":  # which holds every character as it is
        assert rows(found) == rows(made)


def rows(predictions: Iterable[Prediction]) -> list[Row]:
    return [row for prediction in predictions for row in rows_of(prediction)]


def row(**changes: object) -> dict[str, object]:
    found: dict[str, object] = dict.fromkeys(COLUMNS)
    found |= {"photo": "a.jpg", "rank": 1, "latitude": 1.5, "longitude": 2.5, "probability": 0.5}
    return found | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"latitude": 91.0}, "not on the globe"),
        ({"longitude": None}, "one half of latitude and longitude"),
        ({"latitude": None, "longitude": None}, "a position"),
        ({"latitude": "north"}, "latitude"),
        ({"latitude": True}, "latitude"),
        ({"rank": 0}, "rank"),
        ({"rank": 1.5}, "rank"),
        ({"rank": None}, "no rank"),
        ({"probability": None}, "a probability"),
        ({"radius_km": -1.0}, "radius_km is below 0"),
        ({"photo": None}, "no photo"),
        ({"error": "damaged"}, "an error, and yet"),
        ({"concepts": "souk"}, "concepts without scores"),
        ({"exif_latitude": 5.0}, "one half of exif_latitude"),
        ({"extra": 1}, "not the keys"),
        ({"photo_bytes": "/w=="}, "not the same name"),
        ({"photo_bytes": "no base64"}, "not base64"),
        ({"rank": 10**5000}, "rank"),
    ],
)
def test_a_row_that_no_prediction_gives_is_refused_with_its_line(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    path = tmp_path / "bad.jsonl"
    long = json.dumps(row(**{**changes, "rank": 1})).replace('"rank": 1', '"rank": 1' + "0" * 5000)
    bad = long if changes.get("rank") == 10**5000 else json.dumps(row(**changes))
    path.write_text(json.dumps(row()) + "\n" + bad + "\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"bad.jsonl cannot be read .*: line 2: ") as caught:
        list(read_results(path))
    assert said in str(caught.value) or "digits" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\x7fELF\0\1\n", "geolocate: neither CSV, JSON lines nor Parquet"),
        ('{"type": "FeatureCollection", "features": [\n]}\n', "line 1: no JSON that ends with its line"),
        ("photo,latitude,longitude\na.jpg,1,2\n", "line 1: not the header"),
        (f"{HEADER}\na.jpg,1,2\n", "line 2: 3 cells, not 18"),
        (f"{HEADER}\na.jpg,1,nan,2,0.5,,,,,,,,,,,,,\n", "line 2: latitude is no number"),
        (f"{HEADER}\na.jpg,1,1_0,2,0.5,,,,,,,,,,,,,\n", "line 2: latitude is no number"),
        (f"{HEADER}\na.jpg,1,٣,2,0.5,,,,,,,,,,,,,\n", "line 2: latitude is no number"),
        (f"{HEADER}\na.jpg,1.0,1,2,0.5,,,,,,,,,,,,,\n", "line 2: rank is no whole number"),
        (f"{HEADER}\na.jpg,1,1e999,2,0.5,,,,,,,,,,,,,\n", "line 2: latitude is no number"),
        (f'{HEADER}\n"a\nb",1,1,2,0.5,,,,,,,,,,,,,\nb.jpg,1\n', "line 4: 2 cells"),
        (f"{HEADER}\na.jpg,1,1,2,0.5,,,,,,,,,,,,,", "line 2: the file is cut off"),
        (f'{HEADER}\n"a.jpg\n', "line 2: unexpected end of data"),
        (f'{HEADER}\n"a" b.jpg,1\n', "line 2: "),
        (
            f"{HEADER}\na.jpg,1,1,2,0.5,,IT,,,,,,,,,,,\na.jpg,2,1,2,0.5,,,,,,,,,,,x,,\n",
            "line 3: another model",
        ),
        (
            f"{HEADER}\na.jpg,1,1,2,0.5,,,,,,,,,,,,,\na.jpg,2,1,2,0.5,,,,,,,,,,,,album,\n",
            "line 3: other notes",
        ),
    ],
)
def test_a_table_that_predict_did_not_write_is_refused_with_the_line(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TableError) as caught:
        list(read_results(path))
    assert said in str(caught.value)


@pytest.mark.parametrize("filler", [b"x", b'"\n', b'"x,\n', b'{"'])
def test_an_endless_row_is_refused_before_it_takes_memory(tmp_path: Path, filler: bytes) -> None:
    path = tmp_path / "endless.csv"
    start = b"" if filler.startswith(b"{") else HEADER.encode() + b'\n"'
    path.write_bytes(start + filler * (16 * 2**20 // len(filler)))
    tracemalloc.start()
    with pytest.raises(TableError):
        list(read_results(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * 2**20


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "many.csv", (Prediction(f"{n}.jpg", (guess(1), guess(2))) for n in range(5000)))
    tracemalloc.start()
    assert sum(1 for _ in read_results(path)) == 5000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**19


def test_a_table_that_a_spreadsheet_saved_again_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", PREDICTIONS[:2])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert [prediction.photo for prediction in read_results(path)] == ["a.jpg", "a.jpg"]


def test_files_without_photos_hold_no_predictions(tmp_path: Path) -> None:
    for form in FORMATS:
        assert list(read_results(written(tmp_path / f"none.{form}", ()))) == []


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"gone.csv cannot be read .*: No such file"):
        list(read_results(tmp_path / "gone.csv"))
    with pytest.raises(TableError, match="Is a directory"):
        list(read_results(tmp_path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for_and_a_device_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zeros.csv").symlink_to("/dev/zero")
    for name in ("pipe.csv", "zeros.csv"):
        with pytest.raises(TableError, match=f"{name} cannot be read .*: not a regular file"):
            list(read_results(tmp_path / name))


def test_a_name_of_another_photo_beside_its_bytes_deceives_and_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    deceptive = base64.b64encode(b"/etc/passwd\xff").decode()
    path.write_text(json.dumps(row(photo_bytes=deceptive)) + "\n", encoding="utf-8")
    with pytest.raises(TableError, match="not the same name"):
        list(read_results(path))
