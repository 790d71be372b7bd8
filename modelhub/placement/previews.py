"""Which image stands for a model, and where it is from: no network here.

NSFW levels are bits (`nsfwLevel`: 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX, 32 blocked). An image may be
shown when every bit that it has is allowed. An image that Civitai has not rated yet (level 0, or
none at all) counts as XXX: nobody has looked at it. Answers of 2023 have words in its place
(``None``, ``Soft``, ``Mature``, ``X``), or only ``nsfw: true|false``.

URLs of Civitai's CDN have the form ``https://image.civitai.com/BUCKET/UUID/TRANSFORM/NAME``, the
transform being ``key=value`` pairs with commas (source: `getEdgeUrl` in
`src/client-utils/edge-url.ts` of civitai/civitai, which also says that the CDN enlarges an image
when it is asked for more pixels than it has).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from modelhub.config.settings import NsfwLevel
from modelhub.network import CIVITAI_HOSTS, is_loopback

LEVELS: Mapping[NsfwLevel, int] = {"PG": 1, "PG-13": 2, "R": 4, "X": 8, "XXX": 16}
"""Civitai's bit for each level."""

PREVIEW_SUFFIXES = tuple(
    f"{middle}.{extension}"
    for middle in (".preview", "")
    for extension in ("png", "jpg", "jpeg", "webp", "gif", "avif", "mp4", "webm")
)
"""What may follow the stem of a model in the name of its preview: the union of what A1111
(`modules/ui_extra_networks.py`, `find_preview`), ComfyUI (`app/model_manager.py`), LoRA Manager
(`PREVIEW_EXTENSIONS`) and Stability Matrix (`SupportedImageExtensions`) read."""

_SUFFIX_BY_TYPE = {"png": ".preview.png", "jpeg": ".preview.jpg", "webp": ".preview.webp"}
_TRANSFORM = re.compile(r"[a-z]+=[^,/=]+(?:,[a-z]+=[^,/=]+)*")
_WORDS = {"none": 1, "safe": 1, "soft": 2, "mature": 4, "x": 8, "blocked": 32}
UNRATED = LEVELS["XXX"]
"""The NSFW bits of an image of which nobody said anything."""
_BLOCKED = 32


@dataclass(frozen=True, slots=True)
class PreviewImage:
    """One image, or the still of one video, that may stand for the model."""

    url: str
    """As Civitai gave it: the original."""
    level: int
    """Its NSFW bits."""
    is_video: bool = False
    width: int | None = None
    """Pixels of the original, where known."""


def preview_candidates(images: Iterable[Any], max_level: NsfwLevel) -> Iterator[PreviewImage]:
    """The images that may be shown, in the creator's order; anything malformed is passed over.

    :param images: `images` of a version's answer, decoded.
    :param max_level: the highest level that the user allows.
    """
    allowed = allowed_bits(max_level)
    for image in images:
        if not isinstance(image, Mapping):
            continue
        url, level = image.get("url"), nsfw_level(image)
        if not isinstance(url, str) or level & ~allowed:
            continue
        if web_address(url) is None:
            continue
        width = image.get("width")
        is_width = isinstance(width, int) and not isinstance(width, bool) and width > 0
        is_video = image.get("type") == "video"
        yield PreviewImage(url, level, is_video, width if is_width else None)


def allowed_bits(highest: NsfwLevel) -> int:
    """The NSFW bits that an image may have where `highest` is the most that is shown."""
    return 2 * LEVELS[highest] - 1


def nsfw_level(image: Mapping[str, Any]) -> int:
    """The image's NSFW bits; of an unrated one, those of XXX."""
    level = image.get("nsfwLevel")
    if isinstance(level, bool) or level is None:
        level = image.get("nsfw")
    if isinstance(level, bool):
        return LEVELS["X"] if level else LEVELS["PG"]
    if isinstance(level, int) and 0 < level < 2 * _BLOCKED:
        return level
    if isinstance(level, str):
        return _WORDS.get(level.lower(), UNRATED)
    return UNRATED


def sized_url(image: PreviewImage, width: int) -> str:
    """The URL of the image at `width` pixels, or of a video's still.

    Only the transform of Civitai's CDN (or of a server on loopback) is rewritten; other URLs, and
    images that are no wider, are taken as they are.
    """
    parts = urlsplit(image.url)
    host = (parts.hostname or "").lower()
    segments = parts.path.split("/")
    is_cdn = is_loopback(host) or any(host.endswith(f".{site}") for site in CIVITAI_HOSTS)
    if not is_cdn or len(segments) < 3 or not _TRANSFORM.fullmatch(segments[-2]):
        return image.url
    if image.is_video:
        segments[-2] = f"anim=false,transcode=true,width={width}"
        segments[-1] = re.sub(r"\.(?:mp4|webm|gif)$", "", segments[-1]) + ".jpeg"
        if segments[-1].endswith(".jpeg.jpeg"):
            segments[-1] = segments[-1][: -len(".jpeg")]
    elif image.width is not None and image.width <= width:
        segments[-2] = "original=true"
    else:
        segments[-2] = f"width={width}"
    return urlunsplit(parts._replace(path="/".join(segments)))


def existing_preview(model_file: Path) -> Path | None:
    """The preview that is beside the model, in any form that one of the tools reads."""
    for suffix in PREVIEW_SUFFIXES:
        candidate = model_file.with_name(model_file.stem + suffix)
        if candidate != model_file and candidate.exists():
            return candidate
    return None


def preview_path(model_file: Path, image_type: str) -> Path:
    """The name of a preview of that true type: all the tools go by the extension.

    A GIF has no ``.preview`` before it: LoRA Manager reads it only so.

    :param image_type: as :func:`image_type_of` gives it.
    """
    suffix = _SUFFIX_BY_TYPE.get(image_type, f".{image_type}")
    return model_file.with_name(model_file.stem + suffix)


def image_type_of(start: bytes) -> str | None:
    """`png`, `jpeg`, `webp` or `gif` by the first bytes, or `None`: never HTML, SVG or video."""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return None


def web_address(url: str) -> tuple[str, str] | None:
    """Scheme and host of an absolute http(s) URL, or `None` for anything else."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return parts.scheme, parts.hostname.lower()
