from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.errors import AddonMisfit, CannotRender
from modelhub.formats.identity import Evidence, Identity, ModelKind
from modelhub.render.addons import fits, needs_more_than_a_prompt, require_fit


def base(architecture: str | None, edition: str | None = None) -> Identity:
    return Identity(kind=ModelKind.CHECKPOINT, architecture=architecture, edition=edition)


def lora(architecture: str | None, edition: str | None = None) -> Identity:
    return Identity(kind=ModelKind.LORA, architecture=architecture, edition=edition)


def vae(architecture: str | None, edition: str | None = None) -> Identity:
    return Identity(kind=ModelKind.VAE, architecture=architecture, edition=edition)


def embedding(architecture: str) -> Identity:
    return Identity(kind=ModelKind.EMBEDDING, architecture=architecture)


def guessed(identity: Identity, field: str) -> Identity:
    from msgspec.structs import replace

    return replace(identity, evidence=(Evidence(field, "", "its name", certain=False),))


@pytest.mark.parametrize(
    ("addon", "checkpoint"),
    [
        (lora("sd1"), base("sd1")),
        (lora("sdxl"), base("sdxl")),
        (lora("sdxl", "refiner"), base("sdxl", "refiner")),
        (lora("flux", "dev"), base("flux", "schnell")),
        (lora("sd3", "3.5 large"), base("sd3", "3.5 large")),
        (embedding("sd2"), base("sd2")),
        (embedding("sdxl"), base("sdxl")),
        (vae("sd1", "4-channel"), base("sd1")),
        (vae("sd1", "4-channel"), base("sd2")),
        (vae("flux", "16-channel"), base("zimage")),
        (lora("qwen", "edit"), base("qwen")),
        (lora("qwen", "2.1"), base("qwen", "2.1")),
        (vae("wan", "2.1, 16-channel"), base("qwen")),
        (vae("wan", "2.1, 16-channel"), base("krea2")),
        (vae("qwen", "64-channel"), base("qwen", "2.1")),
    ],
)
def test_what_is_for_the_same_model_fits_for_certain(addon: Identity, checkpoint: Identity) -> None:
    found = fits(addon, checkpoint)
    assert found.fits
    assert found.certain
    require_fit(Path("addon"), addon, Path("base"), checkpoint)


@pytest.mark.parametrize(
    ("addon", "checkpoint", "told"),
    [
        (lora("sdxl"), base("sd1"), "made for SDXL, and the base is SD 1.x"),
        (lora("sdxl"), base("sdxl", "refiner"), "the base is SDXL refiner"),
        (lora("flux"), base("flux2"), "made for Flux, and the base is Flux 2"),
        (embedding("sd1"), base("sdxl"), "made for SD 1.x, and the base is SDXL"),
        (embedding("sd2"), base("sd1"), "made for SD 2.x, and the base is SD 1.x"),
        (vae("flux", "16-channel"), base("sdxl"), "have 16 channels, those of SDXL have 4"),
        (vae(None, "4-channel"), base("flux"), "have 4 channels, those of Flux have 16"),
        (vae("sdxl", "4-channel"), base("sd1"), "another scale than those of SD 1.x"),
        (vae("sd3", "16-channel"), base("flux"), "another scale"),
        (vae("flux2"), base("flux"), "have 32 channels"),
        (lora("qwen"), base("qwen", "2.1"), "the base is Qwen-Image 2.1"),
        (vae("wan", "2.1, 16-channel"), base("qwen", "2.1"), "those of Qwen-Image 2.1 have 64"),
        (vae("qwen", "64-channel"), base("qwen"), "have 64 channels, those of Qwen-Image have 16"),
        (base("sd1"), base("sd1"), "checkpoint is no add-on"),
    ],
)
def test_what_is_for_another_model_is_refused_and_both_files_are_named(
    addon: Identity, checkpoint: Identity, told: str
) -> None:
    found = fits(addon, checkpoint)
    assert not found.fits
    assert found.certain
    with pytest.raises(AddonMisfit) as caught:
        require_fit(Path("/m/addon.pt"), addon, Path("/m/base.ckpt"), checkpoint)
    assert told in caught.value.message
    assert "/m/addon.pt does not go with /m/base.ckpt" in caught.value.message
    assert "--on" in caught.value.hint


@pytest.mark.parametrize(
    ("addon", "checkpoint"),
    [
        (lora(None), base("sd1")),
        (lora("sd1"), base(None)),
        (vae(None, "4-channel"), base("sdxl")),
    ],
)
def test_what_does_not_tell_for_which_model_it_is_may_be_tried(
    addon: Identity, checkpoint: Identity
) -> None:
    found = fits(addon, checkpoint)
    assert found.fits
    assert not found.certain


@pytest.mark.parametrize(
    ("addon", "checkpoint"),
    [
        (guessed(lora("sd2"), "architecture"), base("sd1")),
        (lora("sd2"), guessed(base("sd1"), "architecture")),
        (guessed(vae("sdxl", "4-channel"), "architecture"), base("sd1")),
        (lora("sd3", "3.5 medium"), base("sd3", "3.5 large")),
    ],
)
def test_a_guess_is_no_ground_to_refuse(addon: Identity, checkpoint: Identity) -> None:
    found = fits(addon, checkpoint)
    assert not found.fits
    assert not found.certain
    require_fit(Path("addon"), addon, Path("base"), checkpoint)


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        (ModelKind.CONTROLNET, "control image"),
        (ModelKind.T2I_ADAPTER, "control image"),
        (ModelKind.IP_ADAPTER, "image to take after"),
        (ModelKind.MOTION_MODULE, "videos"),
        (ModelKind.HYPERNETWORK, "not rendered"),
    ],
)
def test_what_needs_more_than_a_prompt_is_refused_with_what_it_needs(
    kind: ModelKind, needed: str
) -> None:
    addon = Identity(kind=kind, architecture="sd1")
    with pytest.raises(CannotRender, match=needed) as caught:
        require_fit(Path("control.pth"), addon, Path("base"), base("sd1"))
    assert "control.pth" in caught.value.message
    assert not isinstance(caught.value, AddonMisfit)


def test_a_control_lora_needs_a_control_image() -> None:
    addon = Identity(kind=ModelKind.LORA, architecture="flux", variants=("control",))
    assert "control image" in (needs_more_than_a_prompt(addon) or "")
    assert needs_more_than_a_prompt(lora("flux")) is None


def test_the_base_must_be_a_checkpoint() -> None:
    found = fits(lora("sd1"), vae("sd1"))
    assert not found.fits
    assert "no checkpoint but vae" in found.why
