"""Shards: each photo is in one of them, the same on every machine, and its place in the whole is kept."""

from __future__ import annotations

import hashlib
import itertools
import os
import tracemalloc
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geolocate.errors import UsageError
from geolocate.sharding.listing import ShardListing
from geolocate.sharding.ordinals import GONE, pack, unpack
from geolocate.sharding.shard import Shard, name_in

NAMES = [f"day{number % 7}/{number:05}.jpg" for number in range(2000)]


def listing(index: int, count: int, names: list[str], earlier: tuple[str, ...] = ()) -> ShardListing:
    """One that has been asked for all photos of a folder."""
    made = ShardListing(Shard(index, count))
    for name in earlier:
        made.earlier(f"photos/{name}")
    for name in names:
        made.found("photos", f"photos/{name}")
        made.skip(f"photos/{name}")
    return made


def ordinals(made: ShardListing) -> list[int]:
    """Where each photo of the output stands in the listing."""
    facts = made.facts()
    for count in itertools.count():
        try:
            return list(unpack(facts["ordinals"], count))
        except ValueError as error:
            if count > len(NAMES):
                raise AssertionError("no ordinals") from error
    raise AssertionError


@given(st.lists(st.binary(min_size=1, max_size=30)), st.integers(1, 40))
def test_every_photo_is_in_exactly_one_shard(names: list[bytes], count: int) -> None:
    shards = [Shard(index, count) for index in range(1, count + 1)]
    for name in names:
        (own,) = [shard for shard in shards if shard.holds(name)]
        assert own.index == int(hashlib.sha256(name).hexdigest(), 16) % count + 1


def test_shards_are_balanced() -> None:
    sizes = [sum(Shard(index, 8).holds(name.encode()) for name in NAMES) for index in range(1, 9)]
    assert sum(sizes) == len(NAMES)
    assert min(sizes) > 0.7 * len(NAMES) / 8
    assert max(sizes) < 1.3 * len(NAMES) / 8


@given(st.integers(0, 500), st.integers(1, 40))
def test_rows_of_a_table_fall_into_shards_that_follow_each_other(rows: int, count: int) -> None:
    parts = [Shard(index, count).rows(rows) for index in range(1, count + 1)]
    assert list(itertools.chain(*parts)) == list(range(rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("argument", "photo", "name"),
    [
        ("photos/", "photos/a/b.jpg", b"a/b.jpg"),
        ("photos", "photos/a/b.jpg", b"a/b.jpg"),
        ("/mnt/x/photos//", "/mnt/x/photos/a/b.jpg", b"a/b.jpg"),
        (".", "./a/b.jpg", b"a/b.jpg"),
        ("/", "/a/b.jpg", b"a/b.jpg"),
        ("/mnt/photos/a/b.jpg", "/mnt/photos/a/b.jpg", b"b.jpg"),
        ("b.jpg", "b.jpg", b"b.jpg"),
        ("photos", "photos/caf\udce9.jpg", b"caf\xe9.jpg"),
        ("s3://bucket/trip", "s3://bucket/trip/a/b.jpg", b"a/b.jpg"),
        ("s3://bucket/trip/", "s3://bucket/trip/a/b.jpg", b"a/b.jpg"),
        ("s3://bucket/trip/", "s3://bucket/trip/who?.jpg", b"who?.jpg"),
        ("https://host/a/b.jpg?sig=1", "https://host/a/b.jpg?sig=1", b"https://host/a/b.jpg"),
        ("https://host/a?key=1&sig=2", "https://host/a?key=1&sig=2", b"https://host/a?key=1"),
        ("https://host/x.tar?key=1", "tar://a/b.jpg::https://host/x.tar?key=1", b"a/b.jpg"),
        ("tar://a::https://h/x.tar?id=1", "tar://a::https://h/x.tar?id=1", b"tar://a::https://h/x.tar?id=1"),
        ("/mnt/trip.zip", "zip://a/b.jpg::/mnt/trip.zip", b"a/b.jpg"),
        ("zip://a/b.jpg::trip.zip", "zip://a/b.jpg::trip.zip", b"a/b.jpg"),
    ],
)
def test_a_photo_is_told_by_what_follows_its_argument(argument: str, photo: str, name: bytes) -> None:
    if os.sep == "/":
        assert name_in(argument, photo) == name


def test_urls_that_differ_in_what_is_not_shown_are_spread_and_their_listing_holds_no_hash_of_it() -> None:
    urls = [f"https://host/photo?key=s3cret{number}&sig=x" for number in range(64)]
    counts = [sum(Shard(index, 4).holds_photo(url, url) for url in urls) for index in range(1, 5)]
    assert min(counts) > 4, counts

    def facts(urls: list[str]) -> dict[str, Any]:
        made = ShardListing(Shard(1, 4))
        for url in urls:
            made.found(url, url)
        return made.facts()

    again = [url.replace("sig=x", "sig=another") for url in urls]
    assert [Shard(1, 4).holds_photo(url, url) for url in urls] == [
        Shard(1, 4).holds_photo(url, url) for url in again
    ]
    assert facts(urls)["listing"] == facts([url.replace("s3cret", "other") for url in again])["listing"]


def test_the_same_shard_is_meant_on_every_mount() -> None:
    here = [name_in("photos/", f"photos/{name}") for name in NAMES]
    there = [name_in("/mnt/x/photos", f"/mnt/x/photos/{name}") for name in NAMES]
    assert here == there


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "0/8",
        "9/8",
        "1/0",
        "-1/8",
        "1/8/2",
        "1.0/8",
        "a/b",
        "1/9999999",
        "٣/8",
        "01/3",
        " 1/3",
        "1/3\n",
    ],
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="I/N is the I-th of N parts"):
        Shard.parse(text)


def test_a_shard_is_written_as_it_is_read() -> None:
    assert Shard.parse("3/8") == Shard(3, 8)
    assert str(Shard.parse("1/1")) == "1/1"


@given(st.lists(st.integers(GONE, 2**40), max_size=200))
def test_packed_numbers_come_back(numbers: list[int]) -> None:
    assert list(unpack(pack(numbers), len(numbers))) == numbers


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: pack(raw)[:-3]), st.integers(0, 9))
def test_what_holds_no_packed_numbers_is_refused(text: str, count: int) -> None:
    try:
        numbers = list(unpack(text, count))
    except ValueError:
        return
    assert len(numbers) == count


def test_packed_numbers_that_would_fill_the_memory_are_refused_before_they_do() -> None:
    bomb = pack([0] * 3_000_000)
    assert len(bomb) < 20_000
    tracemalloc.start()
    with pytest.raises(ValueError, match="packed numbers"):
        list(unpack(bomb, 10))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**18


def test_packed_numbers_of_a_shard_take_about_a_byte_each() -> None:
    made = listing(3, 8, NAMES)
    assert len(made.facts()["ordinals"]) < 1.5 * len(ordinals(made))


def test_the_shards_of_a_listing_make_the_whole_and_agree_on_what_it_is() -> None:
    parts = [listing(index, 8, NAMES) for index in range(1, 9)]
    assert sorted(number for part in parts for number in ordinals(part)) == list(range(len(NAMES)))
    facts = [part.facts() for part in parts]
    assert {(fact["of"], fact["listed"]) for fact in facts} == {(8, len(NAMES))}
    assert len({fact["listing"] for fact in facts}) == 1
    assert listing(1, 8, NAMES[:-1]).facts()["listing"] != facts[0]["listing"]
    assert listing(1, 8, NAMES[::-1]).facts()["listing"] != facts[0]["listing"]


def test_a_run_that_goes_on_knows_where_the_rows_that_are_there_belong() -> None:
    own = [name for name in NAMES if Shard(2, 8).holds(name.encode())]
    at = {name: NAMES.index(name) for name in own}
    made = listing(2, 8, NAMES, earlier=tuple(own[:100]))
    assert ordinals(made) == [at[name] for name in own]
    assert made.facts() == listing(2, 8, NAMES).facts()


def test_photos_that_came_since_stand_where_the_listing_has_them_and_those_that_went_nowhere() -> None:
    own = [name for name in NAMES if Shard(2, 8).holds(name.encode())]
    now = [name for name in NAMES if name != own[1]]
    made = listing(2, 8, now, earlier=(own[1], own[3], own[0]))
    at = {name: now.index(name) for name in own if name != own[1]}
    assert ordinals(made) == [GONE, at[own[3]], at[own[0]], at[own[2]], *(at[name] for name in own[4:])]


def test_a_list_may_name_a_photo_twice() -> None:
    twice = [name for name in NAMES[:20] for _ in range(2)]
    parts = [listing(index, 3, twice) for index in (1, 2, 3)]
    assert sorted(number for part in parts for number in ordinals(part)) == list(range(40))
    own = [name for name in twice if Shard(1, 3).holds(name.encode())]
    going_on = listing(1, 3, twice, earlier=tuple(own[:3]))
    assert ordinals(going_on) == ordinals(parts[0])


def test_a_shard_keeps_a_few_bytes_for_each_of_its_own_photos_alone() -> None:
    tracemalloc.start()
    made = ShardListing(Shard(1, 10))
    held = Counter[bool]()
    for number in range(50_000):
        made.found("photos", f"photos/{number}.jpg")
        held[made.skip(f"photos/{number}.jpg")] += 1
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert current < 30 * held[False]
