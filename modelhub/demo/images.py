"""Preview pictures, drawn from a seed when asked for, resized by the URL as the CDN does it.

PNG is written by hand (RFC 2083): the hub needs no imaging library.
"""

from __future__ import annotations

import hashlib
import re
import struct
import uuid
import zlib

from modelhub.demo.httpd import Reply, json_reply
from modelhub.demo.published import PublishedImage
from modelhub.demo.shelf import Shelf

_BUCKET = "xG1nkqKTMzGDvpLrqFT7WA"
_WIDEST = 4096
_BLOCK = 16


def image_path(image: PublishedImage, transform: str = "original=true") -> str:
    """The path of an image on the CDN: ``/images/<bucket>/<uuid>/<transform>/<id>.png``."""
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"demo-image-{image.id}")
    return f"/images/{_BUCKET}/{name}/{transform}/{image.id}.png"


def drawn_image(shelf: Shelf, path: str) -> Reply:
    """The picture at `path`, as wide as a ``width=`` in its transform segment says."""
    match = re.fullmatch(r"/images/[^/]+/[0-9a-f-]{36}/([^/]+)/(\d{1,12})\.(?:png|jpeg)", path)
    image = _found(shelf, int(match[2])) if match else None
    if match is None or image is None or image_path(image, match[1])[:-4] != path.rsplit(".", 1)[0]:
        return json_reply(404, {"error": "Image not found"})
    width, height = image.width, image.height
    wanted = re.search(r"(?:^|,)width=(\d{1,5})(?:,|$)", match[1])
    if wanted and 0 < int(wanted[1]) < width:
        height = max(1, round(height * int(wanted[1]) / width))
        width = int(wanted[1])
    data = png(image.seed, min(width, _WIDEST), min(height, _WIDEST))
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    return Reply(
        200,
        {"Content-Type": "image/png", "Cache-Control": "public, max-age=31536000", "ETag": etag},
        [data],
    )


def _found(shelf: Shelf, image_id: int) -> PublishedImage | None:
    for shelved in shelf.versions():
        for image in shelved.version.images:
            if image.id == image_id:
                return image
    return None


def png(seed: int, width: int, height: int) -> bytes:
    """A picture of coloured blocks, always the same for a seed; true colour, 8 bits."""
    rows = []
    for top in range(0, height, _BLOCK):
        row = b"".join(
            _colour(seed, top // _BLOCK, left // _BLOCK) * min(_BLOCK, width - left)
            for left in range(0, width, _BLOCK)
        )
        rows.append((b"\0" + row) * min(_BLOCK, height - top))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _colour(seed: int, row: int, column: int) -> bytes:
    mixed = zlib.crc32(b"%d" % seed)
    shade = (row * 7 + column * 5 + (mixed >> 9) * ((row ^ column) & 3)) % 96
    return bytes((((mixed >> shift) & 0x7F) + shade) & 0xFF for shift in (0, 8, 16))
