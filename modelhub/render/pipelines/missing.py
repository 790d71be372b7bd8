"""What a model lacks to be rendered, and which file would supply it; without torch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from modelhub.errors import PartsMissing
from modelhub.formats.diffusers_names import Family, family_of, parts_of_checkpoint
from modelhub.formats.identity import Identity, ModelKind
from modelhub.formats.tensors import FileFormat, Header
from modelhub.render.pipelines.architectures import Needed, OtherPipeline, pipeline_for
from modelhub.render.pipelines.tokenizerplaces import tokenizer_beside, tokenizer_within
from modelhub.render.request import Recipe


@dataclass(frozen=True, slots=True)
class Missing:
    """A part that is in none of the files.

    :param part: by its name in a diffusers pipeline: ``text_encoder``.
    :param why: in words, after the file's name: ``it has no text encoder (CLIP-L)``.
    :param kind: of the file that would supply it; None where no single file does.
    :param fits: which architectures, editions or text encoders such a file may have, as
        identification names them; any of them.
    :param wanted: what the user can do: ``give one with --part text_encoder=FILE``.
    """

    part: str
    why: str
    kind: ModelKind | None
    fits: tuple[str, ...]
    wanted: str


STABLE_DIFFUSION = {"sd1": Family.SD1, "sd2": Family.SD2, "sdxl": Family.SDXL}
"""By architecture, the families whose pipelines are made here."""
_VAE = Needed("vae", "a VAE", ModelKind.VAE)
_UNET = Needed("unet", "a diffusion model", ModelKind.DIFFUSION_MODEL)
_CLIP_L = Needed("text_encoder", "the text encoder CLIP-L", ModelKind.TEXT_ENCODER, ("CLIP-L",))
_CLIP_H = Needed(
    "text_encoder", "the text encoder OpenCLIP-H", ModelKind.TEXT_ENCODER, ("OpenCLIP-H",)
)
_CLIP_G = Needed(
    "text_encoder_2", "the text encoder OpenCLIP-bigG", ModelKind.TEXT_ENCODER, ("OpenCLIP-bigG",)
)
_OF_FAMILY = {
    Family.SD1: (_UNET, _VAE, _CLIP_L),
    Family.SD2: (_UNET, _VAE, _CLIP_H),
    Family.SDXL: (_UNET, _VAE, _CLIP_L, _CLIP_G),
    Family.REFINER: (_UNET, _VAE, _CLIP_G),
}
_ARCHITECTURES = {
    Family.SD1: ("sd1", "sd2"),
    Family.SD2: ("sd2", "sd1"),
    Family.SDXL: ("sdxl",),
    Family.REFINER: ("sdxl",),
}


def missing_parts(
    header: Header,
    identity: Identity,
    recipe: Recipe | None = None,
    *,
    given: Collection[str] | None = None,
) -> tuple[Missing, ...]:
    """What the files of a recipe lack to make pictures; empty where nothing is.

    :param header: of the model.
    :param identity: of the same.
    :param recipe: its `vae` and `parts` count as given.
    :param given: the parts that are there, by their names in diffusers, where that is known.
    """
    family = _family(header, identity)
    if family is None:
        return _of_other(header, identity, recipe)
    there = set(_there(header) if given is None else given)
    if recipe is not None:
        there |= set(recipe.parts)
        if recipe.vae is not None:
            there.add("vae")
    return tuple(
        _missing(one, one.fits or _ARCHITECTURES[family])
        for one in _OF_FAMILY[family]
        if one.part not in there
    )


def in_words(missing: Collection[Missing]) -> str:
    """One sentence of all that is missing."""
    return "; ".join(one.why for one in missing)


def refusal(recipe: Recipe, missing: Collection[Missing]) -> PartsMissing:
    """The error of a recipe that lacks these parts."""
    return PartsMissing(
        f"{recipe.model} cannot be rendered: {in_words(missing)}",
        hint="; ".join(dict.fromkeys(one.wanted for one in missing)),
    )


def _missing(needed: Needed, fits: tuple[str, ...]) -> Missing:
    if needed.kind is None:
        wanted = (
            f"give its folder, or its tokenizer.json, with `--part {needed.part}=FOLDER`; that of "
            "a GGUF text encoder, of a ComfyUI around the library, of a folder of diffusers in it, "
            "or of the cache of Hugging Face is found by itself"
        )
    elif needed.part == "vae":
        wanted = "give a VAE with `--vae FILE`"
    else:
        wanted = f"give one with `--part {needed.part}=FILE`"
    if needed.usual:
        wanted = f"{wanted} (usually {needed.usual})"
    return Missing(needed.part, f"{needed.words} is missing", needed.kind, fits, wanted)


def _family(header: Header, identity: Identity) -> Family | None:
    """Which Stable Diffusion it is; None for every other model."""
    parts = parts_of_checkpoint(header.tensors)
    if identity.architecture not in (None, *STABLE_DIFFUSION):
        return None
    has_text = any(one.folder.startswith("text_encoder") for one in parts)
    if parts and (has_text or identity.architecture is None):
        return family_of(parts, header.tensors)
    family = STABLE_DIFFUSION.get(identity.architecture or "")
    if family is Family.SDXL and identity.edition == "refiner":
        return Family.REFINER
    return family


def _there(header: Header) -> set[str]:
    if header.format is FileFormat.DIFFUSERS:
        return {name.partition("/")[0] for name in header.tensors}
    parts = {one.folder for one in parts_of_checkpoint(header.tensors)}
    return {"unet"} if parts <= {""} else parts


def _of_other(header: Header, identity: Identity, recipe: Recipe | None) -> tuple[Missing, ...]:
    """Of the models whose transformer is published alone."""
    needed = pipeline_for(identity)
    if needed is None:
        return ()
    there = set() if recipe is None else _given(needed, recipe)
    names = header.tensors
    for one in needed.parts:
        prefixes = (*one.prefixes, f"{one.part}/")
        if any(name.startswith(prefixes) for name in names):
            there.add(one.part)
    return tuple(_missing(one, one.fits) for one in needed.parts if one.part not in there)


def _given(needed: OtherPipeline, recipe: Recipe) -> set[str]:
    """The parts that a recipe has beside its model."""
    there = set(recipe.parts)
    if recipe.vae is not None:
        there.add("vae")
    places = (recipe.model, *recipe.parts.values())
    for one in needed.parts:
        if one.kind is None and (
            tokenizer_beside(one.part, places) or tokenizer_within(one.part, recipe.parts)
        ):
            there.add(one.part)
    return there
