"""Which files are the shards of one model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.formats.grouping import Group, group_containing, groups_of

WHOLE = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]


def test_the_shards_of_a_model_and_its_index_are_one_group() -> None:
    index = "model.safetensors.index.json"
    names = [WHOLE[2], "a.safetensors", index, WHOLE[0], WHOLE[1], "config.json"]
    assert groups_of(names) == [
        Group("a.safetensors", ("a.safetensors",)),
        Group("config.json", ("config.json",)),
        Group(WHOLE[0], tuple(WHOLE), index, 3),
    ]


def test_missing_shards_are_named() -> None:
    (group,) = groups_of([WHOLE[1]])
    assert group.main == WHOLE[1]
    assert group.missing == (WHOLE[0], WHOLE[2])
    assert group.notice == f"incomplete: 2 of 3 files are missing: {WHOLE[0]}, {WHOLE[2]}"


def test_a_model_of_thousands_of_missing_shards_has_a_short_notice() -> None:
    (group,) = groups_of(["x-00001-of-09999.safetensors"])
    assert len(group.missing) == 9998
    assert group.notice.endswith("and 9,993 more")


@pytest.mark.parametrize(
    ("shard", "index"),
    [
        ("model-00001-of-00001.safetensors", "model.safetensors.index.json"),
        ("pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"),
        ("model-00001-of-00001.fp16.safetensors", "model.safetensors.index.fp16.json"),
        ("model.fp16-00001-of-00001.safetensors", "model.fp16.safetensors.index.json"),
    ],
)
def test_an_index_is_found_for_each_way_to_name_a_variant(shard: str, index: str) -> None:
    assert groups_of([shard, index]) == [Group(shard, (shard,), index, 1)]


def test_variants_totals_and_formats_are_models_of_their_own() -> None:
    names = [
        "m-00001-of-00002.safetensors",
        "m-00001-of-00002.fp16.safetensors",
        "m-00001-of-00003.safetensors",
        "m-00001-of-00002.gguf",
    ]
    assert [group.parts for group in groups_of(names)] == [(name,) for name in sorted(names)]


@pytest.mark.parametrize(
    "name",
    [
        "portrait-of-a-cat.safetensors",
        "m-00004-of-00003.safetensors",
        "m-00000-of-00003.safetensors",
        "m-1-of-99999.safetensors",
        "m-00001-of-00003.safetensors.part",
        "m-00001-of-00003.png",
    ],
)
def test_what_only_looks_like_a_shard_stands_alone(name: str) -> None:
    assert groups_of([name]) == [Group(name, (name,))]


def test_a_shard_and_an_index_lead_to_their_group() -> None:
    index = "model.safetensors.index.json"
    for name in (WHOLE[1], index):
        assert group_containing(name, [*WHOLE, index]).parts == tuple(WHOLE)
    assert group_containing("a.json", ["a.json", *WHOLE]) == Group("a.json", ("a.json",))


@given(st.lists(st.sampled_from(WHOLE) | st.from_regex(r"\w{1,3}-\d{1,3}-of-\d{1,3}\.bin\n?")))
def test_every_name_belongs_to_exactly_one_group(names: list[str]) -> None:
    parts = [part for group in groups_of(names) for part in group.parts]
    assert sorted(parts) == sorted(set(names))
