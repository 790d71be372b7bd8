"""Fetching a preview image: bounded, without the key, and never a reason to fail a pull."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from modelhub.config import Config
from modelhub.errors import Cancelled, ConfigError
from modelhub.network import http_client, is_loopback, shown_url
from modelhub.placement.previews import (
    PreviewImage,
    existing_preview,
    image_type_of,
    preview_candidates,
    preview_path,
    sized_url,
    web_address,
)
from modelhub.whole_files import create_file

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
MAX_BYTES = 10 << 20
"""The largest preview that is kept."""

_MAX_HOPS = 4
_MAX_CANDIDATES = 3
_TIMEOUT = 20.0
_TURN = 0.1
_ACCEPT = {"Accept": "image/*"}


@dataclass(frozen=True, slots=True)
class PreviewResult:
    """What became of the preview; `notice` is a sentence for the user, or empty."""

    path: Path | None
    """The preview beside the model: fetched, or there before."""
    nsfw_level: int = 0
    source: str | None = None
    """The URL that it came from, as Civitai gave it; `None` for one that was there."""
    notice: str = ""


class _NoPreview(Exception):
    """Why one candidate gave no image; its text is for the user."""


def save_preview(
    config: Config,
    images: Iterable[Any],
    model_file: Path,
    *,
    cancel: threading.Event | None = None,
) -> PreviewResult:
    """Put the first image that the user's settings allow beside `model_file`.

    A preview that is there stays. Where one image cannot be had, the next is tried, three in all.

    :param images: `images` of a version's answer, decoded.
    :raises Cancelled: `cancel` was set.
    """
    there = existing_preview(model_file)
    if there is not None:
        return PreviewResult(there)

    def place(image: PreviewImage, content: bytes) -> PreviewResult:
        return _placed(model_file, image, content)

    result = _first(config, images, cancel, place)
    return PreviewResult(None, notice=result) if isinstance(result, str) else result


def fetch_preview(
    config: Config, images: Iterable[Any], *, cancel: threading.Event | None = None
) -> tuple[bytes, str]:
    """The first image that the user's settings allow, kept nowhere; or nothing, and why.

    :param images: `images` of a version's answer, decoded.
    :raises Cancelled: `cancel` was set.
    """

    def take(image: PreviewImage, content: bytes) -> bytes:
        if image_type_of(content[:16]) is None:
            raise _NoPreview(f"{shown_url(image.url)} is no PNG, JPEG, WebP or GIF image")
        return content

    result = _first(config, images, cancel, take)
    return (b"", result) if isinstance(result, str) else (result, "")


def _first(
    config: Config,
    images: Iterable[Any],
    cancel: threading.Event | None,
    take: Callable[[PreviewImage, bytes], T],
) -> T | str:
    """What `take` makes of the first image that can be had; or why there is none."""
    candidates = list(islice(preview_candidates(images, config.sidecars.max_nsfw), _MAX_CANDIDATES))
    if not candidates:
        limit = config.sidecars.max_nsfw
        return f"no preview image at level {limit} or below is published"
    reasons = []
    for image in candidates:
        try:
            return take(image, _fetch_stoppable(config, image, cancel))
        except _NoPreview as why:
            reasons.append(str(why))
    return f"no preview: {reasons[0]}"


def _placed(model_file: Path, image: PreviewImage, content: bytes) -> PreviewResult:
    image_type = image_type_of(content[:16])
    if image_type is None:
        raise _NoPreview(f"{shown_url(image.url)} is no PNG, JPEG, WebP or GIF image")
    path = preview_path(model_file, image_type)
    if path == model_file:
        raise _NoPreview(f"{model_file} is itself an image")
    try:
        create_file(path, content)
    except FileExistsError:
        return PreviewResult(path)
    except OSError as error:
        raise _NoPreview(f"could not write {path}: {error.strerror or error}") from error
    return PreviewResult(path, image.level, image.url)


def _fetch_stoppable(config: Config, image: PreviewImage, cancel: threading.Event | None) -> bytes:
    """Fetch in a thread of its own, so that a silent server does not delay a Ctrl-C."""
    outcome: list[bytes | BaseException] = []

    def work() -> None:
        try:
            outcome.append(_fetch(config, image, stopped))
        except BaseException as error:
            outcome.append(error)

    stopped = threading.Event()
    worker = threading.Thread(target=work, name="preview", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(_TURN)
        if cancel is not None and cancel.is_set():
            stopped.set()
            raise Cancelled("stopped while fetching the preview image")
    result = outcome[0]
    if isinstance(result, BaseException):
        raise result
    return result


def _fetch(config: Config, image: PreviewImage, stopped: threading.Event) -> bytes:
    import httpx

    url = sized_url(image, config.sidecars.preview_width)
    own_machine = is_loopback(urlsplit(config.civitai.url).hostname)
    try:
        with http_client(config, timeout=_TIMEOUT, connections=1) as client:
            for _ in range(_MAX_HOPS + 1):
                _check_address(url, own_machine=own_machine)
                with client.stream("GET", url, headers=_ACCEPT) as response:
                    if response.has_redirect_location:
                        url = urljoin(url, response.headers["location"])
                        continue
                    return _body(response, url, stopped)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        reason = str(error) or type(error).__name__
        raise _NoPreview(f"{shown_url(url)}: {reason}") from error
    except (ConfigError, ValueError) as error:
        raise _NoPreview(str(error)) from error
    raise _NoPreview(f"{shown_url(image.url)} redirects more than {_MAX_HOPS} times")


def _check_address(url: str, *, own_machine: bool) -> None:
    """Https only; http, and this machine at all, only where the API is on this machine."""
    address = web_address(url)
    if address is None:
        raise _NoPreview("an image's address is no http(s) URL")
    scheme, host = address
    if is_loopback(host):
        if not own_machine:
            raise _NoPreview(f"{shown_url(url)} is on this machine, and the API is not")
    elif scheme != "https":
        raise _NoPreview(f"{shown_url(url)} is not https")


def _body(response: httpx.Response, url: str, stopped: threading.Event) -> bytes:
    """The whole body, given up at the first sign that it is no image or too large."""
    if response.status_code != 200:
        raise _NoPreview(f"{shown_url(url)}: the server answered {response.status_code}")
    content = bytearray()
    for chunk in response.iter_bytes(64 << 10):
        if stopped.is_set():
            raise _NoPreview("stopped")
        content += chunk
        if len(content) >= 16 and image_type_of(bytes(content[:16])) is None:
            raise _NoPreview(f"{shown_url(url)} is no PNG, JPEG, WebP or GIF image")
        if len(content) > MAX_BYTES:
            raise _NoPreview(f"{shown_url(url)} is larger than {MAX_BYTES >> 20} MiB")
    _check_complete(response, url, len(content))
    return bytes(content)


def _check_complete(response: httpx.Response, url: str, size: int) -> None:
    announced = response.headers.get("content-length", "")
    encoded = "content-encoding" in response.headers
    if announced.isascii() and announced.isdigit() and not encoded and int(announced) != size:
        raise _NoPreview(f"{shown_url(url)} broke off at {size} of {announced} bytes")
