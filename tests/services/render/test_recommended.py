from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelhub.services.render.recommended import recommended_by

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
META_KEYS = st.sampled_from(["steps", "sampler", "cfgScale", "clipSkip", "Clip skip", "Size"])
VERSIONS = st.fixed_dictionaries(
    {
        "settings": JSON | st.fixed_dictionaries({"strength": JSON, "clipSkip": JSON}),
        "images": st.lists(
            st.fixed_dictionaries({"meta": st.dictionaries(META_KEYS, JSON)}) | JSON, max_size=6
        ),
    }
)


def version(*metas: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"settings": settings, "images": [{"meta": meta} for meta in metas]}


def test_what_most_images_have_is_recommended() -> None:
    often = {"steps": 30, "sampler": "DPM++ 2M", "Schedule type": "Karras", "cfgScale": 5}
    once = {"steps": 50, "sampler": "Euler", "cfgScale": 5, "Size": "512x512"}
    found = recommended_by(version(often, often, once))
    assert found.meta == {
        "steps": 30,
        "cfgScale": 5,
        "sampler": "DPM++ 2M",
        "Schedule type": "Karras",
    }


def test_a_single_image_recommends_nothing() -> None:
    assert recommended_by(version({"steps": 30})).meta == {}


def test_the_page_s_own_settings_come_before_its_images() -> None:
    skip = {"Clip skip": 1}
    found = recommended_by(version(skip, skip, clipSkip=2, strength=0.8))
    assert found.meta["clipSkip"] == 2
    assert found.weight == 0.8
    assert recommended_by(version(strength=1e9)).weight is None
    assert recommended_by(version(strength=float("nan"))).weight is None


@given(JSON | VERSIONS)
def test_whatever_the_answer_is_it_is_read_or_passed_over(answer: Any) -> None:
    found = recommended_by(answer)
    assert all(isinstance(value, int | float | str) for value in found.meta.values())
