"""Query strings: no secret of them is shown, and no signature tells one photo from another."""

from __future__ import annotations

import re
import urllib.parse

import pytest

from geolocate.sources.query import lasting, redacted
from geolocate.sources.urls import lasting_name

SIGNED = {
    "S3, version 4": "X-Amz-Algorithm=A&X-Amz-Credential=B&X-Amz-Date=C&X-Amz-Expires=D&X-Amz-SignedHeaders=E"
    "&X-Amz-Security-Token=F&X-Amz-Signature=G",
    "S3, version 2": "AWSAccessKeyId=A&Expires=B&Signature=C&x-amz-security-token=D",
    "CloudFront": "Expires=A&Signature=B&Key-Pair-Id=C&Policy=D&Hash-Algorithm=E",
    "Google, version 4": "X-Goog-Algorithm=A&X-Goog-Credential=B&X-Goog-Date=C&X-Goog-Expires=D"
    "&X-Goog-Signature=E",
    "Google, version 2": "GoogleAccessId=A&Expires=B&Signature=C",
    "Azure, of a service": "sp=A&st=B&se=C&spr=D&sv=E&sr=F&sig=G&si=H&sip=I",
    "Azure, of an account": "sv=A&ss=B&srt=C&sp=D&se=E&sig=F",
    "Azure, of a user": "skoid=A&sktid=B&skt=C&ske=D&sks=E&skv=F&saoid=G&suoid=H&scid=I&sig=J",
    "Alibaba, version 1": "OSSAccessKeyId=A&Expires=B&Signature=C&security-token=D",
    "Alibaba, version 4": "x-oss-signature-version=A&x-oss-credential=B&x-oss-expires=C&x-oss-signature=D",
    "Tencent": "q-sign-algorithm=A&q-ak=B&q-sign-time=C&q-key-time=D&q-header-list=E&q-url-param-list=F"
    "&q-signature=G",
    "Huawei": "AccessKeyId=A&Expires=B&Signature=C&x-obs-security-token=D",
    "Akamai": "hdnts=A",
    "Discord": "ex=A&is=B&hm=C",
}


@pytest.mark.parametrize("signed", SIGNED.values(), ids=SIGNED)
def test_of_a_signed_url_nothing_of_the_signature_is_shown_or_tells_it_apart(signed: str) -> None:
    query = f"id=7&{signed}&w=100"
    assert redacted(query) == re.sub(r"=[A-J](?=&)", "=REDACTED", query)
    assert redacted(query.replace("=A&", "=Z&")) == redacted(query)
    assert lasting(query) == "id=7&w=100"


@pytest.mark.parametrize(
    "name",
    "code pass jwt hmac access pwd auth session sid token secret client_secret access_token accessToken "
    "password passwd passphrase signature credential credentials apikey api_key api-key x-api-key key "
    "accessKey rlkey resourcekey authkey authorization sessionid PHPSESSID connect.sid sign "
    "otp pin bearer ticket nonce user.pass login cookie private-link %63ode".split(),
)
def test_what_sounds_like_a_secret_is_one(name: str) -> None:
    assert redacted(f"id=7&{name}=s3cret&w=1") == f"id=7&{name}=REDACTED&w=1"
    assert redacted(f"{name}=") == f"{name}="


@pytest.mark.parametrize(
    "query",
    [
        "id=7&width=100&format=jpg&v=3&page=2&name=a.jpg&lang=en&country_code=FR&zipcode=1",
        "author=x&authors=y&keyword=z&assignee=1&compass=N&passage=4&designer=q&position=2&description=a",
        "expires=1&sp=2&st=3&se=4&sr=5&ex=1&is=2",
        "s=200&q=80&src=https://h/a.jpg%3Fw%3D100",
        "a.jpg",
        "",
    ],
)
def test_what_does_not_is_shown(query: str) -> None:
    assert redacted(query) == query


def test_a_secret_within_a_value_is_not_shown_either() -> None:
    signed = "https://b/x.jpg?w=1&X-Amz-Signature=s3cret"
    once = urllib.parse.quote(signed, safe="")
    for value in (once, urllib.parse.quote(once, safe=""), "https://b/x?sig=s3cret", "https://u:s3cret@h/a"):
        assert redacted(f"w=1&src={value}") == "w=1&src=REDACTED"
    assert redacted("x=eyJhbGciOiJIUzI1NiJ9.e30.s3cret") == "x=REDACTED"
    assert redacted("s=0123456789abcdef0123456789abcdef") == "s=REDACTED"


@pytest.mark.parametrize("part", ["a", "eyJ-", "%25", "://", "?", "&a", ";token=1", "="])
def test_a_query_as_long_as_any_path_takes_no_time_to_speak_of(part: str) -> None:
    query = "x=1" + part * (65_536 // len(part))  # what grows with the square takes minutes here
    assert lasting(redacted(query)) is not None


def test_photos_are_told_apart_by_all_that_is_no_signature() -> None:
    assert lasting_name("https://h/photo?key=1&sig=2&se=3#x") == "https://h/photo?key=1"
    assert lasting_name("tar://a::https://h/x.tar?id=1&token=2") == "tar://a::https://h/x.tar?id=1"
    assert lasting_name("s3://b/what?sig=1.jpg") == "s3://b/what?sig=1.jpg"
    assert lasting_name("a.jpg?sig=1") == "a.jpg?sig=1"
