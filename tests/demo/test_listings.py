from __future__ import annotations

from typing import Any

import httpx
import pytest

from modelhub.demo import catalogue
from modelhub.demo.hub import DemoHub


def _ids(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


@pytest.fixture
def models(shop: DemoHub) -> str:
    return f"{shop.url}/api/v1/models"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"query": "sakushimix"}, {78056}),
        ({"query": "ink style"}, {catalogue.LORA}),
        ({"tag": "base model"}, {78056, 107842}),
        ({"username": "demo-brush"}, {catalogue.LORA, catalogue.VAE}),
        ({"types": ["LORA", "VAE"]}, {catalogue.LORA, catalogue.VAE}),
        ({"checkpointType": "Trained"}, {107842}),
        ({"ids": "78056,107842,3"}, {78056, 107842}),
        ({"supportsGeneration": "true"}, {78056, 107842}),
        ({"earlyAccess": "true"}, {catalogue.EARLY_ACCESS}),
        ({"baseModels": "SDXL 1.0"}, set()),
        ({"period": "Day"}, set()),
        ({"allowCommercialUse": "Sell"}, set()),
    ],
)
def test_filters_choose_models(
    models: str, client: httpx.Client, filters: dict[str, Any], expected: set[int]
) -> None:
    assert set(_ids(client.get(models, params=filters))) == expected


def test_cursors_lead_through_all_models_once(models: str, client: httpx.Client) -> None:
    everything = _ids(client.get(models))
    seen: list[int] = []
    url = f"{models}?limit=3"
    while url:
        answer = client.get(url)
        seen += _ids(answer)
        metadata = answer.json()["metadata"]
        assert ("nextCursor" in metadata) == ("nextPage" in metadata)
        url = metadata.get("nextPage", "")
    assert seen == everything
    assert len(seen) == len(set(seen)) > 9


def test_pages_by_number_end_soon_and_never_mix_with_a_query(
    models: str, client: httpx.Client
) -> None:
    second = client.get(models, params={"page": 2, "limit": 4})
    assert _ids(second) == _ids(client.get(models))[4:8]
    assert second.json()["metadata"]["currentPage"] == 2
    deep = client.get(models, params={"page": 11, "limit": 100})
    assert deep.status_code == 429
    assert "cursors" in deep.json()["error"]
    mixed = client.get(models, params={"page": 2, "query": "ink"})
    assert mixed.status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": "101"},
        {"limit": "many"},
        {"cursor": "%%%"},
        {"sort": "Shiniest"},
        {"period": "Decade"},
        {"ids": "1;2"},
        {"supportsGeneration": "perhaps"},
    ],
)
def test_wrong_parameters_are_400_with_a_validation_object(
    models: str, client: httpx.Client, wrong: dict[str, str]
) -> None:
    answer = client.get(models, params=wrong)
    assert answer.status_code == 400
    assert answer.json()["error"]["issues"][0]["path"] == [next(iter(wrong))]


def test_sorting(models: str, client: httpx.Client) -> None:
    assert _ids(client.get(models, params={"sort": "Most Downloaded"}))[0] == 107842
    assert _ids(client.get(models, params={"sort": "Newest"}))[0] == catalogue.LORA
    assert _ids(client.get(models, params={"sort": "Highest Rated"}))[0] == 78056


def test_favourites_and_hidden_models_need_a_key(hub: DemoHub, client: httpx.Client) -> None:
    for model in catalogue.demo_models(None)[:3]:
        hub.publish(model)
    hub.favorites.add(78056)
    hub.hidden.add(catalogue.LORA)
    url = f"{hub.url}/api/v1/models"
    key = {"Authorization": f"Bearer {hub.key}"}
    for name in ("favorites", "hidden"):
        assert client.get(url, params={name: "true"}).status_code == 401
    assert _ids(client.get(url, params={"favorites": "true"}, headers=key)) == [78056]
    assert _ids(client.get(url, params={"hidden": "true"}, headers=key)) == [catalogue.LORA]
    assert catalogue.LORA not in _ids(client.get(url, headers=key))


def test_search_that_is_down_says_when_to_try_again(hub: DemoHub, client: httpx.Client) -> None:
    hub.search_is_down = True
    answer = client.get(f"{hub.url}/api/v1/models", params={"query": "ink"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert client.get(f"{hub.url}/api/v1/models").status_code == 200


def test_primary_file_only_and_images_of_the_public_levels(
    models: str, client: httpx.Client
) -> None:
    (model,) = client.get(models, params={"ids": 78056, "primaryFileOnly": "true"}).json()["items"]
    (version,) = model["modelVersions"]
    assert [file["id"] for file in version["files"]] == [97_301]
    assert [image["nsfwLevel"] for image in version["images"]] == [1]
    (model,) = client.get(models, params={"ids": 78056, "nsfw": "true"}).json()["items"]
    assert len(model["modelVersions"][0]["images"]) == 3


def test_images_are_listed_by_level_and_model(shop: DemoHub, client: httpx.Client) -> None:
    url = f"{shop.url}/api/v1/images"
    assert _ids(client.get(url, params={"modelId": 78056})) == [1_970_001]
    assert len(_ids(client.get(url, params={"modelId": 78056, "nsfw": "X"}))) == 3
    first = client.get(url, params={"limit": 2})
    assert len(_ids(first)) == 2
    following = client.get(first.json()["metadata"]["nextPage"])
    assert not set(_ids(first)) & set(_ids(following))
    assert client.get(url, params={"limit": 201}).status_code == 400


def test_creators_and_tags_are_paged_by_number(shop: DemoHub, client: httpx.Client) -> None:
    creators = client.get(f"{shop.url}/api/v1/creators", params={"limit": 2}).json()
    assert len(creators["items"]) == 2
    assert creators["metadata"]["totalPages"] > 1
    assert client.get(creators["metadata"]["nextPage"]).json()["metadata"]["currentPage"] == 2
    (brush,) = client.get(f"{shop.url}/api/v1/creators", params={"query": "brush"}).json()["items"]
    assert brush["modelCount"] == 2
    assert set(_ids(client.get(brush["link"]))) == {catalogue.LORA, catalogue.VAE}
    tags = client.get(f"{shop.url}/api/v1/tags", params={"query": "vae"}).json()
    assert [item["name"] for item in tags["items"]] == ["vae"]
