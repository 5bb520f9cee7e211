"""URLs: what is one, what is refused, and what of them may be seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geolocate.errors import UsageError
from geolocate.sources.braces import expand_braces
from geolocate.sources.urls import archive_kind, check_url, file_path, is_url, public_name, without_secrets


@pytest.mark.parametrize(
    "text", ["photos/a.jpg", "C:\\a.jpg", "./http:/x", "http:/x/a.jpg", "a:b", "x://a", "-", ""]
)
def test_a_path_is_no_url(text: str) -> None:
    assert not is_url(text)
    assert public_name(text) == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/a.jpg", "https://h/a.jpg"),
        ("https://h/a.jpg?id=7&w=100", "https://h/a.jpg?id=7&w=100"),
        (
            "https://h/a.jpg?X-Amz-Date=1&X-Amz-Signature=s3cret",
            "https://h/a.jpg?X-Amz-Date=REDACTED&X-Amz-Signature=REDACTED",
        ),
        ("https://h/a?sv=2&sig=s3cret%3D", "https://h/a?sv=REDACTED&sig=REDACTED"),
        ("https://h/a;jsessionid=s3cret;v=1/b", "https://h/a;jsessionid=REDACTED;v=1/b"),
        ("https://h/a?%73ig=s3cret;ToKeN=s3cret", "https://h/a?%73ig=REDACTED;ToKeN=REDACTED"),
        ("https://h/a?access_key=s3cret&monkey=3", "https://h/a?access_key=REDACTED&monkey=REDACTED"),
        ("https://u:s3cret@h/a", "https://REDACTED@h/a"),
        ("https://h/a#access_token=s3cret", "https://h/a"),
        ("https://h?token=s3cret", "https://h?token=REDACTED"),
        ("s3://key:s3cret@b/a?x=1", "s3://REDACTED@b/a?x=1"),
        ("tar://a.jpg::https://h/x.tar?token=s3cret", "tar://a.jpg::https://h/x.tar?token=REDACTED"),
    ],
)
def test_secrets_of_a_url_are_not_shown_and_the_rest_is(url: str, shown: str) -> None:
    assert public_name(url) == shown
    assert public_name(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" https://u:s3cret@h/a", " https://REDACTED@h/a"),
        ('"https://h/a?sig=s3cret"', '"https://h/a?sig=REDACTED'),
        ("xhttps://h/a?sig=s3cret", "xhttps://h/a?sig=REDACTED"),
        ("tar://a::b::https://u:s3cret@h/x.tar", "tar://a::b::https://REDACTED@h/x.tar"),
        ("a.jpg", "a.jpg"),
    ],
)
def test_messages_show_no_secret_of_a_url_that_stands_in_the_wrong_place(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/a",
        "javascript://x",
        "https://u:s3cret@h/a",
        "s3://k:s3cret@b/a",
        "https:///a",
        "s3:///a",
        "zip://a",
        "zip://a::tar://b::c",
        "tar://a::https://u:s3cret@h/x.tar",
        "file://host/a",
    ],
)
def test_urls_that_nobody_can_mean_are_refused_without_their_secrets(url: str) -> None:
    with pytest.raises(UsageError) as refusal:
        check_url(url)
    assert "s3cret" not in str(refusal.value)


def test_a_file_url_is_a_path() -> None:
    assert file_path("file:///a/b%20c%FF.jpg") == "/a/b c\udcff.jpg"
    assert file_path("file://localhost/a") == "/a"


def test_archives_are_told_by_their_ending() -> None:
    assert archive_kind("a.ZIP") == archive_kind("https://h/a.zip?token=x") == "zip"
    assert archive_kind("a.tar") == archive_kind("s3://b/a.tar.gz") == archive_kind("a.TGZ") == "tar"
    assert archive_kind("a.jpg") is archive_kind("https://h/a.jpg?x=a.zip") is archive_kind("a.gz") is None


@pytest.mark.parametrize(
    ("argument", "meant"),
    [
        ("a.tar", ["a.tar"]),
        ("s-{000..002}.tar", ["s-000.tar", "s-001.tar", "s-002.tar"]),
        ("{9..11}", ["9", "10", "11"]),
        ("{2..1}", ["2", "1"]),
        ("{08..10}", ["08", "09", "10"]),
        ("{a,b}/{1..2}.tar", ["a/1.tar", "a/2.tar", "b/1.tar", "b/2.tar"]),
        ("{a,}", ["a", ""]),
        ("{a}", ["{a}"]),
        ("{}", ["{}"]),
        ("{1..x}", ["{1..x}"]),
        ("x{{1..2}}", ["x{1}", "x{2}"]),
    ],
)
def test_braces_stand_for_what_a_shell_would_make_of_them(argument: str, meant: list[str]) -> None:
    assert list(expand_braces(argument)) == meant


def test_braces_without_end_are_refused_before_anything_is_made() -> None:
    for argument in ("{0..999999999999}", "{1..1000}{1..1000}{1..2}"):
        with pytest.raises(UsageError, match="stands for more than 1,000,000"):
            next(expand_braces(argument))
    assert next(expand_braces("{1..1000}{1..1000}")) == "11"


@given(st.text(alphabet="{}.,0123ab", max_size=30))
def test_braces_never_fail_otherwise(argument: str) -> None:
    try:
        assert all(
            isinstance(word, str) for word, _ in zip(expand_braces(argument), range(100), strict=False)
        )
    except UsageError:
        assert "{" in argument
