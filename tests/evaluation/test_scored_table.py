"""Anybody's CSV of predictions: columns found by their names or refused with the list, no row a traceback."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from geolocate.errors import TableError
from geolocate.evaluation import number_table
from geolocate.evaluation.columns import find_prediction_columns
from geolocate.evaluation.number_table import NumberTable
from geolocate.evaluation.scored_table import read_feature_places, read_predictions

TRUE, PREDICTED = (48.85, 2.35), (50.5, -3.25)


def written(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "header",
    [
        "true_lat,true_lon,pred_lat,pred_lon",
        "LAT,LON,lat_pred,lng_pred",
        "gt_lat,gt_lng,lat,lng",
        "gtLat,gtLng,predLat,predLng",
        "latitude,longitude,predicted_latitude,predicted_longitude",
        "exif_latitude,exif_longitude,latitude,longitude",
        "True_LAT,True_LON,Predicted_LAT,Predicted_LON",
        "truelat,truelon,predlat,predlon",
        "target_lat,target_long,geoclip_lat,geoclip_long",
        "LAT,LON,geoclip_lat,geoclip_lon",
        "ground_truth_latitude,ground_truth_longitude,model_latitude,model_longitude",
        "Latitude (true),Longitude (true),Latitude (predicted),Longitude (predicted)",
        "y_true_lat,y_true_lon,y_pred_lat,y_pred_lon",
        "actual_lat,actual_long,estimated_lat,estimated_long",
        "gold_lat,gold_lng,pred_lat_1,pred_lng_1,pred_lat_2,pred_lng_2",
        "lat,lon,lat_hat,lon_hat",
        "t_lat,t_lon,p_lat,p_lon",
    ],
)
def test_columns_are_found_by_their_names_in_any_order(tmp_path: Path, header: str) -> None:
    names = header.split(",")
    cells = [*TRUE, *PREDICTED, 1.0, 2.0][: len(names)]
    # pairs of latitude and longitude may stand in any order
    for order in itertools.permutations(range(0, len(names), 2)):
        places = [at + step for at in order for step in (0, 1)]
        text = f"id,{','.join(names[at] for at in places)}\nx,{','.join(str(cells[at]) for at in places)}\n"
        found = read_predictions(written(tmp_path, text))
        assert found.truth.tolist() == [list(TRUE)]
        assert found.predicted.tolist() == [list(PREDICTED)]
        assert names[2] in found.remarks[0]  # says which columns were taken


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("a,b,c", "does not tell which columns are the predicted"),
        ("lat,lon", "does not tell which columns are the predicted"),
        ("lat1,lon1,lat2,lon2", "does not tell which columns are the predicted"),
        ("pred_lat,pred_lon", "does not tell which columns are the true"),
        ("pred_lat,true_lon,x,y", "does not tell which columns are the predicted"),
        ("LAT,LON,geoclip_lat,geoclip_lon,ours_lat,ours_lon", "does not tell"),
        ("lat,lon,a_pred_lat,a_pred_lon,b_pred_lat,b_pred_lon", "more than one pair .* predicted"),
        ("gt_lat,gt_lon,a_lat,a_lon,b_lat,b_lon", "more than one pair .* predicted"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_columns(tmp_path: Path, header: str, reason: str) -> None:
    with pytest.raises(TableError, match=reason) as refused:
        read_predictions(written(tmp_path, f"{header}\n1,2,3,4,5,6\n"))
    assert header.replace(",", ", ") in str(refused.value)


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,c,d,lat,lon\n1,2,3,4,5,6\n")
    found = read_predictions(path, predicted_columns=("C", "d"), true_columns=("a", "b"))
    assert (found.truth.tolist(), found.predicted.tolist()) == ([[1, 2]], [[3, 4]])
    found = read_predictions(path, predicted_columns=("c", "d"))
    assert found.truth.tolist() == [[5, 6]]  # the only pair that is left
    with pytest.raises(TableError, match="no column called 'q'"):
        read_predictions(path, predicted_columns=("q", "d"))


@pytest.mark.parametrize(
    "text",
    [
        "\ufefflat,lon,pred_lat,pred_lon\n48.85,2.35,50.5,-3.25\n",
        "lat;lon;pred_lat;pred_lon\r\n48,85;2,35;50,5;-3,25\r\n",
        "lat\tlon\tpred_lat\tpred_lon\n48.85\t2.35\t50.5\t-3.25\n",
        '"lat"|"lon"|"pred_lat"|"pred_lon"\n"48.85"|" 2.35"|"50.5 "|"-3.25"\n\n',
        "lat,lon,pred_lat,pred_lon\n48.85,2.35,50.5,-3.25".encode("utf-16"),
        b"lat,lon,pred_lat,pred_lon,who\n48.85,2.35,50.5,-3.25,\xff\xfe\n",
        b"lat,lon,pred_lat,pred_lon,who\n48.85,2.35,50.5,-3.25,a\x00b\n",
    ],
)
def test_every_dialect_and_encoding_is_read(tmp_path: Path, text: str | bytes) -> None:
    found = read_predictions(written(tmp_path, text))
    assert (found.truth.tolist(), found.predicted.tolist()) == ([list(TRUE)], [list(PREDICTED)])


def test_hostile_rows_are_counted_and_nothing_is_lost_of_the_others(tmp_path: Path) -> None:
    text = (
        "lat,lon,pred_lat,pred_lon\n"
        "1,2,3,4\n"
        "nan,2,3,4\n"  # no truth: left out
        "inf,2,3,4\n"
        ",,3,4\n"
        "151.2,-33.9,3,4\n"  # swapped
        "91,999,3,4\n"
        "1,2,,\n"  # no prediction: a miss
        "1,2,nan,4\n"
        "1,2,-inf,4\n"
        "1,2,91,4\n"
        "1,2,here,there\n"
        "1,2\n"  # short
        "1,2,3,356\n"  # goes round the globe
        "-90,-180,90,180\n"
        "1e0,2,3,4,5,6,7\n"
    )
    found = read_predictions(written(tmp_path, text))
    assert found.truth.tolist() == [[1, 2]] * 8 + [[-90, -180], [1, 2]]
    placed = np.isfinite(found.predicted).all(axis=1)
    assert placed.tolist() == [True, *[False] * 6, True, True, True]
    assert found.predicted[placed].tolist() == [[3, 4], [3, -4], [90, 180], [3, 4]]
    told = " ".join(found.remarks)
    assert "3 x no number of degrees as truth: row 2, row 3, row 4" in told
    assert "1 x latitude and longitude swapped in the truth: row 5" in told
    assert "predictions off the globe, which count as none (latitude comes first): 1" in told


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no header"),
        ("48.85,2.35,50,3\n", "no header"),
        ("\n\n\n", "no header"),
        ("lat,lon,pred_lat,pred_lon\n", "no row with a true position"),
        ("lat,lon,pred_lat,pred_lon\n,,1,2\n", "no row with a true position; left out: 1 x no number"),
        ('lat,lon,pred_lat,pred_lon\n"' + "1,2,3,4\n" * 40_000, "cannot be read as a table: field larger"),
        (b"\xff\xfea", "does not tell"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, "does not tell|no header|cannot be read"),
    ],
)
def test_what_is_no_table_of_predictions_is_refused(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(TableError, match=reason):
        read_predictions(written(tmp_path, text))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(TableError, match="cannot be read as a table"):
            read_predictions(path)


def test_of_our_own_predictions_rank_one_counts_with_its_radius(tmp_path: Path) -> None:
    text = (
        "photo,rank,latitude,longitude,radius_km,exif_latitude,exif_longitude,error\n"
        "a.jpg,1,3,4,12.5,1,2,\n"
        "a.jpg,2,5,6,,1,2,\n"
        "b.jpg,1,3,4,7,,,\n"  # nobody knows where it was taken
        "c.jpg,,,,,,,damaged\n"
    )
    found = read_predictions(written(tmp_path, text))
    assert (found.truth.tolist(), found.predicted.tolist()) == ([[1, 2]], [[3, 4]])
    assert found.radii_km.tolist() == [12.5]


def test_predictions_are_joined_to_a_table_of_truth_by_the_photos_names(tmp_path: Path) -> None:
    truth = written(tmp_path, "IMG_ID,LAT,LON\na.jpg,1,2\nb.jpg,3,4\nc.jpg,5,6\nd.jpg,7,8\n", "truth.csv")
    predictions = written(
        tmp_path,
        "photo,rank,latitude,longitude,exif_latitude,exif_longitude\n"
        "photos/b.jpg,2,0,0,,\nphotos/b.jpg,1,30,40,,\na.jpg,1,10,20,,\nx/d.png,1,70,80,,\ny.jpg,1,0,0,,\n",
    )
    found = read_predictions(predictions, truth)
    assert found.truth.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert found.predicted[[0, 1, 3]].tolist() == [[10, 20], [30, 40], [70, 80]]
    assert np.isnan(found.predicted[2]).all()  # no prediction is a miss
    assert "1 photos of truth.csv are not in the predictions" in " ".join(found.remarks)
    strangers = written(tmp_path, "photo,lat,lon\nq.jpg,1,2\n", "other.csv")
    with pytest.raises(TableError, match="names none of the 4 photos"):
        read_predictions(strangers, truth)


def test_photos_of_one_name_in_several_folders_are_told_apart_or_left_out(tmp_path: Path) -> None:
    truth = written(
        tmp_path,
        "image,lat,lon\nA/1.jpg,1,2\nB/1.jpg,3,4\n1.jpg,5,6\nC/1.jpg,7,8\nD/2.jpg,9,10\n",
        "truth.csv",
    )
    predictions = written(
        tmp_path,
        "photo,rank,lat,lon\n/x/A/1.jpg,2,0,0\n/x/A/1.jpg,1,10,20\n/x/B/1.jpg,1,30,40\nE\\2.jpg,1,50,60\n",
    )
    found = read_predictions(predictions, truth)
    assert found.truth.tolist() == [[1, 2], [3, 4], [9, 10]]
    assert found.predicted.tolist() == [[10, 20], [30, 40], [50, 60]]
    assert "2 x name that several predictions have: 1.jpg, C/1.jpg" in " ".join(found.remarks)


def test_rows_that_rest_on_other_photos_positions_stay_out_of_accuracy(tmp_path: Path) -> None:
    text = (
        "photo,rank,latitude,longitude,exif_latitude,exif_longitude,notes\n"
        "a.jpg,1,3,4,1,2,album\n"
        "a.jpg,2,3,4,1,2,album\n"
        "b.jpg,1,5,6,7,8,prior:timezone\n"
        "c.jpg,1,3,4,1,2,prior:timezone;album;ocean\n"
        "d.jpg,1,3,4,,,\n"
        "photo album.jpg,1,9,10,11,12,photo album\n"
    )
    found = read_predictions(written(tmp_path, text))
    assert found.truth.tolist() == [[7, 8], [11, 12]]
    told = " ".join(found.remarks)
    assert "2 x placed by photos near in time (note album): row 1, row 4" in told
    assert "1 x no number of degrees as truth: row 5" in told
    truth = written(tmp_path, "image,lat,lon\na.jpg,1,2\nb.jpg,7,8\nx.jpg,3,3\n", "truth.csv")
    joined = read_predictions(written(tmp_path, text), truth)
    assert joined.truth.tolist() == [[7, 8], [3, 3]]
    assert np.isnan(joined.predicted[1]).all()  # a photo that nobody placed is a miss
    assert "1 x placed by photos near in time (note album): a.jpg" in " ".join(joined.remarks)
    only = written(tmp_path, "".join(text.splitlines(keepends=True)[:3]), "only.csv")
    with pytest.raises(TableError, match="no row with a true position; left out: 1 x placed by photos near"):
        read_predictions(only)


def test_blocks_of_rows_make_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_table, "BLOCK_ROWS", 3)
    rows = [(i / 10, i / 5, i / 20, i / 4) for i in range(10)]
    text = "lat,lon,pred_lat,pred_lon\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in rows)
    found = read_predictions(written(tmp_path, text))
    assert np.hstack((found.truth, found.predicted)).tolist() == [list(row) for row in rows]


def test_features_get_their_places_by_row(tmp_path: Path) -> None:
    text = "row,latitude,longitude,place\n7,1,2,x\n0,3,4,x\n9,0,0,x\n-1,0,0,x\n1.5,0,0,x\n,0,0,x\n3,95,0,x\n"
    rows, truth, told = read_feature_places(written(tmp_path, text), 9)
    assert (rows.tolist(), truth.tolist()) == ([7, 0], [[1, 2], [3, 4]])
    assert any("4 x no such row of features" in line for line in told)
    rows, truth, _ = read_feature_places(written(tmp_path, "LAT,LON\n1,2\n3,4\n"), 2)
    assert (rows.tolist(), truth.tolist()) == ([0, 1], [[1, 2], [3, 4]])
    with pytest.raises(TableError, match="no column 'row'"):
        read_feature_places(written(tmp_path, "LAT,LON\n1,2\n"), 2)


def test_the_first_of_two_equal_pairs_and_words_that_only_look_like_axes(tmp_path: Path) -> None:
    table = NumberTable.open(written(tmp_path, "platform,relation,longest,lat,lon,pred_lat,pred_lon\n"))
    columns = find_prediction_columns(table)
    assert columns.describe(table) == "predicted: pred_lat, pred_lon; true: lat, lon"


def test_random_damage_is_never_a_traceback(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    whole = b'\xef\xbb\xbfid;true_lat;true_lon;"pred_lat";pred_lon;rank;radius_km\n' + b"".join(
        b"%d;1,5;2.5;-3e1;179,9;1;7\n" % row for row in range(20)
    )
    pieces = [b"\x00", b'"', b"\n", b"\r", b";", b",", b"\xff\xfe", b"nan", b"1e999", b"\t", b"-", b"1_0"]
    read = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 6)):
            at = int(rng.integers(len(damaged)))
            damaged[at : at + int(rng.integers(0, 12))] = pieces[rng.integers(len(pieces))]
        try:
            found = read_predictions(written(tmp_path, bytes(damaged)))
        except TableError:
            continue
        read += 1
        assert np.isfinite(found.truth).all()
        assert (np.abs(found.truth) <= (90, 180)).all()
    assert read > 100
