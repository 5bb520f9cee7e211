"""Galleries of one's own: what is read, what is joined, and what is refused with a hint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geolocate.errors import GalleryError
from geolocate.gallery_csv import read_gallery

THREE = "LAT,LON\n48.85,2.35\n-33.87,151.21\n40.71,-74.01\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gallery.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("header", ["LAT,LON", "lat,lon", "Lat , Lon", "\ufeffLAT,LON", "latitude,Longitude"])
def test_columns_are_found_in_any_case(tmp_path: Path, header: str) -> None:
    points = read_gallery(written(tmp_path, THREE.replace("LAT,LON", header)))
    assert points.coordinates.tolist() == [[48.85, 2.35], [-33.87, 151.21], [40.71, -74.01]]


def test_columns_are_found_in_any_place_and_others_are_ignored(tmp_path: Path) -> None:
    points = read_gallery(
        written(tmp_path, "id,LON,name,LAT\n1,2.35,Paris,48.85\n\n2,151.21,Sydney,-33.87\n")
    )
    assert points.coordinates.tolist() == [[48.85, 2.35], [-33.87, 151.21]]


def test_equal_rows_are_joined_and_counted(tmp_path: Path) -> None:
    points = read_gallery(written(tmp_path, THREE + "40.71,-74.01\n48.850,2.35\n40.71,-74.01\n-0,5\n0,5\n"))
    assert points.coordinates.tolist() == [[48.85, 2.35], [-33.87, 151.21], [40.71, -74.01], [0.0, 5.0]]
    assert points.weights.tolist() == [2.0, 1.0, 3.0, 2.0]
    assert points.weights.dtype == np.float32
    assert points.coordinates.dtype == np.float64


def test_one_point_of_many_names_is_one_point(tmp_path: Path) -> None:
    points = read_gallery(
        written(tmp_path, "LAT,LON\n7,-180\n7,180\n-90,12\n-90,-180\n90,5\n90,0\n-7,-179.9\n")
    )
    assert points.coordinates.tolist() == [[7.0, 180.0], [-90.0, 0.0], [90.0, 0.0], [-7.0, -179.9]]
    assert points.weights.tolist() == [2.0, 2.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "empty"),
        ("LAT;LON\n48.85;2.35\n", "separated by semicolons"),
        ("name;LAT;LON\nParis;48,85;2,35\n", "separated by semicolons"),
        ("\ufefflatitude;longitude\n48,85;2,35\n", "decimal point"),
        (
            'LAT,LON\n"48,85","2,35"\n',
            "line 2: '48,85' is not a number of degrees; write it with a decimal point",
        ),
        ("LAT,LON\n", "no coordinates"),
        ("a,b\n1,2\n", "no column LAT"),
        ("LAT,LAT,LON\n1,1,2\n", "more than one column LAT"),
        ("LAT,LON\n48.85,2.35\nnorth,east\n", "line 3: 'north' is not a number"),
        ("LAT,LON\n48.85\n", "line 2: ''"),
        ("LAT,LON\n48.85,nan\n", "not a finite number"),
        ("LAT,LON\ninf,1\n", "not a finite number"),
        ("LAT,LON\n151.21,-33.87\n2.35,48.85\n", "swapped"),
        ("LAT,LON\n0.85,0.04\n-0.59,2.64\n0.71,-1.29\n", "radians"),
        ("LAT,LON\n91,181\n", "off the globe"),
    ],
)
def test_a_wrong_gallery_is_refused_with_a_hint(tmp_path: Path, text: str, hint: str) -> None:
    with pytest.raises(GalleryError, match=hint):
        read_gallery(written(tmp_path, text))


def test_what_is_merely_off_the_globe_is_not_called_swapped(tmp_path: Path) -> None:
    with pytest.raises(GalleryError) as caught:
        read_gallery(written(tmp_path, "LAT,LON\n91,181\n"))
    assert "swapped" not in str(caught.value)


def test_one_place_near_the_origin_is_not_taken_for_radians(tmp_path: Path) -> None:
    assert read_gallery(written(tmp_path, "LAT,LON\n0.5,1.2\n")).coordinates.tolist() == [[0.5, 1.2]]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x01", b"LAT,LON\n\xe9,1\n"])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gallery.csv"
    path.write_bytes(content)
    with pytest.raises(GalleryError, match="cannot be read"):
        read_gallery(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="cannot be read"):
        read_gallery(tmp_path / "none.csv")
