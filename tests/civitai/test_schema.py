from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.civitai.answers import error_text, page_items, printable, read_answer, read_each
from modelhub.civitai.schema import (
    Enums,
    FileMetadata,
    Hashes,
    Image,
    Me,
    MiniVersion,
    Model,
    ModelFile,
    Page,
    TensorMetadata,
    Version,
    VersionIds,
    moment,
)
from modelhub.errors import UnexpectedAnswer

T = TypeVar("T")

DATA = Path(__file__).parents[1] / "data" / "civitai"
SHARED = Path(__file__).parents[2].parent / "shared" / "civitai"
URL = "https://civitai.com/api/v1/models?token=SECRET"
RECORDED: list[tuple[str, Any]] = [
    ("models-page.json", Page[Model]),
    ("embedding-2023.json", Page[Model]),
    ("lora-version.json", Version),
]


def recorded(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def read(value: object, type_: type[T]) -> T:
    return read_answer(json.dumps(value), type_, URL).value


@pytest.mark.parametrize(("name", "type_"), RECORDED)
def test_every_recorded_answer_is_read_and_kept_whole(name: str, type_: type[Any]) -> None:
    answer = read_answer(recorded(name), type_, URL)
    assert answer.raw == recorded(name)
    if isinstance(answer.value, Page):
        for item, whole in zip(page_items(answer), json.loads(answer.raw)["items"], strict=True):
            assert json.loads(item.raw) == whole
            assert item.value.id == whole["id"]


@pytest.mark.parametrize(("name", "type_"), RECORDED)
def test_the_untrimmed_recordings_are_read_as_well(name: str, type_: type[Any]) -> None:
    if not (SHARED / name).is_file():
        pytest.skip("the untrimmed recordings are not here")
    text = (SHARED / name).read_text(encoding="utf-8")
    assert read_answer(text, type_, URL).raw == text


def test_a_page_of_2024_has_its_models_versions_files_and_hashes() -> None:
    page = read_answer(recorded("models-page.json"), Page[Model], URL).value
    model = page.items[0]
    assert (model.id, model.type, model.creator.username) == (43331, "Checkpoint", "Merjic")
    assert "base model" in model.tags
    assert page.metadata.next_cursor == "22138|364671|25494"
    version = model.version(176425)
    assert version is not None
    assert (version.base_model, version.model_id) == ("SD 1.5", 43331)
    file = version.primary_file()
    assert file is not None
    assert file is version.file(134792)
    assert file.size_bytes == 2132625894
    assert file.size_is_exact
    assert file.metadata == FileMetadata(format="SafeTensor", size="pruned", fp="fp16")
    assert file.hashes.autov2 == "7C819B6D13"
    assert list(file.hashes.published)[:2] == ["SHA256", "BLAKE3"]
    assert file.is_safetensors
    assert not file.is_pickle
    assert file.holds_main_weights
    assert not file.called_dangerous
    assert version.images[0].level == 1


def test_an_answer_of_2023_has_tags_as_objects_and_paging_as_text() -> None:
    page = read_answer(recorded("embedding-2023.json"), Page[Model], URL).value
    assert page.items[0].tags == ["character", "style"]
    assert page.metadata.total_items == "1676"
    assert page.items[0].versions[0].images[0].level == 1


def test_a_version_by_itself_names_its_model() -> None:
    version = read_answer(recorded("lora-version.json"), Version, URL).value
    assert version.model is not None
    assert version.model.type == "LORA"
    assert version.trained_words == ["ppstorybook"]
    assert version.files[0].hashes.autov3 == "34A22376739D"
    assert moment(version.published_at) is not None


def test_null_is_the_same_as_missing() -> None:
    assert read({"id": 1, "files": None, "stats": None, "trainedWords": None}, Version) == read(
        {"id": 1}, Version
    )
    assert read({"id": 1, "files": [None, {"id": 2, "hashes": {"SHA256": None}}]}, Version) == read(
        {"id": 1, "files": [{"id": 2}]}, Version
    )


def test_new_fields_and_new_values_survive() -> None:
    text = '{"id":1,"type":"Hologram","novel":{"deep":[1]},"modelVersions":[{"id":2,"files":[{"id":3,"type":"Beam","metadata":{"format":"Quark","fp":"fp1"}}]}]}'  # noqa: E501
    answer = read_answer(text, Model, URL)
    assert answer.raw == text
    file = answer.value.versions[0].files[0]
    assert (answer.value.type, file.type, file.metadata.format) == ("Hologram", "Beam", "Quark")
    assert not file.holds_weights


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"id": 1, "files": [{"id": 2, "sizeKB": "12"}]},
            r"\$\.files\[0\]\.sizeKB: expected float, got str$",
        ),
        ({"id": "1"}, r"\$\.id: expected int, got str"),
        ({"id": 2**31}, r"\$\.id: expected `?int`? <= 2147483647"),
        ({"name": "x"}, r"\$: object missing required field id"),
        ({"id": 1, "files": {"id": 2}}, r"\$\.files: expected array, got object"),
        ([], r"\$: expected object, got array"),
        ("x", r"\$: expected object, got str"),
        ({"id": 1, "images": [{}, {"width": 10**30}]}, r"\$\.images\[1\]\.width"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_placed_and_the_url_named(value: object, message: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=message) as caught:
        read(value, Version)
    assert "https://civitai.com/api/v1/models" in caught.value.message
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"id": 1',
        b"<!DOCTYPE html><html></html>",
        b"\xff\xfe{}",
        b'{"id": NaN}',
        b'{"id": 1, "sizeKB": 1e999}',
        b"[" * 200_000,
        b'{"id":1,"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"id": 1} trailing',
    ],
)
def test_what_is_no_json_is_an_unexpected_answer(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswer):
        read_answer(body, Version, URL)


def test_half_an_emoji_does_not_spoil_an_answer() -> None:
    body = rb'{"id": 1, "name": "cut \ud83d", "description": "ok \ud83d\ude00 \\ud83d"}'
    version = read_answer(body, Version, URL).value
    assert version.name == "cut \ufffd"
    assert version.description == "ok \U0001f600 \\ud83d"


@pytest.mark.parametrize("size", [-1.0, -1e300, 1e300, 1e40])
def test_a_hostile_size_is_no_size(size: float) -> None:
    file = read({"id": 1, "sizeKB": size}, ModelFile)
    assert file.size_bytes is None
    assert not file.size_is_exact


def test_sizes_are_bytes_and_say_whether_they_are_exact() -> None:
    assert read({"id": 1, "sizeKB": 17.017578125}, ModelFile).size_bytes == 17426
    assert read({"id": 1, "sizeKB": 2}, ModelFile).size_is_exact
    assert not read({"id": 1, "sizeKB": 2.0001}, ModelFile).size_is_exact
    assert read({"id": 1, "sizeKB": 0}, ModelFile).size_bytes == 0
    assert read({"id": 1}, ModelFile).size_bytes is None
    assert ModelFile(id=1, size_kb=math.nan).size_bytes is None


def test_hashes_are_upper_case_and_malformed_ones_are_dropped() -> None:
    hashes = read(
        {
            "SHA256": " " + "ab" * 32,
            "BLAKE3": "ab" * 31,
            "AutoV1": "c45eb528",
            "AutoV2": "../../etc/",
            "AutoV3": "E3B0C44298FC",
            "CRC32": "",
        },
        Hashes,
    )
    assert hashes.published == {"SHA256": "AB" * 32, "AutoV1": "C45EB528"}


def test_scans_that_found_something_are_recognised() -> None:
    assert read({"id": 1, "pickleScanResult": "Danger"}, ModelFile).called_dangerous
    assert read({"id": 1, "virusScanResult": "danger"}, ModelFile).called_dangerous
    assert not read({"id": 1, "pickleScanResult": "Pending"}, ModelFile).called_dangerous


def test_pickles_are_known_by_format_or_else_by_name() -> None:
    assert read({"id": 1, "metadata": {"format": "PickleTensor"}}, ModelFile).is_pickle
    assert read({"id": 1, "name": "a.CKPT"}, ModelFile).is_pickle
    assert read({"id": 1, "name": "a.safetensors"}, ModelFile).is_safetensors
    assert not read({"id": 1, "name": "a.zip"}, ModelFile).is_pickle


@pytest.mark.parametrize(
    ("image", "level", "video"),
    [
        ({"nsfwLevel": 16, "type": "video"}, 16, True),
        ({"nsfwLevel": "Soft", "browsingLevel": 2}, 2, False),
        ({"nsfwLevel": "X"}, 8, False),
        ({"nsfw": "Mature"}, 4, False),
        ({"nsfw": True, "url": "https://x/a.mp4?w=1"}, 4, True),
        ({}, None, False),
    ],
)
def test_an_image_of_any_year_has_a_level(image: object, level: int | None, video: bool) -> None:
    value = read(image, Image)
    assert (value.level, value.is_video) == (level, video)


def test_the_other_answers_are_read() -> None:
    assert read({"id": 5, "username": "me", "tier": None}, Me).username == "me"
    enums = read({"ModelType": ["LORA"], "ModelFileType": ["VAE"], "BaseModel": ["Pony"]}, Enums)
    assert (enums.model_type, enums.model_file_type, enums.base_model) == (
        ["LORA"],
        ["VAE"],
        ["Pony"],
    )
    mini = read({"air": "a", "size": 2.5, "downloadUrls": ["u"], "hashes": {}}, MiniVersion)
    assert (mini.size_bytes, mini.download_urls) == (2560, ["u"])
    tensors = read(
        {"tensorCount": 1, "tensors": [{"name": "w", "shape": [1], "dtype": "F16", "sizeBytes": 2}],
         "dtypeCounts": [{"dtype": "F16", "count": 1, "bytes": 2}], "vramEstimate": None},
        TensorMetadata,
    )  # fmt: skip
    assert tensors.tensors[0].size_bytes == 2
    ids = read_answer('[{"modelVersionId":1,"modelId":2,"hash":"A"},null]', list[VersionIds], URL)
    assert ids.value[0].model_version_id == 1


def test_the_elements_of_an_array_keep_their_own_text() -> None:
    whole = read_answer('[{"id": 1, "new": 1.50}, null, {"id":2}]', list[Version], URL)
    each = read_each(whole, Version, URL)
    assert [(item.value.id, item.raw) for item in each] == [
        (1, '{"id": 1, "new": 1.50}'),
        (2, '{"id":2}'),
    ]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": "No model with id 5"}', "No model with id 5"),
        (b'{"error": "Unauthorized", "message": "log in"}', "log in"),
        (
            b'{"error": {"issues": [{"path": ["limit"], "message": "Too big"}], "name": "Zod"}}',
            "limit: Too big",
        ),
        (b'{"error": {"message": "broken"}}', "broken"),
        (b'{"error": "a\\u001b[31m\\nb"}', "a\ufffd[31m b"),
        (b'{"error": null}', ""),
        (b'{"error": 5}', ""),
        (b'{"error": {"issues": [1, {"message": 2}]}}', ""),
        (b"[]", ""),
        (b"<html>", ""),
        (b"", ""),
        (b"\xff", ""),
    ],
)  # fmt: skip
def test_an_errors_text_is_found_in_all_its_forms(body: bytes, text: str) -> None:
    assert error_text(body)[0] == text


def test_dates_of_all_forms_are_utc_and_bad_ones_are_missing() -> None:
    with_zone, without = moment("2023-10-05T13:31:16.745Z"), moment("2023-10-05T13:31:16.745")
    assert with_zone is not None
    assert with_zone == without
    assert moment("soon") is moment(None) is moment("") is None
    assert moment("9999-12-31T23:59:59-12:00") is None


JUNK = st.sampled_from([None, True, 0, -1, 2**70, 1.5, 1e300, "", "x", [], [None], {}, {"id": "x"}])


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, item in pairs:
        found += _places(item, (*path, name))
    return found


def _damaged(value: Any, path: tuple[Any, ...], how: str, junk: object) -> Any:
    copy = json.loads(json.dumps(value))
    at = copy
    for name in path[:-1]:
        at = at[name]
    if how == "remove":
        del at[path[-1]]
    elif how == "add" and isinstance(at, dict):
        at["brandNew"] = junk
    else:
        at[path[-1]] = None if how == "null" else junk
    return copy


SMALL = {name: json.loads(recorded(name)) for name, _ in RECORDED}
SMALL["models-page.json"]["items"] = SMALL["models-page.json"]["items"][:1]
PLACES = {name: _places(value) for name, value in SMALL.items()}


@pytest.mark.parametrize(("name", "type_"), RECORDED)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_recording_is_read_or_refused_with_its_place(
    name: str, type_: type[Any], data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(PLACES[name]))
    how = data.draw(st.sampled_from(["null", "remove", "add", "retype"]))
    text = json.dumps(_damaged(SMALL[name], path, how, data.draw(JUNK)))
    try:
        answer = read_answer(text, type_, URL)
    except UnexpectedAnswer as error:
        refused = error.message
        assert "$" in refused
    else:
        assert answer.raw == text


@given(st.text(max_size=300))
def test_a_servers_text_is_one_printable_line(text: str) -> None:
    line = printable(text, limit=50)
    assert len(line) <= 50
    assert line == "" or line.isprintable()
