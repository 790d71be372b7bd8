"""Answers kept on disk, so that asking again costs a `304 Not Modified`, or nothing.

One file an answer: a line of JSON that describes it, then the body. The file's name is a digest of
the URL and the key together, so that what was answered with one key is never shown to another, and
no name tells a key. Files are replaced whole, so that any number of processes may share the folder;
whatever cannot be read, or does not match its checksum, counts as absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

_KEPT_DAYS: Final = 30
_MOST_BYTES: Final = 256 << 20
_PRUNED_EVERY: Final = 500
_LONGEST_FRESH: Final = 86400.0
_LONGEST_IMMUTABLE: Final = 30 * 86400.0


class _Head(msgspec.Struct, kw_only=True):
    url: str
    stored: float
    fresh_until: float
    etag: str = ""
    last_modified: str = ""
    length: int
    checksum: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A kept answer. Times are seconds since the epoch."""

    body: bytes
    stored: float
    fresh_until: float = 0.0
    etag: str = ""
    last_modified: str = ""

    @property
    def is_fresh(self) -> bool:
        """Whether it may be used without asking; never so when the clock was set back since."""
        return self.stored <= time.time() < self.fresh_until

    @property
    def conditions(self) -> dict[str, str]:
        """The request headers that ask only whether it is still current."""
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in headers.items() if value}


class AnswerCache:
    """The kept answers in `folder`; it is made when the first one is stored."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stored = 0

    def load(self, url: str, key: str | None) -> Entry | None:
        """The answer kept for `url` asked with `key` (None: without one)."""
        path = self._path(url, key)
        try:
            line, _, body = path.read_bytes().partition(b"\n")
            head = msgspec.json.decode(line, type=_Head)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        whole = (head.url, head.length, head.checksum) == (url, len(body), zlib.crc32(body))
        if not whole:
            return None
        return Entry(
            body=body,
            stored=head.stored,
            fresh_until=head.fresh_until,
            etag=head.etag,
            last_modified=head.last_modified,
        )

    def store(self, url: str, key: str | None, body: bytes, headers: Mapping[str, str]) -> None:
        """Keep an answer if its headers allow it and make it worth it; a full disk is no error.

        :param headers: of the answer, names in lower case.
        """
        directives = cache_directives(headers)
        now = time.time()
        fresh_until = _fresh_until(directives, headers, now)
        etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
        if "no-store" in directives or not (etag or modified or fresh_until > now):
            self.forget(url, key)
            return
        head = _Head(
            url=url,
            stored=now,
            fresh_until=fresh_until,
            etag=etag,
            last_modified=modified,
            length=len(body),
            checksum=zlib.crc32(body),
        )
        with contextlib.suppress(OSError):
            self._write(self._path(url, key), msgspec.json.encode(head) + b"\n" + body)
            self._prune()

    def forget(self, url: str, key: str | None) -> None:
        """Drop the answer kept for `url` and `key`, if there is one."""
        with contextlib.suppress(OSError):
            self._path(url, key).unlink(missing_ok=True)

    def _path(self, url: str, key: str | None) -> Path:
        digest = hashlib.blake2b(digest_size=20, person=b"modelhub-api")
        for part in (url, "" if key is None else "key:" + key):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        name = digest.hexdigest()
        return self._folder / name[:2] / name[2:]

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
        try:
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def _prune(self) -> None:
        """Now and then: drop what is old, and the oldest beyond the size allowed."""
        self._stored += 1
        if self._stored % _PRUNED_EVERY != 1:
            return
        found: list[tuple[float, int, Path]] = []
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        room = _MOST_BYTES
        oldest = time.time() - _KEPT_DAYS * 86400
        for modified, size, path in sorted(found, reverse=True):
            room -= size
            if modified < oldest or room < 0:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)


def cache_directives(headers: Mapping[str, str]) -> dict[str, str]:
    """`Cache-Control` as names, in lower case, and values."""
    found = re.findall(r'([\w-]+)(?:\s*=\s*"?([^",\s]*))?', headers.get("cache-control", ""))
    return {name.lower(): value for name, value in found}


def _fresh_until(directives: Mapping[str, str], headers: Mapping[str, str], now: float) -> float:
    """Until when it may be used unasked: by `max-age` alone, `s-maxage` being for shared caches."""
    age, passed = directives.get("max-age", ""), headers.get("age", "0")
    if "no-cache" in directives or not (age.isdecimal() and age.isascii()):
        return 0.0
    most = _LONGEST_IMMUTABLE if "immutable" in directives else _LONGEST_FRESH
    already = float(passed[:9]) if passed.isdecimal() and passed.isascii() else 0.0
    return now + min(float(age[:12]), most) - already
