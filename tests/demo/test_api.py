from __future__ import annotations

import datetime as dt
import socket

import httpx
import pytest

from modelhub.demo import catalogue
from modelhub.demo.hub import DemoHub
from modelhub.demo.published import PublishedFile, PublishedModel, PublishedVersion
from modelhub.formats.hashes import hash_file


def test_a_model_lists_its_versions_newest_first(shop: DemoHub, client: httpx.Client) -> None:
    answer = client.get(f"{shop.url}/api/v1/models/107842")
    assert answer.headers["cache-control"] == "public, s-maxage=300, stale-while-revalidate=150"
    model = answer.json()
    assert (model["name"], model["type"]) == ("AniVerse", "Checkpoint")
    assert [version["id"] for version in model["modelVersions"]] == [428028, 116002]
    assert model["tags"] == ["anime", "semi-realistic", "base model"]
    assert "mode" not in model
    newest = model["modelVersions"][0]
    assert "trainedWords" not in newest, "empty values are left out"
    assert newest["files"][0]["primary"] is True
    assert "primary" not in newest["files"][1]


def test_the_first_demo_is_published_as_the_user_knows_it(
    shop: DemoHub, client: httpx.Client
) -> None:
    model = client.get(f"{shop.url}/api/v1/models/78056").json()
    assert model["name"] == "SakushiMix (finished)"
    (version,) = model["modelVersions"]
    assert (version["id"], version["name"]) == (133274, "SakushiMix Final")
    primary = version["files"][0]
    assert primary["name"] == "sakushimixFinished_sakushimixFinal.safetensors"
    found = hash_file(shop.stored(primary["id"]).path)
    assert primary["hashes"] == {
        "SHA256": found.sha256,
        "AutoV1": found.autov1,
        "AutoV2": found.autov2,
        "AutoV3": found.autov3,
        "BLAKE3": found.blake3,
        "CRC32": found.crc32,
    }
    assert primary["sizeKB"] * 1024 == shop.stored(primary["id"]).size


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("models/2147483648", 400),
        ("models/0", 400),
        ("models/abc", 400),
        ("models/2147483647", 404),
        ("model-versions/99999999999", 400),
        ("model-versions/7", 404),
        (f"model-versions/{catalogue.NO_FILES_VERSION}", 404),
        ("model-versions/by-hash/00", 404),
        ("nothing-of-that-name", 404),
    ],
)
def test_bad_and_unknown_ids(shop: DemoHub, client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(f"{shop.url}/api/v1/{path}")
    assert answer.status_code == status
    assert "error" in answer.json()


def test_a_version_tells_its_model_air_and_at_most_ten_images(
    shop: DemoHub, client: httpx.Client
) -> None:
    version = client.get(f"{shop.url}/api/v1/model-versions/133274").json()
    assert version["modelId"] == 78056
    assert version["air"] == "urn:air:sd1:checkpoint:civitai:78056@133274"
    assert version["model"] == {
        "name": "SakushiMix (finished)",
        "type": "Checkpoint",
        "nsfw": False,
        "poi": False,
    }
    assert [image["nsfwLevel"] for image in version["images"]] == [1, 2, 8]
    assert version["images"][0]["meta"]["prompt"]
    assert version["images"][1]["meta"] is None
    assert [file["primary"] for file in version["files"]] == [True, False]


def test_archived_has_no_files_and_taken_down_no_images(
    shop: DemoHub, hub: DemoHub, client: httpx.Client
) -> None:
    archived = client.get(f"{shop.url}/api/v1/models/{catalogue.ARCHIVED}").json()
    assert archived["mode"] == "Archived"
    assert not {"files", "downloadUrl"} & archived["modelVersions"][0].keys()
    (model,) = [m for m in catalogue.demo_models(None) if m.id == catalogue.LORA]
    model.mode = "TakenDown"
    hub.publish(model)
    version = client.get(f"{hub.url}/api/v1/model-versions/{catalogue.LORA_VERSION}").json()
    assert (version["images"], len(version["files"])) == ([], 1)


def test_unpublished_versions_and_versions_without_files_are_not_listed(
    hub: DemoHub, client: httpx.Client
) -> None:
    draft = PublishedVersion(
        name="draft", status="Draft", files=[PublishedFile(name="d", content=b"d")]
    )
    empty = PublishedVersion(name="empty")
    good = PublishedVersion(name="good", files=[PublishedFile(name="g", content=b"g")])
    model = hub.publish(PublishedModel(name="m", creator=None, versions=[draft, empty, good]))
    told = client.get(f"{hub.url}/api/v1/models/{model.id}").json()
    assert [version["name"] for version in told["modelVersions"]] == ["good"]
    assert "creator" not in told
    assert client.get(f"{hub.url}/api/v1/model-versions/{draft.id}").status_code == 404


def test_every_kind_of_hash_finds_the_version(shop: DemoHub, client: httpx.Client) -> None:
    for name, value in shop.stored(97_301).named_hashes.items():
        answer = client.get(f"{shop.url}/api/v1/model-versions/by-hash/{value.lower()}")
        assert answer.json()["id"] == 133274, name
        assert "s-maxage=3600" in answer.headers["cache-control"]


def test_of_versions_that_share_a_hash_the_oldest_wins(hub: DemoHub, client: httpx.Client) -> None:
    def version(name: str, year: int) -> PublishedVersion:
        file = PublishedFile(name=name, content=b"the same bytes")
        when = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
        return PublishedVersion(name=name, files=[file], published_at=when)

    versions = [version("newer", 2024), version("older", 2022)]
    hub.publish(PublishedModel(name="m", versions=versions))
    value = hub.stored(versions[0].files[0].id).hashes.sha256
    url = f"{hub.url}/api/v1/model-versions/by-hash"
    assert client.get(f"{url}/{value}").json()["name"] == "older"
    many = client.post(url, json=[value]).json()
    assert sorted(one["name"] for one in many) == ["newer", "older"], "one for each file"
    ids = client.post(f"{url}/ids", json=[value.lower(), "0" * 64]).json()
    assert sorted(one["modelVersionId"] for one in ids) == sorted(v.id for v in versions)
    assert {one["hash"] for one in ids} == {value}


@pytest.mark.parametrize(("path", "most"), [("by-hash", 100), ("by-hash/ids", 10_000)])
def test_hash_lists_have_limits(hub: DemoHub, client: httpx.Client, path: str, most: int) -> None:
    url = f"{hub.url}/api/v1/model-versions/{path}"
    assert client.post(url, json=["0" * 64] * most).json() == []
    for wrong in (["0" * 64] * (most + 1), ["0" * 63], [1], {"a": 1}, "text"):
        answer = client.post(url, json=wrong)
        assert answer.status_code == 400
        assert "error" in answer.json()
    assert client.post(url, content=b"{").status_code == 400


def test_the_short_form_describes_one_file(shop: DemoHub, client: httpx.Client) -> None:
    url = f"{shop.url}/api/v1/model-versions/mini/133274"
    short = client.get(url).json()
    assert short["air"] == "urn:air:sd1:checkpoint:civitai:78056@133274"
    assert short["downloadUrls"] == [f"{shop.url}/api/download/models/133274"]
    assert (short["modelName"], short["baseModel"]) == ("SakushiMix (finished)", "SD 1.5")
    other = client.get(url, params={"modelFileId": 97_302}).json()
    assert other["air"].endswith("@133274+97302")
    assert other["downloadUrls"][0].endswith("?fileId=97302")
    assert other["hashes"]["SHA256"] == shop.stored(97_302).hashes.sha256
    assert client.get(url, params={"modelFileId": 1}).status_code == 404


def test_tensors_are_told_without_a_download(shop: DemoHub, client: httpx.Client) -> None:
    url = f"{shop.url}/api/v1/model-files/97301/tensor-metadata"
    answer = client.get(url, params={"summaryOnly": "true"})
    assert "immutable" in answer.headers["cache-control"]
    summary = answer.json()
    assert summary["tensorCount"] == 1131
    assert "tensors" not in summary
    full = client.get(url).json()
    assert {"name", "shape", "dtype", "sizeBytes"} == full["tensors"][0].keys()
    assert sum(one["sizeBytes"] for one in full["tensors"]) == full["totalTensorBytes"]
    pickle = client.get(f"{shop.url}/api/v1/model-files/911104/tensor-metadata")
    assert (pickle.status_code, pickle.headers["cache-control"]) == (400, "no-store")


def test_tensors_of_a_broken_file_are_422(hub: DemoHub, client: httpx.Client) -> None:
    file = hub.publish_bytes("broken.safetensors", b"\xff" * 100)
    answer = client.get(f"{hub.url}/api/v1/model-files/{file.id}/tensor-metadata")
    assert (answer.status_code, answer.headers["cache-control"]) == (422, "no-store")


def test_enums_name_todays_values(shop: DemoHub, client: httpx.Client) -> None:
    enums = client.get(f"{shop.url}/api/v1/enums").json()
    assert enums.keys() == {
        "ModelType",
        "ModelFileType",
        "ActiveBaseModel",
        "BaseModel",
        "BaseModelType",
    }
    assert "LORA" in enums["ModelType"]
    assert set(enums["ActiveBaseModel"]) <= set(enums["BaseModel"])


def test_me_needs_a_key_that_is_known(shop: DemoHub, client: httpx.Client) -> None:
    url = f"{shop.url}/api/v1/me"
    assert client.get(url).status_code == 401
    assert client.get(url, headers={"Authorization": "Bearer nope"}).status_code == 401
    answer = client.get(url, headers={"Authorization": f"Bearer {shop.key}"})
    assert answer.json()["username"] == "demo-user"


def test_an_answer_that_did_not_change_is_304(shop: DemoHub, client: httpx.Client) -> None:
    for path in ("models/78056", "model-versions/133274", "enums"):
        first = client.get(f"{shop.url}/api/v1/{path}")
        again = client.get(first.url, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        other = client.get(first.url, headers={"If-None-Match": 'W/"other"'})
        assert other.status_code == 200


def test_the_edge_keeps_nothing_of_users_with_a_key(shop: DemoHub, client: httpx.Client) -> None:
    url = f"{shop.url}/api/v1/model-versions/133274"
    assert "public" in client.get(url).headers["cache-control"]
    with_key = client.get(url, headers={"Authorization": f"Bearer {shop.key}"})
    assert "cache-control" not in with_key.headers


def test_other_methods_are_405_and_giant_bodies_413(hub: DemoHub, client: httpx.Client) -> None:
    assert client.post(f"{hub.url}/api/v1/models/1").status_code == 405
    giant = client.post(f"{hub.url}/api/v1/model-versions/by-hash", content=b" " * (5 << 20))
    assert giant.status_code == 413


def test_a_broken_request_does_not_disturb_the_server(
    hub: DemoHub, client: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    port = httpx.URL(hub.url).port or 0
    for rubbish in (b"\x16\x03\x01\x02\x00", b"GET /api/v1/enums HTTP/1.1\r\nHost", b"\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(rubbish)
    assert client.get(f"{hub.url}/api/v1/enums").status_code == 200
    assert capfd.readouterr().err == ""
