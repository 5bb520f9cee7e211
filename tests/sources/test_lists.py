"""Lists of photos: text, CSV and Parquet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geolocate.errors import TableError, UsageError
from geolocate.sources.lists import read_list


def read(path: Path, body: bytes) -> list[str]:
    path.write_bytes(body)
    return list(read_list(os.fspath(path)))


def test_text_is_one_path_or_url_a_line(tmp_path: Path) -> None:
    body = b"a.jpg\r\n\nhttps://h/b.jpg\ncaf\xe9.jpg\nlast"
    assert read(tmp_path / "x.txt", body) == ["a.jpg", "https://h/b.jpg", "caf\udce9.jpg", "last"]
    assert read(tmp_path / "x", b"") == []


def test_marks_of_editors_are_no_part_of_a_name(tmp_path: Path) -> None:
    assert read(tmp_path / "x.txt", b"\xef\xbb\xbfhttps://h/a.jpg\r\n") == ["https://h/a.jpg"]
    with pytest.raises(UsageError, match="UTF-16"):
        read(tmp_path / "x.txt", "a.jpg\r\n".encode("utf-16"))


def test_tables_have_a_column_of_photos(tmp_path: Path) -> None:
    assert read(tmp_path / "x.csv", b"id,URL\n1,https://h/a.jpg\n2,\n3\n4,s3://b/c.jpg\n") == [
        "https://h/a.jpg",
        "s3://b/c.jpg",
    ]
    assert read(tmp_path / "x.csv", b"\xef\xbb\xbfpath,url\na.jpg,https://h/a.jpg\n") == ["a.jpg"]
    assert read(tmp_path / "x.tsv", b'x\tpath\n1\t"a\nb.jpg"\n') == ["a\nb.jpg"]
    assert read(tmp_path / "x.csv", b"path\ncaf\xe9.jpg\n") == ["caf\udce9.jpg"]


def test_of_results_with_several_ranks_each_photo_comes_once(tmp_path: Path) -> None:
    body = b"photo,rank,error\na.jpg,1,\na.jpg,2,\nbad.jpg,,no such file\nb.jpg,1,\n"
    assert read(tmp_path / "x.csv", body) == ["a.jpg", "bad.jpg", "b.jpg"]


def test_parquet_is_told_by_its_content(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra parquet")
    import pyarrow.parquet as parquet

    table = {
        "photo": ["a.jpg", "a.jpg", "caf\ufffd.jpg", None],
        "rank": [1, 2, None, 1],
        "photo_bytes": [None, None, b"caf\xe9.jpg", None],
    }
    parquet.write_table(pyarrow.table(table), tmp_path / "x.txt")
    assert list(read_list(os.fspath(tmp_path / "x.txt"))) == ["a.jpg", "caf\udce9.jpg"]
    parquet.write_table(pyarrow.table({"Url": ["https://h/a.jpg"]}), tmp_path / "x.parquet")
    assert list(read_list(os.fspath(tmp_path / "x.parquet"))) == ["https://h/a.jpg"]
    parquet.write_table(pyarrow.table({"other": [1]}), tmp_path / "x.parquet")
    with pytest.raises(TableError, match="no column photo, path or url"):
        list(read_list(os.fspath(tmp_path / "x.parquet")))
    with pytest.raises(TableError, match="cannot be read as Parquet"):
        read(tmp_path / "x.parquet", b"PAR1 and no more")


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        list(read_list(os.fspath(tmp_path / "none")))
    with pytest.raises(UsageError, match=r"not a regular file|directory"):
        list(read_list(os.fspath(tmp_path)))
    with pytest.raises(UsageError, match="is a JPEG picture"):
        read(tmp_path / "x.txt", b"\xff\xd8\xff\xe0\0\x10JFIF\0")
    with pytest.raises(TableError, match="no column photo, path or url"):
        read(tmp_path / "x.csv", b"a,b\n1,2\n")
    with pytest.raises(TableError, match="longer than any path"):
        read(tmp_path / "x.csv", b"path\n" + b"x" * 300_000)
    with pytest.raises(UsageError, match="longer than any path"):
        read(tmp_path / "x.txt", b"x" * 300_000)
    with pytest.raises(TableError, match="line 2"):
        read(tmp_path / "x.csv", b"path\n" + b"x" * 200_000 + b"\n")
