"""Query strings of URLs: which parameters let whoever has them in, and which of them a new signature changes.

Nobody can know all names that servers give their secrets, so what sounds like one is one. Signed URLs:
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html (and version 2),
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html,
https://cloud.google.com/storage/docs/access-control/signed-urls,
https://learn.microsoft.com/rest/api/storageservices/create-service-sas (and of accounts and users),
https://www.alibabacloud.com/help/oss/developer-reference/ddd-signatures-to-urls.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator

#: In place of what is not shown.
REDACTED = "REDACTED"
#: Parameters of signatures by their lower-case names: another signature of the same address has other values.
_SIGNING = re.compile(
    r"x-(amz|goog|ms|oss|cos|obs|tos|bce)-|^q-(sign|ak$|key-time|header-list|url-param-list)"
    r"|signature|sig$|token|hmac|jwt|^(aws|google|oss|)access(key)?id$|^key-pair-id$|policy$"
    r"|^(hdn(ea|ts|tl)|__gda__|verify|md5|oh|hm)$"
)
#: What such URLs say besides, by the parameter that tells whose they are: Azure's, Meta's, Discord's.
_BESIDE = {
    "sig": frozenset(
        "sv ss srt sr sp st se sip spr si sks skv skt ske skoid sktid saoid suoid scid sdd ses "
        "skdutid sduoid".split()
    ),
    "oh": frozenset(("oe",)),
    "hm": frozenset(("ex", "is")),
}
_EXPIRY = re.compile(r"expir|^exp$|^hash-algorithm$")
#: Other parameters that let somebody in.
_SECRET = re.compile(
    r"secret|passw|passphrase|passcode|pwd$|credential|auth(?!ors?$)|sess(ion|_?id)|sid$|key$|key[-_]|api[-_]?key"
    r"|cookie|nonce|ticket|bearer|private|^(code|otp|pin|ak|sk)$|(?<![a-z])(pass|access|sign|creds?|login)(?![a-z])"
)
_BETWEEN = re.compile("([&;])")
#: Values that are secrets whatever they are called: JSON web tokens, and URLs with a password.
_SECRET_VALUE = re.compile(r"\beyJ[\w-]{8}|://[^/?#@\s]+@")
#: A signature of imgix is called so, and so are sizes elsewhere.
_SHORT, _HEX = "s", re.compile(r"[0-9a-f]{16,}", re.IGNORECASE)
#: How often a value may be encoded that is a URL itself.
_MOST_DECODED = 3


def redacted(query: str) -> str:
    """A query string as it is shown: values of parameters that let others in are `REDACTED`.

    What follows `;` in a path is read alike.
    """
    signing = _signing(query)

    def shown(part: str) -> str:
        written, _, value = part.partition("=")
        name = _plain(written)
        hidden = name in signing or _SECRET.search(name) or _is_secret(value) or _is_short(name, value)
        return f"{written}={REDACTED}" if value and hidden else part

    return "".join(map(shown, _BETWEEN.split(query)))


def lasting(query: str) -> str:
    """A query string without the parameters of a signature: what is left tells one address from another."""
    signing = _signing(query)
    parts = _BETWEEN.split(query)[::2]
    return "&".join(part for part in parts if _plain(part.partition("=")[0]) not in signing)


def _signing(query: str) -> frozenset[str]:
    """The parameters of a query that are of its signature, if it has one."""
    names = set(_given(query))
    signing = {name for name in names if _SIGNING.search(name)}
    if signing:
        beside = frozenset[str]().union(*(_BESIDE.get(name, ()) for name in signing))
        signing |= {name for name in names if name in beside or _EXPIRY.search(name)}
    return frozenset(signing)


def _given(query: str) -> Iterator[str]:
    """The names of parameters that have a value."""
    for part in _BETWEEN.split(query)[::2]:
        name, _, value = part.partition("=")
        if value:
            yield _plain(name)


def _plain(name: str) -> str:
    return urllib.parse.unquote_plus(name).lower()


def _is_short(name: str, value: str) -> bool:
    return name == _SHORT and _HEX.fullmatch(value) is not None


def _is_secret(value: str) -> bool:
    """Whether a value is a secret by itself, or a URL that holds one."""
    for _ in range(_MOST_DECODED):
        if _SECRET_VALUE.search(value):
            return True
        inner = _given(value.rpartition("?")[2])
        if any(_SIGNING.search(name) or _SECRET.search(name) for name in inner):
            return True
        if (decoded := urllib.parse.unquote_plus(value)) == value:
            return False
        value = decoded
    return False
