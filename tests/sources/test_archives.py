"""Zip and tar archives: what is in them, in which order, and what archives of strangers may not do."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from servers import Web

from geolocate.errors import PhotoError
from geolocate.photo_names import is_photo_name
from geolocate.sources import inflating, tar_archive, zip_archive
from geolocate.sources.archives import ARCHIVES, Archives
from geolocate.sources.fetch import fetched
from geolocate.sources.limits import FetchLimits
from geolocate.sources.listing import photos_in


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    ARCHIVES.close()


def listed(argument: str | Path, limits: FetchLimits | None = None) -> tuple[list[str], list[str]]:
    warnings: list[str] = []
    found = photos_in(os.fspath(argument), is_photo_name, warnings.append, limits or FetchLimits())
    return list(found), warnings


def content(url: str, limits: FetchLimits | None = None) -> bytes:
    with fetched(url, limits or FetchLimits()) as path, open(path, "rb") as file:
        return file.read()


def tarred(members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as tar:
        for name, body in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return packed.getvalue()


MEMBERS = {
    "trip/b.jpg": b"b" * 1000,
    "trip/b.json": b"{}",
    "a.JPG": b"a" * 512,
    "trip/.hidden/x.jpg": b"x",
    "__MACOSX/._a.jpg": b"x",
    "e.jpg": b"",
    "long/" + "n" * 200 + ".jpg": b"long",
}
PHOTOS = ["trip/b.jpg", "a.JPG", "e.jpg", "long/" + "n" * 200 + ".jpg"]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        ("tar", bytes),
        ("tar.gz", gzip.compress),
        ("tgz", gzip.compress),
        ("tar.bz2", bz2.compress),
        ("txz", lzma.compress),
    ],
)
def test_photos_of_a_tar_come_in_its_order_whatever_packs_it(tmp_path: Path, ending, pack, form) -> None:  # type: ignore[no-untyped-def]
    members = MEMBERS if form != tarfile.USTAR_FORMAT else {n: b for n, b in MEMBERS.items() if len(n) < 100}
    archive = tmp_path / f"x.{ending}"
    archive.write_bytes(pack(tarred(members, form)))
    found, warnings = listed(archive)
    assert found == [f"tar://{name}::{archive}" for name in PHOTOS if name in members]
    assert warnings == []
    for url in [*found, *reversed(found)]:
        assert content(url) == members[url[6:].partition("::")[0]]


def test_photos_of_a_zip_come_in_the_order_of_a_folder(tmp_path: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("b.jpg", "a/z.jpg", "a-b/x.jpg", "a.jpg", "notes.txt", ".x.jpg", "é.jpg"):
            packed.writestr(name, name * 100)
    found, warnings = listed(archive)
    assert found == [f"zip://{n}::{archive}" for n in ("a/z.jpg", "a-b/x.jpg", "a.jpg", "b.jpg", "é.jpg")]
    assert warnings == []
    assert content(found[0]) == b"a/z.jpg" * 100


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_of_the_folder_that_one_is_in_has_photos_as_any_other(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / f"x.{kind}"
    names = ["./a.jpg", "./sub/b.jpg", "./.hidden/x.jpg", "./c.bin"]  # as `tar c .` has them
    if kind == "tar":
        archive.write_bytes(tarred({name: name.encode() for name in names}))
    else:
        with zipfile.ZipFile(archive, "w") as packed:
            for name in names:
                packed.writestr(name, name)
    found, warnings = listed(archive)
    assert found == [f"{kind}://a.jpg::{archive}", f"{kind}://sub/b.jpg::{archive}"]
    assert warnings == []
    assert content(found[1]) == content(f"{kind}://./sub/b.jpg::{archive}") == b"./sub/b.jpg"
    assert content(f"{kind}://c.bin::{archive}") == content(f"{kind}://./c.bin::{archive}") == b"./c.bin"
    assert (
        listed(f"{kind}://sub/::{archive}")[0] == listed(f"{kind}://./sub/*.jpg::{archive}")[0] == found[1:]
    )


def test_what_a_chained_url_means(tmp_path: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name in ("a.jpg", "b.bin", "sub/c.jpg", "sub/deep/d.jpg", "[x]*.jpg"):
            packed.writestr(name, name)

    def names(pattern: str) -> list[str]:
        return [url[6:].partition("::")[0] for url in listed(f"zip://{pattern}::{archive}")[0]]

    assert names("") == ["[x]*.jpg", "a.jpg", "sub/c.jpg", "sub/deep/d.jpg"]
    assert names("*.jpg") == ["[x]*.jpg", "a.jpg"]
    assert names("**/*.jpg") == ["[x]*.jpg", "a.jpg", "sub/c.jpg", "sub/deep/d.jpg"]
    assert names("sub/*.jpg") == ["sub/c.jpg"]
    assert names("sub/") == names("sub") == ["sub/c.jpg", "sub/deep/d.jpg"]
    assert names("b.bin") == ["b.bin"]  # named explicitly, it is tried
    assert content(f"zip://b.bin::{archive}") == b"b.bin"
    assert content(f"zip://b.bin::file://{archive}") == b"b.bin"
    assert names("none.jpg") == ["none.jpg"]
    with pytest.raises(PhotoError, match="no such member in the archive"):
        content(f"zip://none.jpg::{archive}")


def test_a_name_of_undecodable_bytes_leads_to_its_member(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    archive = tmp_path / "x.tar"
    archive.write_bytes(tarred({name: b"x"}, tarfile.GNU_FORMAT))
    found, _ = listed(archive)
    assert found == [f"tar://{name}::{archive}"]
    assert content(found[0]) == b"x"


def test_links_devices_and_doubled_names_are_left_out_and_counted(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w") as tar:
        for kind, name in (
            (tarfile.SYMTYPE, "l.jpg"),
            (tarfile.LNKTYPE, "h.jpg"),
            (tarfile.CHRTYPE, "c.jpg"),
            (tarfile.FIFOTYPE, "f.jpg"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        for body in (b"first", b"second"):
            member = tarfile.TarInfo("a.jpg")
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    found, warnings = listed(archive)
    assert found == [f"tar://a.jpg::{archive}"]
    assert content(found[0]) == b"first"
    assert len(warnings) == 1
    assert "left out 5 links, devices or members of a name that came before" in warnings[0]

    packed = tmp_path / "x.zip"
    with zipfile.ZipFile(packed, "w") as zipped:
        link = zipfile.ZipInfo("l.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(link, "/etc/passwd")
        zipped.writestr("a.jpg", "x")
    assert listed(packed)[0] == [f"zip://a.jpg::{packed}"]


def test_no_name_in_an_archive_leads_out_of_it(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    before = set(tmp_path.parent.rglob("*"))
    archive.write_bytes(
        tarred({"../../out.jpg": b"x", "/etc/out.jpg": b"y", "a::b.jpg": b"z", "sub/../k.jpg": b"k"})
    )
    found, warnings = listed(archive)
    assert found == [f"tar://{n}::{archive}" for n in ("../../out.jpg", "/etc/out.jpg", "sub/../k.jpg")]
    assert [content(url) for url in found] == [b"x", b"y", b"k"]
    assert "left out 1 members whose names hold ::" in warnings[0]
    assert set(tmp_path.parent.rglob("*")) - before == {archive}


TRUNCATED = b"truncated: the archive ends within it"


def last_of(url: str) -> bytes:
    """The content, or that it is truncated."""
    try:
        return content(url)
    except PhotoError as error:
        return str(error).partition(" (")[0].encode()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_of_an_archive_that_breaks_off_what_came_is_read(tmp_path: Path, pack) -> None:  # type: ignore[no-untyped-def]
    bodies = {f"{i}.jpg": os.urandom(20_000) for i in range(4)}
    packed = pack(tarred(bodies))
    archive = tmp_path / "x.tar"
    for size in (len(packed) // 2, 20_000, 21_000, len(packed) - 9_900):
        archive.write_bytes(packed[:size])
        found, warnings = listed(archive)
        assert found, size
        for url in found[:-1]:
            assert content(url) == bodies[url[6:].partition("::")[0]]
        assert last_of(found[-1]) in (bodies[found[-1][6:].partition("::")[0]], TRUNCATED)
        assert len(warnings) == 1
        assert "what stands before that is read" in warnings[0]


def test_damage_amid_a_tar_is_told(tmp_path: Path) -> None:
    packed = bytearray(tarred({f"{i}.jpg": bytes([i]) * 1000 for i in range(4)}))
    packed[3 * 512 : 3 * 512 + 100] = b"\xff" * 100  # the second header
    archive = tmp_path / "x.tar"
    archive.write_bytes(packed)
    found, warnings = listed(archive)
    assert found == [f"tar://0.jpg::{archive}"]
    assert "damaged: a header makes no sense" in warnings[0]


@pytest.mark.parametrize("name", ["x.tar", "x.zip", "x.tar.gz"])
@pytest.mark.parametrize("body", [b"", b"no archive" * 100, b"\x1f\x8b garbage", b"PK\x03\x04 garbage"])
def test_what_is_no_archive_is_one_photo_that_fails_with_the_reason(
    tmp_path: Path, name: str, body: bytes
) -> None:
    archive = tmp_path / name
    archive.write_bytes(body)
    (found,), warnings = listed(archive)
    assert found == f"{name[2:5]}://::{archive}"
    assert warnings == []
    with pytest.raises(
        PhotoError, match=r"cannot be read as a (zip|tar) archive|compressed content is damaged"
    ):
        content(found)


def test_members_that_are_too_large_are_errors_and_cost_nothing(tmp_path: Path) -> None:
    limits = replace(FetchLimits(), max_bytes=10_000)
    for pack in (bytes, gzip.compress):
        archive = tmp_path / "x.tar"
        archive.write_bytes(pack(tarred({"big.jpg": bytes(1_000_000), "small.jpg": b"x"})))
        found, _ = listed(archive, limits)
        assert len(found) == 2
        with pytest.raises(PhotoError, match="larger than 10,000 bytes"):
            content(found[0], limits)
        assert content(found[1], limits) == b"x"
    bomb = tmp_path / "x.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("bomb.jpg", bytes(10_000_000))
    with pytest.raises(PhotoError, match="larger than 10,000 bytes"):
        content(f"zip://bomb.jpg::{bomb}", limits)
    data = bytearray(bomb.read_bytes())  # and one that lies about its size
    for at in (data.find(b"PK\x03\x04") + 22, data.find(b"PK\x01\x02") + 24):
        data[at : at + 4] = (100).to_bytes(4, "little")
    bomb.write_bytes(data)
    with pytest.raises(PhotoError, match=r"larger than 10,000 bytes|damaged in its archive"):
        content(f"zip://bomb.jpg::{bomb}", limits)


def test_an_archive_that_grows_without_measure_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inflating, "FREE_INFLATION_BYTES", 100_000)
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(
        gzip.compress(tarred({"a.jpg": os.urandom(5000), "bomb.bin": bytes(30_000_000), "b.jpg": b"x"}))
    )
    found, warnings = listed(archive)
    assert found == [f"tar://a.jpg::{archive}"]
    assert "grows more than 100-fold" in warnings[0]


def test_headers_and_directories_of_gigabytes_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 4 * 2**30
    archive = tmp_path / "x.tar"
    archive.write_bytes(tarred({"a.jpg": b"x"})[:1024] + long_name.tobuf() + bytes(4096))
    found, warnings = listed(archive)
    assert found == [f"tar://a.jpg::{archive}"]
    assert f"a header of more than {tar_archive.MAX_HEADER_BYTES:,} bytes" in warnings[0]

    monkeypatch.setattr(zip_archive, "MAX_DIRECTORY_BYTES", 200)
    packed = tmp_path / "x.zip"
    with zipfile.ZipFile(packed, "w") as zipped:
        for number in range(100):
            zipped.writestr(f"{number}.jpg", b"")
    (found_zip,), _ = listed(packed)
    with pytest.raises(PhotoError, match="cannot be read as a zip archive"):
        content(found_zip)


@pytest.mark.parametrize("size", [-512, -1024, -1, -(2**40)])
def test_an_archive_that_leads_back_ends_there(tmp_path: Path, size: int) -> None:
    header = bytearray(tarred({"b.jpg": b""}, tarfile.GNU_FORMAT)[:512])
    header[124:136] = size.to_bytes(12, "big", signed=True)
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
    archive = tmp_path / "x.tar"
    for pack in (bytes, gzip.compress):
        archive.write_bytes(pack(tarred({"a.jpg": b"x"})[:1024] + header + bytes(4096)))
        found, warnings = listed(archive)
        assert found == [f"tar://a.jpg::{archive}"]
        assert "leads back" in warnings[0]


def test_a_thousand_long_names_in_a_row_are_no_fault_of_ours(tmp_path: Path) -> None:
    link = tarfile.TarInfo("././@LongLink")
    link.type, link.size = tarfile.GNUTYPE_LONGNAME, 10
    archive = tmp_path / "x.tar"
    archive.write_bytes(tarred({"a.jpg": b"x"})[:1024] + (link.tobuf() + b"n" * 10 + bytes(502)) * 3000)
    found, warnings = listed(archive)
    assert found == [f"tar://a.jpg::{archive}"]
    assert len(warnings) == 1


def test_encrypted_and_oddly_packed_members_are_errors(tmp_path: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a.jpg", b"content")
        packed.writestr("b.jpg", b"content")
    data = archive.read_bytes()
    first, second = data.find(b"PK\x01\x02"), data.rfind(b"PK\x01\x02")
    changed = bytearray(data)
    changed[first + 8] |= 1
    changed[6] |= 1
    changed[second + 10] = 97  # a method that nobody has
    archive.write_bytes(changed)
    with pytest.raises(PhotoError, match=r"^encrypted in its archive$"):
        content(f"zip://a.jpg::{archive}")
    with pytest.raises(PhotoError, match="by a method that is not read"):
        content(f"zip://b.jpg::{archive}")
    changed = bytearray(data)
    changed[data.find(b"content")] ^= 1
    archive.write_bytes(changed)
    with pytest.raises(PhotoError, match="damaged in its archive: Bad CRC-32"):
        content(f"zip://a.jpg::{archive}")
    assert content(f"zip://b.jpg::{archive}") == b"content"


def test_archives_in_archives_stay_closed(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    archive.write_bytes(tarred({"inner.zip": b"PK", "a.jpg": b"x"}))
    assert listed(archive)[0] == [f"tar://a.jpg::{archive}"]
    with pytest.raises(PhotoError, match="archives in archives are not opened"):
        content(f"zip://b.jpg::tar://inner.zip::{archive}")


def test_an_archive_is_read_once_for_many_threads_and_only_some_stay_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geolocate.sources import archives

    monkeypatch.setattr(archives, "OPEN_ARCHIVES", 3)
    room = Archives()
    for number in range(6):
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(gzip.compress(tarred({"a.jpg": b"x"})))
        with room.hold("tar", os.fspath(path), "", FetchLimits()) as one:
            with room.hold("tar", os.fspath(path), "a.jpg", FetchLimits()) as other:
                assert one is other
            assert list(one.names()) == ["a.jpg"]
    assert len(room._held) == 3
    room.close()
    assert not room._held


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_of_servers_do_not_fill_the_disk(
    web: Web, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from geolocate.sources import archives

    monkeypatch.setattr(archives, "SPOOLED_BYTES", 2500)
    body = tarred({"a.jpg": bytes(1000)})
    if kind == "zip":
        with zipfile.ZipFile(packed := io.BytesIO(), "w") as zipped:
            zipped.writestr("a.jpg", bytes(1000))
        body = packed.getvalue()
    room = Archives()
    for number in range(6):
        with room.hold(kind, web.gives(f"/{number}.{kind}", body), "", FetchLimits()) as archive:
            assert list(archive.names()) == ["a.jpg"]
    assert len(room._held) == 2
    room.close()


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_damage_anywhere_costs_photos_and_nothing_else(tmp_path: Path, kind: str) -> None:
    chance = random.Random(kind)
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name in ("a.jpg", "b/c.jpg"):
                zipped.writestr(name, bytes(range(256)) * 3)
        whole = packed.getvalue()
    else:
        pack = {"tar": bytes, "tar.gz": gzip.compress, "tar.xz": lzma.compress}[kind]
        whole = pack(tarred({"a.jpg": bytes(range(256)) * 3, "n" * 150 + ".jpg": b"x"}))
    archive = tmp_path / f"x.{kind}"
    limits = FetchLimits(max_bytes=100_000)
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 2, 10])):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
        archive.write_bytes(data)
        found, _warnings = listed(archive, limits)
        assert found
        for url in found:
            last_of(url)
        ARCHIVES.close()
