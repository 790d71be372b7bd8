from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from modelhub.errors import UsageError
from modelhub.formats.identity import Evidence, Identity
from modelhub.render.defaults import check, recommended_settings, resolve
from modelhub.render.defaultstable import BY_MODEL, BY_VARIANT, GENERAL
from modelhub.render.request import Settings
from modelhub.render.samplers import sampling

_SDXL = Identity(architecture="sdxl", edition="base")


def _settings(identity: Identity, **asked: Any) -> Settings:
    return resolve(Settings(**asked), identity).settings


def _facts(found: Settings) -> tuple[object, ...]:
    return (found.width, found.steps, found.cfg, found.sampler, found.schedule, found.clip_skip)


@pytest.mark.parametrize(
    ("identity", "facts"),
    [
        (Identity(), (512, 20, 7.0, "DPM++ 2M", "karras", 1)),
        (Identity(architecture="sd1"), (512, 20, 7.0, "DPM++ 2M", "karras", 1)),
        (Identity(architecture="sd1", title="Anything V5"),
         (512, 20, 7.0, "DPM++ 2M", "karras", 2)),
        (Identity(architecture="sd2", edition="768-v"), (768, 20, 7.0, "DPM++ 2M", "karras", 2)),
        (Identity(architecture="sd2", edition="512-base"),
         (512, 20, 7.0, "DPM++ 2M", "karras", 2)),
        (Identity(architecture="sd2", variants=("turbo",)),
         (512, 4, 1.0, "Euler a", "sgm_uniform", 2)),
        (_SDXL, (1024, 25, 7.0, "DPM++ 2M", "karras", 2)),
        (Identity(architecture="sdxl", family="pony"), (1024, 25, 7.0, "Euler a", "normal", 2)),
        (Identity(architecture="sdxl", family="noobai",
                  variants=("v-prediction", "zero-terminal-snr")),
         (1024, 28, 4.5, "Euler", "sgm_uniform", 2)),
        (Identity(architecture="sdxl", variants=("lightning",)),
         (1024, 4, 1.0, "Euler", "sgm_uniform", 2)),
        (Identity(architecture="sdxl", variants=("lightning",), title="X Lightning 8-step"),
         (1024, 8, 1.0, "Euler", "sgm_uniform", 2)),
        (Identity(architecture="qwen", edition="edit"), (1024, 50, 4.0, "Euler", "simple", 1)),
        (Identity(architecture="qwen", edition="2.1"), (1024, 40, 1.0, "Euler", "simple", 1)),
        (Identity(architecture="qwen", edition="2.1", variants=("turbo",)),
         (1024, 8, 1.0, "Euler", "simple", 1)),
        (Identity(architecture="krea2"), (1024, 8, 1.0, "Euler", "simple", 1)),
        (Identity(architecture="krea2", edition="raw"), (1024, 52, 4.5, "Euler", "simple", 1)),
        (Identity(architecture="sdxl", variants=("hyper",)),
         (1024, 8, 1.0, "DDIM", "sgm_uniform", 2)),
        (Identity(architecture="sd1", variants=("lcm",)), (512, 6, 1.5, "LCM", "sgm_uniform", 1)),
        (Identity(architecture="sd1", variants=("lcm",),
                  evidence=(Evidence("variants", "lcm", "guidance embedding"),)),
         (512, 4, 8.0, "LCM", "sgm_uniform", 1)),
        (Identity(architecture="flux", edition="schnell"), (1024, 4, 1.0, "Euler", "simple", 1)),
        (Identity(architecture="sd3", edition="3.5 large"),
         (1024, 28, 3.5, "Euler", "simple", 1)),
        (Identity(architecture="zimage"), (1024, 9, 1.0, "Euler", "simple", 1)),
    ],
)  # fmt: skip
def test_models_are_rendered_as_their_makers_say(
    identity: Identity, facts: tuple[object, ...]
) -> None:
    assert _facts(_settings(identity)) == facts


def test_every_default_is_possible_and_its_sampler_can_follow_its_schedule() -> None:
    for row in (*BY_MODEL, *BY_VARIANT):
        check(row.given)
        assert row.source
        if row.given.sampler is not None:
            sampling(row.given.sampler, row.given.schedule)


@pytest.mark.parametrize(
    "identity",
    [Identity(architecture=row.architecture, edition=row.edition, family=row.family)
     for row in BY_MODEL],
)  # fmt: skip
def test_nothing_stays_open(identity: Identity) -> None:
    found = asdict(resolve(Settings(refiner_from=0.8), identity).settings)
    assert [key for key, value in found.items() if value is None] == []


def test_what_is_asked_for_counts_before_all_else() -> None:
    meta = {"steps": 33, "cfgScale": 5, "sampler": "DDIM"}
    asked = Settings(steps=7, cfg=0.0, sampler="Heun", schedule="beta", width=256, height=640)
    found = resolve(asked, _SDXL, meta).settings
    assert _facts(found) == (256, 7, 0.0, "Heun", "beta", 2)


def test_what_the_page_recommends_counts_before_the_architecture() -> None:
    meta = {"steps": "33", "cfgScale": 5, "sampler": "DPM++ SDE Karras", "Size": "832x1216",
            "clipSkip": 2, "prompt": "x", "seed": 5}  # fmt: skip
    found = resolve(Settings(prompt="mine", seed=7), _SDXL, meta)
    assert _facts(found.settings) == (832, 33, 5.0, "DPM++ SDE", "karras", 2)
    assert (found.settings.prompt, found.settings.seed) == ("mine", 7)
    assert found.reasons is not None
    assert found.reasons["steps"] == "the model's page"


def test_each_default_says_where_it_comes_from() -> None:
    reasons = resolve(Settings(steps=3), Identity(architecture="flux")).reasons
    assert reasons is not None
    assert "FLUX.1-dev" in reasons["cfg"]
    assert "steps" not in reasons


def test_the_size_of_an_upscaled_image_is_no_recommendation() -> None:
    assert recommended_settings({"Size": "1024x1536"}, GENERAL)[0] == Settings()
    assert recommended_settings({"Size": "512x768"}, GENERAL)[0].height == 768


def test_a_page_that_recommends_nonsense_is_passed_over_and_told() -> None:
    meta = {"steps": 0, "cfgScale": "nan", "sampler": "magic", "Size": "511x512"}
    found, notices = recommended_settings(meta, GENERAL)
    assert found == Settings()
    assert notices == [
        "the page recommends steps 0, which is not possible",
        "the page recommends cfg nan, which is not possible",
        "the page's sampler is not used: there is no sampler 'magic'",
    ]


_JSON: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
_KEYS = st.sampled_from(
    ["steps", "Steps", "cfgScale", "clipSkip", "sampler", "Schedule type", "Size", "scheduler"]
)


@given(st.dictionaries(_KEYS, _JSON))
def test_any_metadata_give_settings_that_are_possible(meta: dict[str, object]) -> None:
    check(resolve(Settings(), _SDXL, meta).settings)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"steps": 0}, "0 steps cannot be made"),
        ({"steps": -5}, "-5 steps"),
        ({"steps": 1001}, "1001 steps"),
        ({"width": 513}, "width of 513 pixels is not divisible by 8; the nearest are 512 and 520"),
        ({"height": 12}, "height of 12 pixels is not possible"),
        ({"width": 100_000}, "width of 100000"),
        ({"width": 8192, "height": 8192}, "are too many"),
        ({"cfg": math.nan}, "CFG scale of nan"),
        ({"cfg": math.inf}, "CFG scale of inf"),
        ({"cfg": -1.0}, "CFG scale of -1.0"),
        ({"seed": -2}, "a seed is 0 to"),
        ({"seed": 1 << 64}, "a seed is 0 to"),
        ({"clip_skip": 0}, "clip skip goes from 1 to 12, not 0"),
        ({"refiner_from": 1.5}, "not at 1.5"),
        ({"refiner_from": math.nan}, "not at nan"),
        ({"sampler": "nope"}, "no sampler 'nope'"),
        ({"sampler": "LCM", "steps": 51}, "LCM makes 50 steps at most, not 51"),
        ({"sampler": "Euler a", "schedule": "karras"}, "cannot follow"),
    ],
)
def test_settings_that_make_no_image_are_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(Settings(**asked), Identity())


def test_a_seed_of_minus_one_is_drawn() -> None:
    drawn = {_settings(Identity(), seed=-1).seed for _ in range(5)}
    assert len(drawn) > 1
    assert all(0 <= one < 1 << 32 for one in drawn)
    assert _settings(Identity(), seed=0).seed == 0


def test_a_sampler_asked_for_alone_gets_the_schedule_that_suits_the_model() -> None:
    turbo = Identity(architecture="sdxl", variants=("turbo",))
    assert _settings(turbo, sampler="Euler").schedule == "sgm_uniform"
    assert _settings(turbo, sampler="DPM++ SDE").schedule == "karras"
    assert _settings(Identity(architecture="flux"), sampler="DPM++ 2M").schedule == "simple"
    assert _settings(Identity(), sampler="DDIM").schedule == "ddim_uniform"


def test_a_schedule_asked_for_alone_goes_with_the_models_sampler() -> None:
    assert _settings(Identity(), schedule="Beta").schedule == "beta"
    with pytest.raises(UsageError, match="Euler a cannot follow the schedule Karras"):
        _settings(Identity(architecture="sdxl", family="pony"), schedule="karras")


def test_names_are_settled_on_one_writing() -> None:
    found = _settings(Identity(), sampler="dpmpp_2m", schedule="SGM Uniform")
    assert (found.sampler, found.schedule) == ("DPM++ 2M", "sgm_uniform")


def test_resolving_again_changes_nothing() -> None:
    once = _settings(Identity(architecture="sdxl", family="pony"), seed=-1)
    again = resolve(once, Identity(architecture="sdxl"))
    assert (again.settings, again.notices) == (once, ())


def test_makers_own_words_are_given_and_not_forced() -> None:
    found = resolve(Settings(prompt="a cat"), Identity(architecture="sdxl", family="pony"))
    assert found.tags == ("score_9", "score_8_up", "score_7_up")
    assert found.settings.prompt == "a cat"


def test_a_size_far_from_the_trained_one_and_clip_skip_1_of_sdxl_are_told() -> None:
    found = resolve(Settings(width=256, height=256, clip_skip=1), _SDXL)
    assert found.notices == (
        "clip skip 1 is 2 here: the model was trained with the layer before the last",
        "256 x 256 is far from the 1024 x 1024 that the model was trained for",
    )
