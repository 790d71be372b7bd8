"""Presigned storage links: they carry their own signature, and expire.

The query has the shape of AWS Signature Version 4 (``X-Amz-*``), as Civitai's object storage
uses it; the signature is an HMAC-SHA256 over path and query.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from enum import Enum
from urllib.parse import parse_qsl, quote, urlencode


class Verdict(Enum):
    """What a signature is worth."""

    GOOD = "good"
    MISSING = "missing"
    WRONG = "wrong"
    EXPIRED = "expired"


class Signer:
    """Makes and checks signed paths. `lifetime` is in seconds and may be changed at any time."""

    def __init__(self, lifetime: float) -> None:
        self.lifetime = lifetime
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._serial = 0
        self._revoked: dict[str, int] = {}

    def signed(self, path: str, disposition: str | None) -> str:
        """`path` with a query that proves it, good for `lifetime` from now."""
        with self._lock:
            self._serial += 1
            serial = self._serial
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"demo/{serial}/auto/s3/aws4_request",
            "X-Amz-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
            "X-Amz-Expires": f"{self.lifetime:g}",
            "X-Amz-SignedHeaders": "host",
            "x-id": "GetObject",
            "x-demo-until": f"{time.time() + self.lifetime:.3f}",
        }
        if disposition is not None:
            query["response-content-disposition"] = disposition
        query["X-Amz-Signature"] = self._signature(path, query)
        return f"{path}?{urlencode(query, quote_via=quote)}"

    def revoke(self, path: str) -> None:
        """Let every link to `path` that was made until now expire."""
        with self._lock:
            self._revoked[path] = self._serial

    def check(self, path: str, query: str) -> Verdict:
        """What the signature in `query` is worth for `path`."""
        given = dict(parse_qsl(query, keep_blank_values=True))
        signature = given.pop("X-Amz-Signature", None)
        if signature is None:
            return Verdict.MISSING
        if not hmac.compare_digest(signature.encode(), self._signature(path, given).encode()):
            return Verdict.WRONG
        serial = int(given["X-Amz-Credential"].split("/")[1])
        if time.time() > float(given["x-demo-until"]) or serial <= self._revoked.get(path, 0):
            return Verdict.EXPIRED
        return Verdict.GOOD

    def _signature(self, path: str, query: dict[str, str]) -> str:
        text = path + "?" + urlencode(sorted(query.items()))
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
