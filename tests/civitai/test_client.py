from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import pytest

from modelhub.civitai.filters import ImageFilters, ModelFilters, NameFilters
from modelhub.demo.hub import DemoHub
from modelhub.demo.published import PublishedFile, PublishedImage, PublishedModel, PublishedVersion
from modelhub.errors import (
    ConfigError,
    KeyRefused,
    LoginRequired,
    MalformedReference,
    UnknownModel,
    UsageError,
)

from .conftest import Connect, Reply, ScriptedServer


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest().upper()


def published(hub: DemoHub, count: int = 1, *, tag: str = "demo") -> list[PublishedModel]:
    return [
        hub.publish(
            PublishedModel(
                name=f"Model {number}",
                type="LORA",
                tags=[tag],
                creator=f"creator{number % 3}",
                versions=[
                    PublishedVersion(
                        name="v1",
                        files=[PublishedFile(name=f"m{number}.bin", content=b"%d" % number)],
                        images=[PublishedImage(seed=number)],
                    )
                ],
            )
        )
        for number in range(count)
    ]


def test_every_endpoint_gives_its_typed_answer(hub: DemoHub, connect: Connect) -> None:
    model = published(hub)[0]
    version, file = model.versions[0], model.versions[0].files[0]
    with connect(hub.url, hub.key) as client:
        answer = client.model(model.id)
        assert answer.value.name == "Model 0"
        assert json.loads(answer.raw)["id"] == model.id
        assert answer.value.versions[0].files[0].hashes.sha256 == sha256(b"0")
        assert client.version(version.id).value.model_id == model.id
        assert client.version_by_hash(sha256(b"0").lower()).value.id == version.id
        assert client.mini(version.id).value.model_name == "Model 0"
        mini = client.mini(version.id, file.id).value
        assert (mini.size_bytes, mini.hashes.sha256) == (1, sha256(b"0"))
        assert "LORA" in client.enums().value.model_type
        assert client.me().value.username == "demo-user"
        assert [page.value.items[0].name for page in client.models()] == ["Model 0"]
        assert next(client.images()).value.items[0].level == 1
        assert next(client.creators()).value.items[0].username == "creator0"
        assert next(client.tags(NameFilters(query="dem"))).value.items[0].name == "demo"


def test_the_demo_models_are_read_whole(demo_folder: Path, connect: Connect) -> None:
    with DemoHub(folder=demo_folder) as hub, connect(hub.url) as client:
        model = client.model(78056).value
        version = model.version(133274)
        assert version is not None
        primary = version.primary_file()
        assert primary is not None
        assert primary.hashes.sha256
        assert client.version(428028).value.model_id == 107842
        tensors = client.tensor_metadata(primary.id).value
        assert tensors.tensor_count == len(tensors.tensors) > 0
        assert client.tensor_metadata(primary.id, summary=True).value.tensors == []
        assert {item.value.id for item in client.versions_by_hashes([primary.hashes.sha256])} == {
            133274
        }


def test_what_is_not_there_is_named(hub: DemoHub, connect: Connect) -> None:
    with connect(hub.url) as client:
        for ask, what in (
            (lambda: client.model(99), "model 99"),
            (lambda: client.version(98), "version 98"),
            (lambda: client.version_by_hash("ab" * 32), "hash ABAB"),
            (lambda: client.tensor_metadata(97), "file 97"),
        ):
            with pytest.raises(UnknownModel, match=what):
                ask()


@pytest.mark.parametrize("number", [0, -1, 2**31, 10**30])
def test_an_id_that_cannot_be_is_not_even_asked_for(
    hub: DemoHub, connect: Connect, number: int
) -> None:
    with connect(hub.url) as client:
        for ask in (client.model, client.version, client.mini, client.tensor_metadata):
            with pytest.raises(UnknownModel, match="ids are between"):
                ask(number)
        with pytest.raises(UnknownModel):
            client.download_link(number)
    assert hub.requests == []


def test_hashes_are_asked_for_in_batches_and_each_version_comes_once(
    hub: DemoHub, connect: Connect
) -> None:
    models = published(hub, 5)
    both = hub.publish(
        PublishedModel(
            name="Two",
            versions=[
                PublishedVersion(
                    name="v1",
                    files=[
                        PublishedFile(name="a.bin", content=b"a"),
                        PublishedFile(name="b.bin", content=b"b"),
                    ],
                )
            ],
        )
    )
    unknown = [sha256(b"unknown%d" % number) for number in range(240)]
    hashes = (
        [sha256(b"%d" % number) for number in range(5)] + unknown + [sha256(b"a"), sha256(b"b")]
    )
    with connect(hub.url) as client:
        found = client.versions_by_hashes([*hashes, *(value.lower() for value in hashes)])
        expected = {model.versions[0].id for model in (*models, both)}
        assert sorted(answer.value.id for answer in found) == sorted(expected)
        assert all(json.loads(answer.raw)["id"] == answer.value.id for answer in found)
        posts = [seen for seen in hub.requests if seen.method == "POST"]
        assert len(posts) == 3
        hub.forget_requests()
        ids = client.ids_by_hashes(hashes)
        assert {item.model_version_id for item in ids} == expected
        assert len(ids) == 7
        assert len(hub.requests) == 1
        assert client.versions_by_hashes([]) == []
        assert client.ids_by_hashes([]) == []
        with pytest.raises(MalformedReference):
            client.ids_by_hashes(["b4703d513b"])


def test_twenty_thousand_hashes_take_two_requests(server: ScriptedServer, connect: Connect) -> None:
    server.answer = lambda seen: Reply(
        body=json.dumps(
            [
                {"modelVersionId": 1, "modelId": 2, "hash": value}
                for value in json.loads(seen.body)[:1]
            ]
        ).encode()
    )
    hashes = [sha256(b"%d" % number) for number in range(20_000)]
    with connect(server.url) as client:
        assert {item.hash for item in client.ids_by_hashes(hashes)} == {hashes[0], hashes[10_000]}
    assert [len(json.loads(seen.body)) for seen in server.seen] == [10_000, 10_000]


def test_nulls_in_a_batch_are_left_out(server: ScriptedServer, connect: Connect) -> None:
    server.answer = lambda seen: Reply(body=b'[null, {"id": 7}, {"id": 7}, null]')
    with connect(server.url) as client:
        assert [a.raw for a in client.versions_by_hashes([sha256(b"")])] == ['{"id": 7}']


def test_a_failure_in_one_batch_fails_the_lookup(server: ScriptedServer, connect: Connect) -> None:
    server.answer = lambda seen: Reply(400, b'{"error": "Invalid hash"}')
    with connect(server.url) as client, pytest.raises(UsageError, match="Invalid hash"):
        client.versions_by_hashes(sha256(b"%d" % number) for number in range(1000))


def test_pages_follow_the_cursor_and_are_asked_for_only_as_needed(
    hub: DemoHub, connect: Connect
) -> None:
    published(hub, 7)
    with connect(hub.url) as client:
        pages = client.models(ModelFilters(limit=3, types=["LORA", "VAE"], nsfw=True))
        assert hub.requests == []
        assert len(next(pages).value.items) == 3
        assert len(hub.requests) == 1
        assert [len(page.value.items) for page in pages] == [3, 1]
        query = hub.requests[0].query
        assert (query["types"], query["limit"], query["nsfw"]) == (["LORA", "VAE"], ["3"], ["true"])
        assert "favorites" not in query
        assert sum(len(page.value.items) for page in client.tags(NameFilters(limit=1))) == 1


@pytest.mark.parametrize(
    "metadata",
    [
        {"nextCursor": "same"},
        {"nextCursor": 5},
        {"nextPage": "https://elsewhere.example/api/v1/models?cursor=same"},
        {"nextPage": "https://elsewhere.example/api/v1/models?page=2"},
    ],
)
def test_a_listing_that_repeats_itself_ends(
    server: ScriptedServer, connect: Connect, metadata: dict[str, object]
) -> None:
    body = json.dumps({"items": [{"id": 1}], "metadata": metadata}).encode()
    server.answer = lambda seen: Reply(body=body)
    with connect(server.url) as client:
        assert len(list(client.models())) == 2
    assert len(server.seen) == 2


def test_a_listing_of_ever_new_empty_pages_ends(server: ScriptedServer, connect: Connect) -> None:
    server.answer = lambda seen: Reply(
        body=json.dumps({"items": [], "metadata": {"nextCursor": len(server.seen)}}).encode()
    )
    with connect(server.url) as client:
        assert len(list(client.images(ImageFilters(model_id=1)))) == 20


def test_what_a_listing_refuses_is_said_in_its_words(hub: DemoHub, connect: Connect) -> None:
    with connect(hub.url) as client:
        with pytest.raises(UsageError, match="sort: Invalid"):
            next(client.models(ModelFilters(sort="Prettiest")))
        with pytest.raises(LoginRequired, match="needs an API key"):
            next(client.models(ModelFilters(favorites=True)))
        with pytest.raises(UsageError, match="1 to 100"):
            next(client.models(ModelFilters(limit=101)))


def test_a_refused_key_and_no_key_differ(hub: DemoHub, connect: Connect) -> None:
    with pytest.raises(KeyRefused) as caught, connect(hub.url, "wrong-key-123") as client:
        client.me()
    assert "wrong-key-123" not in caught.value.message + caught.value.hint
    with pytest.raises(LoginRequired), connect(hub.url) as client:
        client.me()


@pytest.mark.parametrize("key", ["two words", "naïve", "a\r\nX-Evil: 1", "\x00"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(
    hub: DemoHub, connect: Connect, key: str
) -> None:
    with pytest.raises(KeyRefused) as caught:
        connect(hub.url, key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://civitai.com", "ftp://civitai.com", "civitai.com", "", "https://"]
)
def test_an_api_address_that_is_not_safe_is_a_configuration_error(
    connect: Connect, url: str
) -> None:
    with pytest.raises(ConfigError, match=r"civitai\.url"):
        connect(url)


def test_the_key_goes_by_header_and_shows_up_nowhere_else(
    hub: DemoHub, connect: Connect, caplog: pytest.LogCaptureFixture, home: Path
) -> None:
    model = published(hub)[0]
    with caplog.at_level(logging.DEBUG), connect(hub.url, hub.key) as client:
        client.model(model.id)
        client.me()
    assert hub.requests[0].headers["authorization"] == f"Bearer {hub.key}"
    assert all(hub.key not in str(seen.query) + seen.path for seen in hub.requests)
    assert hub.key not in caplog.text
    for path in home.rglob("*"):
        assert hub.key not in str(path)
        assert path.is_dir() or hub.key.encode() not in path.read_bytes()


def test_the_client_says_who_it_is_and_is_no_browser(hub: DemoHub, connect: Connect) -> None:
    with connect(hub.url) as client:
        client.enums()
    agent = hub.requests[0].headers["user-agent"]
    assert agent.startswith("modelhub/")
    assert not any(word in agent.lower() for word in ("mozilla", "chrome", "edge", "opera"))
