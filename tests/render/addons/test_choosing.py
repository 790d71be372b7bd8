from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.formats.identity import Identity, ModelKind
from modelhub.render.addons import Candidate, NamedBase, choose_base

GB = 1 << 30
SHA = "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa"


def candidate(path: str, architecture: str | None = "sdxl", **facts: Any) -> Candidate:
    own = {key: facts.pop(key) for key in ("family", "variants", "edition", "pruned", "kind")
           if key in facts}  # fmt: skip
    own.setdefault("kind", ModelKind.CHECKPOINT)
    identity = Identity(architecture=architecture, **own)
    return Candidate(path=f"/m/{path}", identity=identity, **{"size": 6 * GB, **facts})


def lora(architecture: str | None = "sdxl", **facts: Any) -> Identity:
    return Identity(kind=ModelKind.LORA, architecture=architecture, **facts)


def order(
    candidates: list[Candidate], addon: Identity, named: NamedBase | None = None
) -> list[str]:
    return [one.candidate.path.removeprefix("/m/") for one in choose_base(candidates, addon, named)]


def test_only_checkpoints_of_its_architecture_are_chosen() -> None:
    there = [
        candidate("one.ckpt", "sd1"),
        candidate("xl.safetensors"),
        candidate("refiner.safetensors", edition="refiner"),
        candidate("vae.pt", kind=ModelKind.VAE),
    ]
    assert order(there, lora()) == ["xl.safetensors"]
    assert order(there, lora("flux")) == []


def test_the_checkpoint_that_it_was_trained_on_comes_first() -> None:
    there = [
        candidate("favourite.safetensors", family="pony", rating=5),
        candidate("novel.safetensors"),
        candidate("renamed.safetensors", hashes=(SHA,)),
    ]
    metadata = {"ss_sd_model_name": "novel.ckpt", "ss_new_sd_model_hash": SHA.upper()}
    named = NamedBase.of(metadata)
    assert named.hashes == (SHA,)
    assert order(there, lora(family="pony"), named) == [
        "renamed.safetensors", "novel.safetensors", "favourite.safetensors",
    ]  # fmt: skip
    first = choose_base(there, lora(), named)[0]
    assert "it was trained on this very file (6ce0161689)" in first.reasons


def test_a_short_hash_names_the_file_and_a_shorter_one_nothing() -> None:
    there = [candidate("a.safetensors"), candidate("b.safetensors", hashes=(SHA,))]
    assert order(there, lora(), NamedBase(hashes=(SHA[:10],)))[0] == "b.safetensors"
    assert NamedBase.of({"ss_sd_model_hash": SHA[:6], "ss_sd_model_name": ""}) == NamedBase()
    assert order(there, lora(), NamedBase(hashes=("",)))[0] == "a.safetensors"


@pytest.mark.parametrize("named", ["Pony_Diffusion-V6.ckpt", "D:\\models\\pony diffusion v6.pt"])
def test_a_base_is_known_by_its_name_however_it_is_spelled(named: str) -> None:
    there = [candidate("other pony.safetensors"), candidate("ponyDiffusionV6.safetensors")]
    assert order(there, lora(), NamedBase(name=named))[0] == "ponyDiffusionV6.safetensors"


def test_the_family_counts_told_by_metadata_by_the_page_or_by_the_name() -> None:
    there = [
        candidate("plain.safetensors"),
        candidate("ponyRealism_v22.safetensors", name="Pony Realism"),
        candidate("x.safetensors", base="Illustrious"),
        candidate("noob.safetensors", family="noobai"),
    ]
    ponies = order(there, lora(), NamedBase(base="Pony"))
    assert ponies[0] == "ponyRealism_v22.safetensors"
    assert order(there, lora(family="illustrious"))[:2] == ["x.safetensors", "noob.safetensors"]
    assert order(there, lora())[0] == "plain.safetensors"


def test_a_folder_named_after_a_family_says_nothing() -> None:
    there = [candidate("pony/realistic.safetensors"), candidate("z.safetensors")]
    assert order(there, lora())[0] == "pony/realistic.safetensors"


def test_those_for_another_task_or_distilled_come_last() -> None:
    there = [
        candidate("a-inpainting.safetensors", variants=("inpainting",)),
        candidate("b-lightning.safetensors", variants=("lightning",)),
        candidate("c-v.safetensors", variants=("v-prediction",)),
        candidate("d.safetensors"),
    ]
    assert order(there, lora()) == [
        "d.safetensors", "b-lightning.safetensors", "c-v.safetensors", "a-inpainting.safetensors",
    ]  # fmt: skip
    assert order(there, lora(variants=("v-prediction",)))[0] == "c-v.safetensors"
    assert order(there, lora(variants=("inpainting",)))[0] == "a-inpainting.safetensors"


def test_velocity_does_not_count_where_loras_do_not_tell_it() -> None:
    there = [
        candidate("a.safetensors", "sd2", variants=("v-prediction",)),
        candidate("b.safetensors", "sd2"),
    ]
    assert order(there, lora("sd2")) == ["a.safetensors", "b.safetensors"]


def test_between_equals_rating_then_pruned_then_size_decide() -> None:
    there = [
        candidate("full.ckpt", size=7 * GB),
        candidate("large.safetensors", pruned=True, size=6 * GB),
        candidate("small.safetensors", pruned=True, size=2 * GB),
        candidate("rated.ckpt", size=9 * GB, rating=4),
        candidate("evil.ckpt", size=GB, rating=5, unsafe=True),
    ]
    assert order(there, lora()) == [
        "rated.ckpt", "small.safetensors", "large.safetensors", "full.ckpt", "evil.ckpt",
    ]  # fmt: skip


def test_a_vae_finds_a_checkpoint_whose_latents_it_decodes() -> None:
    there = [candidate("sd.ckpt", "sd1"), candidate("flux.safetensors", "flux")]
    vae = Identity(kind=ModelKind.VAE, edition="16-channel")
    assert order(there, vae) == ["flux.safetensors"]


@given(
    st.lists(
        st.builds(
            candidate,
            st.sampled_from(["a", "b", "pony", "c"]),
            st.sampled_from(["sd1", "sdxl", None]),
            rating=st.none() | st.integers(1, 5),
            name=st.text(max_size=8),
            hashes=st.lists(st.text("0123456789abcdefG", max_size=12), max_size=2).map(tuple),
        ),
        max_size=6,
    ),
    st.builds(NamedBase, name=st.none() | st.text(max_size=9), base=st.none() | st.text()),
)
def test_the_order_goes_by_points_and_does_not_depend_on_that_of_the_question(
    candidates: list[Candidate], named: NamedBase
) -> None:
    found = choose_base(candidates, lora(), named)
    points = [one.score for one in found]
    assert points == sorted(points, reverse=True)
    turned = choose_base(candidates[::-1], lora(), named)
    assert [one.score for one in turned] == points
    assert len(found) == sum(one.identity.architecture != "sd1" for one in candidates)
