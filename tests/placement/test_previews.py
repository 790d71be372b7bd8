from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.config.settings import NsfwLevel
from modelhub.placement.previews import (
    PreviewImage,
    existing_preview,
    image_type_of,
    nsfw_level,
    preview_candidates,
    preview_path,
    sized_url,
)

from .images import GIF, HTML, JPEG, MP4, PNG, SVG, WEBP

CDN = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA/42b875cf-c62b-41fa-a349-383b7f074351"


def image(level: object = 1, name: str = "a", **more: Any) -> dict[str, Any]:
    return {"url": f"{CDN}/original=true/{name}.jpeg", "nsfwLevel": level} | more


def chosen(images: list[Any], max_level: NsfwLevel) -> list[str]:
    urls = [candidate.url for candidate in preview_candidates(images, max_level)]
    return [url.rsplit("/", 1)[1].removesuffix(".jpeg") for url in urls]


def test_the_first_image_within_the_users_level_is_first() -> None:
    images = [image(16, "xxx"), image(8, "x"), image(4, "r"), image(2, "pg13"), image(1, "pg")]
    assert chosen(images, "PG") == ["pg"]
    assert chosen(images, "PG-13") == ["pg13", "pg"]
    assert chosen(images, "R") == ["r", "pg13", "pg"]
    assert chosen(images, "XXX") == ["xxx", "x", "r", "pg13", "pg"]


def test_an_image_with_a_higher_bit_beside_a_low_one_is_not_shown() -> None:
    assert chosen([image(1 | 8)], "R") == []
    assert chosen([image(1 | 2)], "R") == ["a"]


def test_a_blocked_image_is_never_shown() -> None:
    assert chosen([image(32), image(33), image("Blocked")], "XXX") == []


@pytest.mark.parametrize("level", [0, None, -1, "new word", 64, 1.5, [], {}])
def test_an_unrated_image_counts_as_xxx(level: object) -> None:
    assert nsfw_level({"nsfwLevel": level}) == 16
    assert chosen([image(level)], "X") == []
    assert chosen([image(level)], "XXX") == ["a"]


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        ({"nsfw": False}, 1),
        ({"nsfw": True}, 8),
        ({"nsfw": "None"}, 1),
        ({"nsfw": "Soft"}, 2),
        ({"nsfw": "Mature"}, 4),
        ({"nsfw": "X"}, 8),
        ({"nsfwLevel": "Soft"}, 2),
        ({"nsfwLevel": 4, "nsfw": False}, 4),
    ],
)
def test_the_levels_of_older_answers_are_understood(answer: dict[str, Any], level: int) -> None:
    assert nsfw_level(answer) == level


def test_malformed_images_are_passed_over() -> None:
    images = [None, 7, {}, {"url": None}, {"url": "42b875cf"}, {"url": "file:///etc/passwd"}]
    images += [{"url": "https://["}, {"url": "https://x:99999/"}, {"url": "javascript:x"}]
    assert list(preview_candidates([*images, image()], "XXX")) == [
        PreviewImage(f"{CDN}/original=true/a.jpeg", 1)
    ]


@pytest.mark.parametrize("transform", ["original=true", "width=1024", "width=450,optimized=true"])
def test_the_cdn_is_asked_for_the_width(transform: str) -> None:
    url = f"{CDN}/{transform}/56547310.jpeg"
    assert sized_url(PreviewImage(url, 1, width=832), 450) == f"{CDN}/width=450/56547310.jpeg"
    assert sized_url(PreviewImage(url, 1), 450) == f"{CDN}/width=450/56547310.jpeg"


def test_a_small_image_is_not_enlarged() -> None:
    small = PreviewImage(f"{CDN}/width=450/1.jpeg", 1, width=320)
    assert sized_url(small, 450) == f"{CDN}/original=true/1.jpeg"


@pytest.mark.parametrize("name", ["7.mp4", "7.webm", "7.jpeg"])
def test_a_video_is_asked_for_its_still(name: str) -> None:
    video = PreviewImage(f"{CDN}/original=true/{name}", 1, is_video=True, width=300)
    assert sized_url(video, 450) == f"{CDN}/anim=false,transcode=true,width=450/7.jpeg"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/b/u/original=true/1.jpeg",
        "https://image.civitai.com.example.org/b/u/original=true/1.jpeg",
        "https://image.civitai.com/b/u/1.jpeg",
        "https://image.civitai.com/1.jpeg",
        "https://image.civitai.com",
    ],
)
def test_foreign_urls_are_left_alone(url: str) -> None:
    assert sized_url(PreviewImage(url, 1), 450) == url


@pytest.mark.parametrize(
    ("content", "image_type"),
    [
        (PNG, "png"),
        (JPEG, "jpeg"),
        (WEBP, "webp"),
        (GIF, "gif"),
        (HTML, None),
        (SVG, None),
        (MP4, None),
        (b"", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"GIF", None),
    ],
)
def test_the_type_is_told_by_the_bytes(content: bytes, image_type: str | None) -> None:
    assert image_type_of(content[:16]) == image_type


@given(st.binary(max_size=32))
def test_any_bytes_have_a_type_or_none(content: bytes) -> None:
    assert image_type_of(content) in {"png", "jpeg", "webp", "gif", None}


def test_the_name_has_the_true_type() -> None:
    model = Path("/m/my.model.safetensors")
    names = [preview_path(model, kind).name for kind in ("png", "jpeg", "webp", "gif")]
    assert names == [
        *("my.model.preview.png", "my.model.preview.jpg"),
        *("my.model.preview.webp", "my.model.gif"),
    ]


@pytest.mark.parametrize("name", ["m.png", "m.preview.png", "m.preview.mp4", "m.jpeg", "m.webp"])
def test_any_preview_that_a_tool_reads_counts(tmp_path: Path, name: str) -> None:
    model = tmp_path / "m.safetensors"
    assert existing_preview(model) is None
    (tmp_path / name).touch()
    assert existing_preview(model) == tmp_path / name


def test_a_file_that_is_itself_an_image_is_no_preview_of_itself(tmp_path: Path) -> None:
    picture = tmp_path / "pose.png"
    picture.touch()
    assert existing_preview(picture) is None
