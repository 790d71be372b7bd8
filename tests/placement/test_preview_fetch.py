from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.config import Config
from modelhub.config.settings import Civitai, Network, Sidecars
from modelhub.errors import Cancelled
from modelhub.placement.preview_fetch import MAX_BYTES, PreviewResult, save_preview
from tests.patience import SOON

from .images import GIF, HTML, JPEG, MP4, PNG, SVG, WEBP, Answer, ImageServer

PATH = "/images/bucket/uuid/original=true/{}.jpeg"
SIZED = "/images/bucket/uuid/width=450/{}.jpeg"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageServer]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    with ImageServer() as running:
        yield running


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    return path


def save(server: ImageServer, model: Path, *names: str, level: int = 1) -> PreviewResult:
    config = Config(civitai=Civitai(url=server.url))
    images = [{"url": server.url + PATH.format(name), "nsfwLevel": level} for name in names]
    return save_preview(config, images, model)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (PNG, "model.preview.png"),
        (JPEG, "model.preview.jpg"),
        (WEBP, "model.preview.webp"),
        (GIF, "model.gif"),
    ],
    ids=["png", "jpeg", "webp", "gif"],
)
def test_the_preview_is_beside_the_model_and_named_by_its_true_type(
    server: ImageServer, model: Path, content: bytes, name: str
) -> None:
    server.answers[SIZED.format("a")] = Answer(content, headers={"Content-Type": "text/html"})
    result = save(server, model, "a", level=2)
    assert result.path == model.with_name(name)
    assert result.path.read_bytes() == content
    assert (result.nsfw_level, result.notice) == (2, "")
    assert result.source == server.url + PATH.format("a")
    assert {entry.name for entry in model.parent.iterdir()} == {model.name, name}


def test_the_cdn_is_asked_once_for_the_small_image_and_without_a_key(
    server: ImageServer, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVITAI_API_KEY", "secret-key")
    server.answers[SIZED.format("a")] = Answer()
    save(server, model, "a")
    ((path, headers),) = server.seen
    assert path == SIZED.format("a")
    assert "authorization" not in headers
    assert "secret-key" not in str(headers)
    assert headers["user-agent"].startswith("modelhub/")


def test_a_preview_that_is_there_is_kept_and_nothing_is_asked(
    server: ImageServer, model: Path
) -> None:
    mine = model.with_name("model.png")
    mine.write_bytes(b"mine")
    assert save(server, model, "a") == PreviewResult(mine)
    assert server.seen == []
    assert mine.read_bytes() == b"mine"


def test_images_above_the_users_level_are_not_even_asked_for(
    server: ImageServer, model: Path
) -> None:
    config = Config(civitai=Civitai(url=server.url), sidecars=Sidecars(max_nsfw="PG"))
    images = [{"url": server.url + PATH.format("a"), "nsfwLevel": 2}]
    result = save_preview(config, images, model)
    assert result.path is None
    assert "level PG or below" in result.notice
    assert server.seen == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(HTML), "no PNG, JPEG, WebP or GIF"),
        (Answer(SVG, headers={"Content-Type": "image/png"}), "no PNG, JPEG, WebP or GIF"),
        (Answer(MP4), "no PNG, JPEG, WebP or GIF"),
        (Answer(b""), "no PNG, JPEG, WebP or GIF"),
        (Answer(status=404), "answered 404"),
        (Answer(status=503), "answered 503"),
        (Answer(PNG + bytes(MAX_BYTES)), "larger than 10 MiB"),
        (Answer(PNG, announced=5000), "peer closed"),
        (Answer(status=302), "answered 302"),
        (Answer(b"", 302, {"Location": "http://example.org/x.png"}), "is not https"),
        (Answer(b"", 302, {"Location": "ftp://example.org/x.png"}), "no http(s) URL"),
        (Answer(b"", 302, {"Location": "//["}), "no preview"),
        (Answer(PNG, headers={"Content-Encoding": "gzip"}), "no preview"),
    ],
)
def test_what_is_no_image_is_a_notice_and_no_file(
    server: ImageServer, model: Path, answer: Answer, reason: str
) -> None:
    server.answers[SIZED.format("a")] = answer
    result = save(server, model, "a")
    assert result.path is None
    assert reason in result.notice
    assert list(model.parent.iterdir()) == [model]


def test_where_the_first_image_fails_the_next_stands_in(server: ImageServer, model: Path) -> None:
    server.answers[SIZED.format("b")] = Answer(HTML)
    server.answers[SIZED.format("c")] = Answer(WEBP)
    assert save(server, model, "a", "b", "c").path == model.with_name("model.preview.webp")
    assert server.paths == [SIZED.format(name) for name in "abc"]


def test_three_images_are_tried_at_most(server: ImageServer, model: Path) -> None:
    assert save(server, model, *"abcde").path is None
    assert len(server.seen) == 3


def test_a_redirect_is_followed_within_bounds(server: ImageServer, model: Path) -> None:
    server.answers[SIZED.format("a")] = Answer(b"", 302, {"Location": "/there.png"})
    server.answers["/there.png"] = Answer()
    assert save(server, model, "a").path is not None


def test_a_redirect_in_circles_ends(server: ImageServer, model: Path) -> None:
    path = SIZED.format("a")
    server.answers[path] = Answer(b"", 302, {"Location": path})
    assert "redirects more than 4 times" in save(server, model, "a").notice
    assert len(server.seen) == 5


def test_civitai_cannot_send_us_to_this_machine(server: ImageServer, model: Path) -> None:
    server.answers["/x.png"] = Answer()
    images = [{"url": f"{server.url}/x.png", "nsfwLevel": 1}]
    result = save_preview(Config(), images, model)
    assert "is on this machine" in result.notice
    assert server.seen == []


def test_plain_http_to_another_machine_is_refused(model: Path) -> None:
    images = [{"url": "http://example.org/x.png?X-Amz-Signature=s3cret", "nsfwLevel": 1}]
    result = save_preview(Config(), images, model)
    assert "is not https" in result.notice
    assert "s3cret" not in result.notice


def test_a_server_that_is_off_is_a_notice(model: Path) -> None:
    with ImageServer() as gone:
        url = gone.url
    config = Config(civitai=Civitai(url=url))
    result = save_preview(config, [{"url": f"{url}/a.png", "nsfwLevel": 1}], model)
    assert result.path is None
    assert result.notice.startswith("no preview: ")


def test_a_wrong_ca_file_is_a_notice_here(server: ImageServer, model: Path) -> None:
    config = Config(civitai=Civitai(url=server.url), network=Network(ca_file="/nowhere.pem"))
    images = [{"url": server.url + PATH.format("a"), "nsfwLevel": 1}]
    assert "/nowhere.pem" in save_preview(config, images, model).notice


def test_a_disk_that_refuses_is_a_notice(server: ImageServer, read_only_folder: Path) -> None:
    server.answers[SIZED.format("a")] = Answer()
    result = save(server, read_only_folder / "model.safetensors", "a")
    assert "could not write" in result.notice


def test_ctrl_c_does_not_wait_for_a_silent_server(server: ImageServer, model: Path) -> None:
    server.answers[SIZED.format("a")] = Answer(silent_for=3 * SOON)
    cancel = threading.Event()
    threading.Timer(0.2, cancel.set).start()
    config = Config(civitai=Civitai(url=server.url))
    images = [{"url": server.url + PATH.format("a"), "nsfwLevel": 1}]
    started = time.monotonic()
    with pytest.raises(Cancelled):
        save_preview(config, images, model, cancel=cancel)
    assert time.monotonic() - started < SOON
    assert list(model.parent.iterdir()) == [model]


def test_no_images_at_all_is_a_notice(model: Path) -> None:
    assert save_preview(Config(), [], model).path is None
