"""The object storage: presigned links, ranges, ETags; and the image CDN beside it.

Behaviour as of S3 and compatible stores, plus several ranges in one request (RFC 9110, 14).
"""

from __future__ import annotations

import re
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from urllib.parse import parse_qsl

from modelhub.demo import pages
from modelhub.demo.faults import Fault, ServerName
from modelhub.demo.httpd import HubHandler, Reply, Request, Span, json_reply
from modelhub.demo.images import drawn_image
from modelhub.demo.shelf import StoredFile, other_bytes
from modelhub.demo.signing import Verdict

_BOUNDARY = "demo-hub-byteranges"
_MOST_RANGES = 32
_TOO_MANY = (
    "We've noticed an unusual amount of downloading from your account. "
    "Contact support@civitai.com or come back later."
)


class StorageHandler(HubHandler):
    """Serves published files to holders of a signed link."""

    server_version = "DemoStorage"

    def answer(self, request: Request) -> Reply:
        """The reply to `request`: a file, a part of it, an image, or an XML error."""
        failed = self._failed(request)
        if failed is not None:
            return failed
        if request.method not in ("GET", "HEAD"):
            return pages.storage_error(405, "MethodNotAllowed", "GET and HEAD only")
        if request.path.startswith("/images/"):
            return drawn_image(self.server.hub.shelf, request.path)
        if "authorization" in request.headers:
            return pages.storage_error(
                400,
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
                "Signature query string parameter or the Authorization header should be specified",
            )
        signer = self.server.hub.signer
        if self.claim(request, "expire_link", applies=lambda fault: fault.after == 0):
            signer.revoke(request.path)
        refused = _REFUSALS.get(signer.check(request.path, request.raw_query))
        if refused is not None:
            return pages.storage_error(403, *refused)
        stored = self.server.hub.shelf.file_at(request.path)
        if stored is None:
            return pages.storage_error(404, "NoSuchKey", "The specified key does not exist.")
        return self._file(request, stored)

    def _failed(self, request: Request) -> Reply | None:
        fault = self.claim(
            request, "rate_limit", "server_error", "html_page", "redirect_loop", "redirect_to"
        )
        return None if fault is None else failure(fault, request, "storage")

    def _file(self, request: Request, stored: StoredFile) -> Reply:
        path, size, etag, modified = stored.current()
        disposition = dict(parse_qsl(request.raw_query)).get("response-content-disposition")
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            "ETag": etag,
            "Last-Modified": formatdate(modified, usegmt=True),
        }
        if disposition:
            headers["Content-Disposition"] = disposition.replace("\r", "").replace("\n", "")
        if self.claim(request, "no_etag"):
            del headers["ETag"]
            etag = ""
        if _listed(request.headers.get("if-match"), etag) is False:
            return pages.storage_error(412, "PreconditionFailed", "If-Match")
        if _listed(request.headers.get("if-none-match"), etag):
            return Reply(304, headers)
        wanted = request.headers.get("range")
        if wanted is not None and self.claim(request, "ignore_range"):
            wanted = None
        if wanted is not None and not _unchanged(request.headers.get("if-range"), etag, modified):
            wanted = None
        reply = _ranged(path, size, headers, parsed_ranges(wanted, size))
        reply.stored_change = lambda fault: self._change(fault, stored)
        return reply

    def _change(self, fault: Fault, stored: StoredFile) -> None:
        if fault.kind == "change_file":
            stored.replace(other_bytes(stored) if fault.content is None else fault.content)
        else:
            self.server.hub.signer.revoke(stored.storage_path)


_REFUSALS = {
    Verdict.MISSING: ("AccessDenied", "Access Denied"),
    Verdict.WRONG: ("SignatureDoesNotMatch", "The request signature does not match"),
    Verdict.EXPIRED: ("AccessDenied", "Request has expired"),
}


def failure(fault: Fault, request: Request, server: ServerName) -> Reply:
    """The reply of a fault that stands in for an answer of `server`."""
    if fault.kind == "html_page":
        return pages.fault_page(fault.page, fault.status)
    if fault.kind.startswith("redirect"):
        where = fault.url if fault.kind == "redirect_to" else request.target
        return Reply(302, {"Location": where, "Cache-Control": "no-store"})
    status = 429 if fault.kind == "rate_limit" else fault.status or 500
    if status >= 520:
        reply = pages.edge_page(status)
    elif server == "storage":
        code = "SlowDown" if status in (429, 503) else "InternalError"
        reply = pages.storage_error(status, code, "Please reduce your request rate.")
    else:
        text = _TOO_MANY if status == 429 else "Server error"
        reply = json_reply(status, {"error": text}, Cache_Control="private, no-store")
    if fault.retry_after is not None:
        reply.headers["Retry-After"] = str(fault.retry_after)
    return reply


def parsed_ranges(header: str | None, size: int) -> list[tuple[int, int]] | None:
    """The (start, length) pairs that a Range header asks for, of a file of `size` bytes.

    None: the whole file, as also for a header that makes no sense; an empty list: none of the
    ranges can be satisfied (RFC 9110, 14.1.2 and 14.2).
    """
    if header is None or not header.lower().startswith("bytes="):
        return None
    pieces = [piece.strip() for piece in header[6:].split(",")]
    ranges = []
    for piece in pieces:
        match = re.fullmatch(r"(\d{0,19})-(\d{0,19})", piece)
        if not match or not (match[1] or match[2]):
            return None
        if match[1]:
            start, last = int(match[1]), int(match[2]) if match[2] else size - 1
            if match[2] and last < start:
                return None
        else:
            start, last = max(0, size - int(match[2])), size - 1
        if start < size and last >= start:
            ranges.append((start, min(last, size - 1) - start + 1))
    return None if len(pieces) > _MOST_RANGES else ranges


def _ranged(
    path: Path, size: int, headers: dict[str, str], ranges: list[tuple[int, int]] | None
) -> Reply:
    if ranges is None:
        return Reply(200, headers, [Span(path, 0, size)])
    if not ranges:
        reply = pages.storage_error(416, "InvalidRange", "The requested range is not satisfiable")
        reply.headers["Content-Range"] = f"bytes */{size}"
        return reply
    if len(ranges) == 1:
        start, length = ranges[0]
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
        return Reply(206, headers, [Span(path, start, length)])
    body: list[bytes | Span] = []
    for start, length in ranges:
        head = (
            f"\r\n--{_BOUNDARY}\r\nContent-Type: {headers['Content-Type']}\r\n"
            f"Content-Range: bytes {start}-{start + length - 1}/{size}\r\n\r\n"
        )
        body += [head.encode(), Span(path, start, length)]
    body.append(f"\r\n--{_BOUNDARY}--\r\n".encode())
    headers["Content-Type"] = f"multipart/byteranges; boundary={_BOUNDARY}"
    return Reply(206, headers, body)


def _listed(header: str | None, etag: str) -> bool | None:
    if header is None:
        return None
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags


def _unchanged(if_range: str | None, etag: str, modified: int) -> bool:
    if if_range is None:
        return True
    if if_range.startswith(('"', "W/")):
        return if_range == etag
    try:
        return int(parsedate_to_datetime(if_range).timestamp()) == modified
    except ValueError:
        return False
