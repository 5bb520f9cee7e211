"""Tables of photos and positions: every header of the field is read, and a bad row costs only itself."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from geolocate.errors import TableError
from geolocate.position_table import (
    MISSING,
    NO_NAME,
    NO_NUMBER,
    OFF_GLOBE,
    OUTSIDE,
    SWAPPED,
    UNCLOSED,
    Problems,
    read_positions,
)
from geolocate.records import Position

PARIS = Position(48.85, 2.35)


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "IMG_ID,LAT,LON\na.jpg,48.85,2.35\n",  # MP-16
        "IMG_FILE,LAT,LON\na.jpg,48.85,2.35\n",  # GeoCLIP
        "IMG_ID,AUTHOR,LAT,LON,S3_Label,S16_Label\na.jpg,me,48.85,2.35,1,2\n",  # Im2GPS3k
        "image,latitude,longitude\na.jpg,48.85,2.35\n",
        "photo,rank,latitude,longitude\na.jpg,1,48.85,2.35\n",
        "file,Latitude,LNG\r\na.jpg,48.85,2.35\r\n",
        "\ufeffImage;Lat;Lon\na.jpg;48,85;2,35\n",
        "image\tlat\tlon\na.jpg\t48.85\t2.35\n",
        '"image"|"lat"|"lon"\n"a.jpg"|"48.85"|"2.35"\n',
        "id,image,lat,lon\n7,a.jpg,48.85,2.35\n",  # the likelier of two columns
    ],
)
def test_each_header_of_the_field_is_read(tmp_path: Path, text: str) -> None:
    (row,) = read_positions(written(tmp_path, text))
    assert (row.name, row.path, row.position, row.line) == ("a.jpg", "a.jpg", PARIS, 2)


def test_ids_without_extension_are_found_in_the_subfolders(tmp_path: Path) -> None:
    images = tmp_path / "images"
    for name in ("123.jpg", "00/456.jpg", "01/789.png"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).touch()
    table = written(tmp_path, "id,latitude,longitude,country\n123,1,2,x\n456,1,2,x\n789,1,2,x\n5,1,2,x\n")
    problems = Problems()
    found = [
        Path(row.path).relative_to(images).as_posix()
        for row in read_positions(table, images, problems=problems)
    ]
    assert found == ["123.jpg", "00/456.jpg", "01/789.png"]
    assert problems.counts == {MISSING: 1}


def test_columns_of_any_name_can_be_given(tmp_path: Path) -> None:
    table = written(tmp_path, "where,LAT,true_lat,true_lon\na.jpg,1,48.85,2.35\n")
    (row,) = read_positions(
        table, image_column="where", latitude_column="TRUE_LAT", longitude_column="true_lon"
    )
    assert row.position == PARIS


def test_a_bad_row_is_counted_and_named_and_the_others_go_on(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.jpg", "z.jpg", "b c.jpg"):
        (images / name).touch()
    (tmp_path / "secret.jpg").touch()
    table = written(
        tmp_path,
        "image,lat,lon\n"
        "a.jpg,48.85,2.35\n"
        "b.jpg,48.85,2.35\n"
        "c.jpg,north,2.35\n"
        "d.jpg,,\n"
        "e.jpg,nan,2.35\n"
        "f.jpg,inf,2.35\n"
        "g.jpg,151.2,-33.9\n"
        "h.jpg,48,999\n"
        "../secret.jpg,1,2\n"
        "/etc/hostname,1,2\n"
        ",1,2\n"
        "short.jpg\n"
        "\n"
        '"b c.jpg",-90,180\n'
        "z.jpg,90,-180\n",
    )
    problems = Problems()
    rows = list(read_positions(table, images, problems=problems))
    assert [row.name for row in rows] == ["a.jpg", "b c.jpg", "z.jpg"]
    assert rows[0].path == str(images / "a.jpg")
    assert problems.counts == {MISSING: 1, NO_NUMBER: 5, SWAPPED: 1, OFF_GLOBE: 1, OUTSIDE: 2, NO_NAME: 1}
    assert problems.total == 11
    assert problems.lines()[0] == f"5 x {NO_NUMBER}: c.jpg (line 4), d.jpg (line 5), e.jpg (line 6), ..."


def test_one_stray_quote_does_not_lose_the_table(tmp_path: Path) -> None:
    problems = Problems()
    table = written(tmp_path, 'image,lat,lon\na.jpg,1,2\n"b.jpg,1,2\n' + "c.jpg,3,4\n" * 20_000)
    rows = list(read_positions(table, problems=problems))
    assert problems.counts == {UNCLOSED: 1}
    (line,) = problems.lines()
    assert line.startswith(f"1 x {UNCLOSED}: lines 3 to 131")
    assert rows[0].name == "a.jpg"
    assert (len(rows), rows[-1].line) == (6_894, 20_003)


def test_an_endless_line_costs_only_itself_and_no_memory(tmp_path: Path) -> None:
    problems = Problems()
    text = "image,lat,lon\na.jpg,1,2\n" + "x" * 20_000_000 + ",1,2\nb.jpg,1,2\n"
    table = written(tmp_path, text)
    del text
    tracemalloc.start()
    try:
        rows = list(read_positions(table, problems=problems))
        assert tracemalloc.get_traced_memory()[1] < 15e6
    finally:
        tracemalloc.stop()
    assert [(row.name, row.line) for row in rows] == [("a.jpg", 2), ("b.jpg", 4)]
    assert problems.lines() == [f"1 x {UNCLOSED}: line 3"]


def test_a_long_name_does_not_flood_the_messages(tmp_path: Path) -> None:
    problems = Problems()
    list(read_positions(written(tmp_path, "image,lat,lon\n" + "x" * 10_000 + ",,\n"), problems=problems))
    assert len(problems.lines()[0]) < 200


@pytest.mark.parametrize("number", ["1_0", "1e400", "0x10", "--1", "nan", "-inf"])
def test_what_is_no_number_of_degrees_is_none(tmp_path: Path, number: str) -> None:
    problems = Problems()
    assert not list(
        read_positions(written(tmp_path, f"image,lat,lon\na.jpg,{number},2\n"), problems=problems)
    )
    assert problems.counts == {NO_NUMBER: 1}


def test_a_folder_above_the_working_one_is_left_by_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "images" / "here"
    here.mkdir(parents=True)
    (tmp_path / "secret.jpg").touch()
    (tmp_path / "images" / "a.jpg").touch()
    monkeypatch.chdir(here)
    problems = Problems()
    table = written(tmp_path, "image,lat,lon\na.jpg,1,2\n../secret.jpg,1,2\nhere/../a.jpg,3,4\na\0.jpg,1,2\n")
    paths = [row.path for row in read_positions(table, Path(".."), problems=problems)]
    assert paths == ["../a.jpg", "../a.jpg"]
    assert problems.counts == {OUTSIDE: 2}


@pytest.mark.parametrize("folder", [".", "./", "images", "../{here}/images"])
def test_a_folder_is_the_same_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    images = Path(folder.format(here=tmp_path.name))
    images.mkdir(exist_ok=True)
    (images / "a.jpg").touch()
    (tmp_path.parent / "out.jpg").touch()
    problems = Problems()
    table = written(tmp_path, "image,lat,lon\na.jpg,1,2\n./x/../a.jpg,1,2\n../../out.jpg,1,2\n")
    assert len(list(read_positions(table, images, problems=problems))) == 2
    assert problems.counts == {OUTSIDE: 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no column of photos"),
        ("48.85,2.35\n", "no column of photos"),
        ("image,lat\na.jpg,1\n", "no column of longitudes"),
        ("image;lat\na.jpg;1\n", "no column of longitudes"),
        ("image,lat,latitude,lon\n", "more than one column of latitudes"),
        ("image,image,lat,lon\n", "more than one column of photos"),
        ("image,lat,lon\na.jpg,1,2\n".encode("utf-16"), "is not in UTF-8"),
    ],
)
def test_a_table_without_the_columns_is_refused_with_the_reason(
    tmp_path: Path, text: str | bytes, reason: str
) -> None:
    with pytest.raises(TableError, match=reason):
        list(read_positions(written(tmp_path, text)))


def test_a_missing_table_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(TableError, match="cannot be read as a table"):
            list(read_positions(path))


def test_names_that_are_not_utf8_come_back_as_they_were(tmp_path: Path) -> None:
    (row,) = read_positions(written(tmp_path, b"image,lat,lon\n\xff\xe9.jpg,1,2\n"))
    assert row.name.encode("utf-8", "surrogateescape") == b"\xff\xe9.jpg"


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    table = written(
        tmp_path, "IMG_ID,LAT,LON\n" + "12/34/1234567890.jpg,48.85,2.35\n" * 5_000 + "bad,,\n" * 5_000
    )
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_positions(table)) == 5_000
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
