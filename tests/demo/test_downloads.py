from __future__ import annotations

from typing import Any

import httpx
import pytest

from modelhub.demo import catalogue
from modelhub.demo.hub import DemoHub
from modelhub.demo.published import PublishedFile, PublishedModel, PublishedVersion

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"


def _ask(
    hub: DemoHub, client: httpx.Client, version: int | str, query: str = "", **headers: str
) -> httpx.Response:
    return client.get(f"{hub.url}/api/download/models/{version}{query}", headers=headers)


def test_a_download_is_a_redirect_to_another_host_with_a_signed_link(
    shop: DemoHub, client: httpx.Client
) -> None:
    answer = _ask(shop, client, 133274)
    assert answer.status_code == 307
    assert "no-store" in answer.headers["cache-control"]
    link = httpx.URL(answer.headers["location"])
    assert (httpx.URL(shop.url).host, link.host) == ("127.0.0.1", "localhost")
    assert "X-Amz-Signature" in link.params
    assert "response-content-disposition" in link.params
    stored = shop.stored(97_301)
    assert client.get(link).content == stored.path.read_bytes()


@pytest.mark.parametrize(
    ("query", "file"),
    [
        ("", 97_301),
        ("?size=full", 97_302),
        ("?type=Model&format=SafeTensor&size=full&fp=fp32", 97_302),
        ("?fileId=97302", 97_302),
        ("?size=pruned&fp=fp16", 97_301),
    ],
)
def test_parameters_choose_the_file(
    shop: DemoHub, client: httpx.Client, query: str, file: int
) -> None:
    answer = _ask(shop, client, 133274, query)
    assert f"/model/{file}/" in answer.headers["location"]


@pytest.mark.parametrize(
    "query",
    ["?fp=bf16", "?format=PickleTensor", "?type=Config", "?fileId=97303", "?size=pruned&fp=fp32"],
)
def test_a_combination_that_does_not_exist_is_404(
    shop: DemoHub, client: httpx.Client, query: str
) -> None:
    answer = _ask(shop, client, 133274, query)
    assert (answer.status_code, answer.json()) == (404, {"error": "File not found"})


def test_the_primary_file_is_the_best_scored_main_file(hub: DemoHub, client: httpx.Client) -> None:
    def file(name: str, **what: Any) -> PublishedFile:
        return PublishedFile(name=name, content=name.encode(), **what)

    files = [
        file("config.yaml", type="Config", format="Other", size=None, fp=None),
        file("pickle", format="PickleTensor"),
        file("full", size="full", fp="fp32"),
        file("best"),
        file("vae", type="VAE"),
    ]
    version = PublishedVersion(name="v", files=files)
    hub.publish(PublishedModel(name="m", versions=[version]))
    told = client.get(f"{hub.url}/api/v1/model-versions/{version.id}").json()
    assert [f["name"] for f in told["files"] if f["primary"]] == ["best"]
    assert client.get(told["downloadUrl"], follow_redirects=True).content == b"best"
    for one in told["files"]:
        answer = client.get(one["downloadUrl"], follow_redirects=True)
        assert answer.content == one["name"].encode()


def test_the_best_file_of_a_wish_is_refused_if_it_differs_from_it(
    shop: DemoHub, client: httpx.Client
) -> None:
    # The server scores first and compares then: the fp32 file exists, yet "pruned" outweighs it.
    assert _ask(shop, client, 133274, "?fp=fp32").status_code == 404


def test_a_linked_vae_downloads_through_the_version_it_is_linked_to(
    shop: DemoHub, client: httpx.Client
) -> None:
    told = client.get(f"{shop.url}/api/v1/model-versions/428028").json()
    vae = next(file for file in told["files"] if file["type"] == "VAE")
    assert "/428028?type=VAE" in vae["downloadUrl"]
    assert not vae["primary"]
    answer = client.get(vae["downloadUrl"], follow_redirects=True)
    assert answer.content == shop.stored(vae["id"]).path.read_bytes()


def test_login_required_is_401_until_a_key_is_sent(shop: DemoHub, client: httpx.Client) -> None:
    version = catalogue.LOGIN_REQUIRED_VERSION
    answer = _ask(shop, client, version)
    assert answer.status_code == 401
    assert answer.json()["error"] == "Unauthorized"
    assert "logged in" in answer.json()["message"]
    assert _ask(shop, client, version, Authorization="Bearer wrong").status_code == 401
    assert _ask(shop, client, version, Authorization=f"Bearer {shop.key}").status_code == 307
    assert _ask(shop, client, version, f"?token={shop.key}").status_code == 307


def test_disabled_downloads_are_401_with_another_message(
    shop: DemoHub, client: httpx.Client
) -> None:
    key = f"Bearer {shop.key}"
    answer = _ask(shop, client, catalogue.DOWNLOADS_DISABLED_VERSION, Authorization=key)
    assert answer.status_code == 401
    assert "disabled downloads" in answer.json()["message"]


def test_early_access_is_403_with_a_deadline(shop: DemoHub, client: httpx.Client) -> None:
    answer = _ask(shop, client, catalogue.EARLY_ACCESS_VERSION)
    assert answer.status_code == 403
    assert answer.json()["error"] == "Early Access"
    assert answer.json()["deadline"].endswith("Z")


def test_an_archived_model_is_410(shop: DemoHub, client: httpx.Client) -> None:
    answer = _ask(shop, client, catalogue.ARCHIVED_VERSION)
    assert answer.status_code == 410
    assert "archived" in answer.json()["error"]


@pytest.mark.parametrize("version", ["abc", "1e9", "%2e%2e", "99999999999999"])
def test_a_bad_version_id_is_400(shop: DemoHub, client: httpx.Client, version: str) -> None:
    assert _ask(shop, client, version).status_code == 400


def test_an_unknown_version_or_one_without_files_is_404(
    shop: DemoHub, client: httpx.Client
) -> None:
    assert _ask(shop, client, 5).status_code == 404
    assert _ask(shop, client, catalogue.NO_FILES_VERSION).status_code == 404


def test_a_browser_is_sent_to_pages_and_gets_plain_text(
    shop: DemoHub, client: httpx.Client
) -> None:
    login = _ask(shop, client, catalogue.LOGIN_REQUIRED_VERSION, **{"User-Agent": CHROME})
    assert login.status_code == 307
    assert login.headers["location"].startswith("/login?")
    page = client.get(shop.url + login.headers["location"])
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    early = _ask(shop, client, catalogue.EARLY_ACCESS_VERSION, **{"User-Agent": CHROME})
    assert client.get(shop.url + early.headers["location"]).text.startswith("<!DOCTYPE html>")
    missing = _ask(shop, client, 5, **{"User-Agent": CHROME})
    assert missing.headers["content-type"].startswith("text/plain")
    assert (missing.status_code, missing.text) == (404, "File not found")
