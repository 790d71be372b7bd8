"""What metadata and names claim, beside what the tensors say."""

from __future__ import annotations

import pytest

from modelhub.formats.identify.claims import with_claims
from modelhub.formats.identity import Evidence, Identity, ModelKind

from .layouts import because

SDXL = Identity(
    kind=ModelKind.CHECKPOINT,
    architecture="sdxl",
    edition="base",
    evidence=(
        Evidence("kind", "checkpoint", "its parts"),
        Evidence("architecture", "sdxl", "its width"),
        Evidence("edition", "base", "its vector condition"),
    ),
)
FLUX = Identity(
    kind=ModelKind.DIFFUSION_MODEL,
    architecture="flux",
    edition="dev",
    evidence=(Evidence("edition", "dev", "an embedding of the guidance"),),
)


def test_nothing_is_added_where_nothing_is_claimed() -> None:
    assert with_claims(SDXL, {}, "") is SDXL
    assert with_claims(SDXL, {"format": "pt"}, "") is SDXL


def test_metadata_fill_what_tensors_leave_open() -> None:
    claims = {
        "modelspec.title": "Dream",
        "modelspec.author": "someone",
        "modelspec.resolution": "1024x1024",
        "sshs_model_hash": "ab" * 32,
    }
    found = with_claims(SDXL, claims, "")
    assert (found.title, found.author, found.resolution) == ("Dream", "someone", "1024x1024")
    assert found.claims == {"sshs_model_hash": "ab" * 32}
    for field in ("title", "author", "resolution", "claims"):
        assert because(found, field)


def test_a_claim_against_the_tensors_is_kept_and_not_believed() -> None:
    found = with_claims(SDXL, {"modelspec.architecture": "stable-diffusion-v1"}, "")
    assert found.architecture == "sdxl"
    said = because(found, "architecture")
    assert [(one.value, one.certain) for one in said] == [("sdxl", True), ("sd1", False)]


def test_the_edition_of_another_architecture_is_not_taken_over() -> None:
    sd1 = Identity(architecture="sd1")
    found = with_claims(sd1, {"modelspec.architecture": "stable-diffusion-v2-768-v"}, "")
    assert (found.architecture, found.edition) == ("sd1", None)


def test_metadata_may_be_more_exact_than_the_tensors() -> None:
    found = with_claims(FLUX, {"modelspec.architecture": "flux-1-kontext"}, "")
    assert found.edition == "kontext"


def test_an_edition_that_tensors_exclude_is_not_believed() -> None:
    found = with_claims(FLUX, {"modelspec.architecture": "flux-1-schnell"}, "")
    assert found.edition == "dev"


def test_a_kind_that_only_the_metadata_know_is_a_guess() -> None:
    found = with_claims(Identity(), {"modelspec.architecture": "flux-1-dev/lora"}, "")
    assert found.kind is ModelKind.LORA
    assert "kind" in found.guessed


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("dreamshaperXL_lightningDPMSDE.safetensors", "lightning"),
        ("realvis_LCM_v2.safetensors", "lcm"),
        ("sd_xl_turbo_1.0_fp16.safetensors", "turbo"),
    ],
)
def test_a_name_gives_variants_as_guesses(name: str, variant: str) -> None:
    found = with_claims(SDXL, {}, name)
    assert found.variants == (variant,)
    assert "variants" in found.guessed


def test_a_family_told_by_a_name_is_a_guess() -> None:
    found = with_claims(SDXL, {}, "ponyDiffusionV6XL_v6.safetensors")
    assert found.family == "pony"
    assert "family" in found.guessed


def test_a_name_of_any_length_and_script_is_only_a_name() -> None:
    found = with_claims(SDXL, {}, "ё\x00\u202e" * 10_000)
    assert (found.architecture, found.edition) == ("sdxl", "base")
