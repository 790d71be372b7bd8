"""Secrets out of what is printed: keys, tokens, signatures, passwords in URLs."""

from __future__ import annotations

import re
from collections.abc import Iterable

BLOT = "***"

_URL_QUERY = re.compile(r"(?i)\b(https?://[^\s'\"<>?#]+)\?[^\s'\"<>]*")
_URL_LOGIN = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s'\"<>/@]+@")
_BEARER = re.compile(r"(?i)\b(bearer\s+)[^\s'\",;)]+")
_NAMED = re.compile(
    r"(?i)\b((?:authorization|api[_-]?key|access[_-]?key|token|secret|password|passwd|"
    r"signature|x-amz-[a-z-]+)[\"']?\s*[:=]\s*b?[\"']?)(?!bearer\b)[^\s'\",;&)}]+"
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without `secrets`, URL queries and logins, bearer tokens and named secrets.

    :param secrets: known values, such as the API key; very short ones are left alone, since
        blotting out every "a" would hide the error itself.
    """
    text = hide_known(text, secrets)
    text = _URL_QUERY.sub(rf"\1?{BLOT}", text)
    text = _URL_LOGIN.sub(rf"\1{BLOT}@", text)
    text = _BEARER.sub(rf"\1{BLOT}", text)
    return _NAMED.sub(rf"\1{BLOT}", text)


def hide_known(text: str, secrets: Iterable[str]) -> str:
    """`text` without the values of `secrets` alone."""
    for secret in secrets:
        if len(secret) >= 6:
            text = text.replace(secret, BLOT)
    return text
