"""Another VAE in the place of the one that a checkpoint has, or in a checkpoint that has none."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from modelhub.convert.plan.draft import Draft, Entry, TensorSource, new_draft
from modelhub.convert.plan.ema import is_ema
from modelhub.convert.plan.extracting import VAE_PREFIXES
from modelhub.convert.plan.fixes import fix_names
from modelhub.convert.plan.pruning import is_loss
from modelhub.convert.plan.wording import shown, some
from modelhub.convert.planning import Reason
from modelhub.convert.values import Values
from modelhub.convert.views import Reshaped
from modelhub.errors import ConversionRefused, FormatError
from modelhub.formats.identify.parts import Role

_USUAL_PREFIX = "first_stage_model."
_UNET_OUT = "model.diffusion_model.out.2.weight"
_VAE_IN = "decoder.conv_in.weight"
_QUANT = ("quant_conv.", "post_quant_conv.")
_DIFFUSERS_SIGN = "decoder.mid_block.resnets.0.conv1.weight"
_LONGEST_NAME = 80


def bake_in(draft: Draft, vae: TensorSource) -> None:
    """Put the tensors of `vae` under the names of the checkpoint's own.

    :param vae: a VAE alone, or a checkpoint whose VAE is taken; named as CompVis or as diffusers.
    :raises ConversionRefused: the one is no checkpoint, the other has no VAE, or they do not fit.
    """
    if not any(one.role is Role.UNET and one.part for one in draft.entries):
        raise ConversionRefused(
            f"{draft.source.path} is no checkpoint: a VAE has no place in it",
            hint="give a file with a diffusion model and its prefixes",
        )
    tensors = vae_tensors(vae)
    old = [one for one in draft.entries if one.role is Role.VAE and not is_ema(one.name)]
    prefix = next((one.part for one in old), _USUAL_PREFIX)
    _refuse_other_latents(draft, tensors, vae)
    shapes = {one.name.removeprefix(prefix): one.values.shape for one in old}
    kept = _compare(shapes, tensors, vae)
    for name in sorted(kept):
        draft.notices.append(f"{shown(vae.path.name)} has no {name}: that of the checkpoint stays")
    draft.drop(
        lambda one: one.role is Role.VAE
        and one.name.removeprefix(prefix) not in kept,
        Reason.REPLACED,
    )  # fmt: skip
    for name, values in tensors.items():
        if values.shape != shapes.get(name, values.shape):
            values = Reshaped(values, shapes[name])
        draft.entries.append(
            Entry(name, prefix + name, values, values.dtype, Role.VAE, prefix, added=True)
        )
    draft.words.append(f"vae of {shown(vae.path.name, _LONGEST_NAME)}")


def vae_tensors(vae: TensorSource) -> Mapping[str, Values]:
    """The VAE of a source, named as in a file of its own, in the names of CompVis.

    :raises ConversionRefused: there is none.
    """
    draft = new_draft(vae)
    fix_names(draft)
    draft.look()
    found: dict[str, Values] = {}
    for one in draft.entries:
        if one.role is Role.VAE and not is_ema(one.name) and not is_loss(one.name):
            prefix = next((p for p in VAE_PREFIXES if one.name.startswith(p)), "")
            found[one.name.removeprefix(prefix)] = one.values
    if not found:
        raise ConversionRefused(
            f"{vae.path}: there is no VAE in it",
            hint="`modelhub inspect` shows which parts a file has",
        )
    return _in_compvis_names(found, vae) if _DIFFUSERS_SIGN in found else found


def _in_compvis_names(tensors: Mapping[str, Values], vae: TensorSource) -> Mapping[str, Values]:
    from modelhub.convert.diffusers import vae_in_original_names

    try:
        return vae_in_original_names(tensors)
    except FormatError as error:
        raise error.of(vae.path) from error


def _refuse_other_latents(
    draft: Draft, tensors: Mapping[str, Values], vae: TensorSource
) -> None:  # fmt: skip
    last = next((one for one in draft.entries if one.name == _UNET_OUT), None)
    first = tensors.get(_VAE_IN)
    if last is None or first is None or len(first.shape) != 4 or not last.values.shape:
        return
    made, read = last.values.shape[0], first.shape[1]
    if made != read:
        raise ConversionRefused(
            f"{vae.path} decodes {read} latent channels, and the diffusion model of "
            f"{draft.source.path.name} makes {made}",
            hint="take a VAE that was made for this architecture",
        )


def _compare(
    old: Mapping[str, tuple[int, ...]], new: Mapping[str, Values], vae: TensorSource
) -> set[str]:
    """The names of the `old` VAE that stay, since the new one lacks them and may.

    :raises ConversionRefused: the two are not of one architecture.
    """
    if not old:
        return set()
    missing = {name for name in old if name not in new and not is_loss(name)}
    kept = {name for name in missing if name.startswith(_QUANT)}
    strange = [*sorted(missing - kept), *(name for name in new if name not in old)]
    if strange:
        raise ConversionRefused(
            f"{vae.path} is a VAE of another architecture: it differs in {some(strange)}"
        )
    unequal = [name for name, values in new.items() if not _fits(values.shape, old[name])]
    if unequal:
        raise ConversionRefused(
            f"{vae.path} is a VAE of other widths: it differs in the shape of {some(unequal)}"
        )
    return kept


def _fits(new: tuple[int, ...], old: tuple[int, ...]) -> bool:
    """The same shape, or that of a linear layer for a convolution of one pixel."""
    return new == old or (prod(new) == prod(old) and _significant(new) == _significant(old))


def _significant(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
