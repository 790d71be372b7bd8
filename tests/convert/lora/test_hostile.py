from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.convert.lora import LoraKeys, lora_plan, merge_plan
from modelhub.convert.lora.scaling import is_exact, shares
from modelhub.convert.lora.words import dotted, flat
from modelhub.convert.options import ConvertOptions
from modelhub.convert.readers import Source
from modelhub.errors import FormatError, ModelhubError

from . import made
from .conftest import Write

STEM = f"lora_unet_{made.CROSS}"
DOWN, UP, ALPHA = f"{STEM}.lora_down.weight", f"{STEM}.lora_up.weight", f"{STEM}.alpha"


def ones(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.ones(shape, np.float32)


BROKEN: dict[str, tuple[made.Arrays, str]] = {
    "ranks that differ": ({DOWN: ones(4, 768), UP: ones(32, 8)}, "do not multiply"),
    "one factor": ({DOWN: ones(4, 768)}, "only"),
    "a factor of one dimension": ({DOWN: ones(4), UP: ones(32, 4)}, "none of a product"),
    "a factor of a single number": ({DOWN: ones(), UP: ones()}, "none of a product"),
    "rank 0": ({DOWN: ones(0, 768), UP: ones(32, 0)}, "do not multiply"),
    "a last factor with a kernel": (
        {DOWN: ones(4, 32, 3, 3), UP: ones(64, 4, 3, 3)},
        "none of a product",
    ),
    "alpha not a number": ({DOWN: ones(4, 768), UP: ones(32, 4), ALPHA: ones() * np.nan}, "nan"),
    "alpha infinite": ({DOWN: ones(4, 768), UP: ones(32, 4), ALPHA: ones() * np.inf}, "inf"),
    "many alphas": ({DOWN: ones(4, 768), UP: ones(32, 4), ALPHA: ones(4)}, "not one number"),
    "a core that does not fit": (
        {
            DOWN: ones(4, 32, 1, 1),
            UP: ones(64, 4, 1, 1),
            f"{STEM}.lora_mid.weight": ones(4, 5, 3, 3),
        },
        "does not go between",
    ),
    "a small core that makes a giant": (
        {
            DOWN: ones(1, 2**20, 1, 1),
            UP: ones(64, 1, 1, 1),
            f"{STEM}.lora_mid.weight": ones(1, 1, 32, 32),
        },
        "makes a factor",
    ),
    "loha of two shapes": (
        {
            f"{STEM}.hada_w1_a": ones(32, 4),
            f"{STEM}.hada_w1_b": ones(4, 768),
            f"{STEM}.hada_w2_a": ones(32, 4),
            f"{STEM}.hada_w2_b": ones(4, 767),
        },
        "different shapes",
    ),
    "loha without dimensions": (
        {f"{STEM}.hada_w{one}_{side}": ones() for one in "12" for side in "ab"},
        "none of a product",
    ),
    "half of a lokr": ({f"{STEM}.lokr_w1": ones(4, 4)}, "lokr_w2 is not there"),
    "both names of one layer": (
        {
            DOWN: ones(4, 768),
            UP: ones(32, 4),
            f"{STEM}.lora_A.weight": ones(4, 768),
            f"{STEM}.lora_B.weight": ones(32, 4),
        },
        "there twice",
    ),
}


@pytest.mark.parametrize("which", BROKEN)
@pytest.mark.parametrize("use", ["change", "merge"])
def test_a_broken_layer_is_named_before_anything_is_computed(
    which: str, use: str, checkpoint: Source, opened: Write
) -> None:
    tensors, reason = BROKEN[which]
    source = opened(tensors)
    uses: dict[str, Callable[[], object]] = {
        "change": lambda: lora_plan(source, key_format=LoraKeys.DIFFUSERS),
        "merge": lambda: merge_plan(checkpoint, [(source, 1.0)], ConvertOptions()),
    }
    with pytest.raises(FormatError, match=reason) as caught:
        uses[use]()
    assert str(source.path) in caught.value.message


def test_an_alpha_of_0_changes_nothing_and_is_told_of(opened: Write) -> None:
    plan = lora_plan(opened(made.lora(alpha=0.0)), key_format=LoraKeys.DIFFUSERS)
    assert "alpha of 0" in plan.notices[0]
    for name, numbers in made.computed(plan).items():
        if name.endswith("lora_A.weight"):
            assert not numbers.any()


def test_a_rank_in_the_metadata_is_not_believed(opened: Write) -> None:
    plan = lora_plan(
        opened(made.lora(), {"ss_network_dim": "999999999"}), key_format=LoraKeys.DIFFUSERS
    )
    assert plan.identity.rank == 4


@pytest.mark.parametrize(
    "settings",
    [
        json.dumps({"unet.lora_alpha": "many"}),
        '{"unet.lora_alpha": NaN}',
        '{"unet.lora_alpha": 1' + "0" * 400 + "}",
        json.dumps({"unet.lora_alpha": 1, "unet.alpha_pattern": {"to_q": [1]}}),
    ],
)
def test_settings_with_an_alpha_that_is_no_number_are_damage(settings: str, opened: Write) -> None:
    tensors = {
        "unet.mid_block.attentions.0.proj_in.lora_A.weight": ones(4, 32),
        "unet.mid_block.attentions.0.proj_in.lora_B.weight": ones(32, 4),
    }
    with pytest.raises(FormatError, match="no number"):
        lora_plan(opened(tensors, {"lora_adapter_metadata": settings}))


@pytest.mark.parametrize("settings", ["", "{", "[" * 100_000, '"text"', "[1, 2]", '{"a": 1}'])
def test_settings_that_are_none_count_for_nothing(settings: str, opened: Write) -> None:
    tensors = {
        "unet.mid_block.attentions.0.proj_in.lora_A.weight": ones(4, 32),
        "unet.mid_block.attentions.0.proj_in.lora_B.weight": ones(32, 4),
    }
    plan = lora_plan(opened(tensors, {"lora_adapter_metadata": settings}))
    np.testing.assert_array_equal(
        made.computed(plan)["unet.mid_block.attentions.0.proj_in.lora_A.weight"], ones(4, 32)
    )


_ENDINGS = (
    ".lora_down.weight", ".lora_up.weight", ".lora_A.weight", ".alpha", ".lora_mid.weight",
    ".dora_scale", ".hada_w1_a", ".lokr_w1", ".diff", ".lora.down.weight", ".w_norm",
    ".processor.to_q_lora.down.weight", ".lora_A.default.weight", ":down", ".lora_up.bias",
)  # fmt: skip


@given(
    names=st.lists(
        st.tuples(
            st.sampled_from(("lora_unet_", "unet.", "base_model.model.", "lora_te1_", "")),
            st.text(max_size=12),
            st.sampled_from(_ENDINGS),
            st.lists(st.integers(0, 3), max_size=4),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_names_and_shapes_end_in_a_plan_or_in_an_error_for_the_user(
    names: list[tuple[str, str, str, list[int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    from modelhub.convert.readers import open_source

    tensors: made.Arrays = {}
    for head, middle, ending, shape in names:
        usable = middle.encode("utf-8", "ignore").decode()
        tensors[f"{head}{usable}{ending}"] = np.ones(shape, np.float32)
    path = made.write(tmp_path_factory.mktemp("any") / "any.safetensors", tensors)
    with open_source(path) as source:
        for keys in (None, *LoraKeys):
            try:
                plan = lora_plan(source, key_format=keys)
            except ModelhubError:
                continue
            made.computed(plan)


@given(st.text(alphabet="abtoqk_01proj", max_size=60))
def test_dots_are_put_in_without_losing_a_letter(path: str) -> None:
    clean = "_".join(filter(None, path.split("_")))
    assert flat(dotted(clean)) == clean


@given(st.floats(-1e6, 1e6).filter(lambda one: abs(one) > 1e-30))
def test_the_shares_of_a_scale_multiply_to_it(scale: float) -> None:
    down, up = shares(scale)
    assert down * up == scale
    assert is_exact(up)
