"""Photos to train on: tables and folders, where a bad one is counted and named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geolocate.position_table import MISSING, NO_NUMBER
from geolocate_export.training_data import NO_POSITION, NOT_DECODED, read_training_folder, read_training_table


def test_a_table_beside_its_photos_needs_no_folder_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    table = tmp_path / "labels.csv"
    table.write_text("image,latitude,longitude\na.jpg,1,2\nb.jpg,1,2\nc.jpg,x,2\n", encoding="utf-8")
    photos = read_training_table(table)
    assert photos.names == ("a.jpg",)
    assert photos.paths == (str(tmp_path / "a.jpg"),)
    assert photos.coordinates.tolist() == [[1.0, 2.0]]
    assert photos.problems.counts == {MISSING: 1, NO_NUMBER: 1}


def test_a_table_without_a_good_row_gives_no_photos(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("IMG_ID,LAT,LON\nb.jpg,1,2\n", encoding="utf-8")
    photos = read_training_table(table, tmp_path)
    assert len(photos) == 0
    assert photos.coordinates.shape == (0, 2)


def test_a_folder_gives_the_photos_with_a_position_and_names_the_others(
    drawn_photos: Path, tmp_path: Path
) -> None:
    for photo in drawn_photos.iterdir():
        (tmp_path / photo.name).write_bytes(photo.read_bytes())
    first = min(drawn_photos.iterdir())
    (tmp_path / "broken.jpg").write_bytes(first.read_bytes()[:300])
    from PIL import Image

    Image.new("RGB", (20, 20)).save(tmp_path / "nowhere.png")
    photos = read_training_folder(tmp_path)
    assert len(photos) == len(list(drawn_photos.iterdir())) == 5
    assert photos.names == tuple(sorted(photos.names))
    assert (np.abs(photos.coordinates) > 0).all()
    assert photos.problems.counts == {NOT_DECODED: 1, NO_POSITION: 1}
    assert photos.problems.first[NOT_DECODED][0].startswith("broken.jpg (damaged")
    assert photos.problems.first[NO_POSITION] == ["nowhere.png"]


def test_the_real_training_photos_are_read_whole(real_photos: Path) -> None:
    table = real_photos / "train" / "labels.csv"
    if not table.is_file():
        pytest.skip("needs ../shared/photos/train")
    photos = read_training_table(table)
    assert len(photos) == 961
    assert photos.problems.total == 0
