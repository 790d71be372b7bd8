"""File names out of `Content-Disposition` (RFC 6266), as they were sent: not yet safe to use."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

_PARAMETER = re.compile(
    r";\s*(?P<name>[!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*=\s*"
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^;]*))',
    re.DOTALL,
)
_QUERY_NAMES: Final = ("response-content-disposition", "rscd")
"""What S3-like and Azure-like storage call it in a presigned URL."""


def disposition_filename(value: str | bytes | None) -> str | None:
    """The file name in a header's value; `filename*` before `filename`, None where there is none.

    Raw bytes are UTF-8, or else ISO 8859-1. Nothing is cleaned: a name may hold any character.
    """
    text = _text(value) if isinstance(value, bytes) else value
    if not text:
        return None
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(text if ";" in text.partition("=")[0] else ";" + text):
        quoted = match["quoted"]
        content = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if quoted is not None else ""
        found.setdefault(match["name"].lower(), content or (match["plain"] or "").strip())
    return _extended(found.get("filename*", "")) or found.get("filename") or None


def link_filename(url: str) -> str | None:
    """The file name that a presigned URL tells its storage to answer with."""
    try:
        query = parse_qsl(urlsplit(url).query)
    except ValueError:
        return None
    return next(
        (disposition_filename(value) for name, value in query if name.lower() in _QUERY_NAMES),
        None,
    )


def _extended(value: str) -> str | None:
    """`UTF-8'en'na%C3%AFve.ckpt` (RFC 8187); None where it is not of that form."""
    charset, _, rest = value.strip('"').partition("'")
    _, tick, encoded = rest.partition("'")
    if not tick:
        return None
    data = unquote_to_bytes(encoded)
    if charset.lower() == "iso-8859-1":
        return data.decode("iso-8859-1")
    return data.decode("utf-8", "replace") if charset.lower() == "utf-8" else None


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("iso-8859-1")
