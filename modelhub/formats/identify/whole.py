"""What a whole file is: its parts put together, from the most certain evidence to the least."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from modelhub.formats.identify import precision
from modelhub.formats.identify.components import Component, find
from modelhub.formats.identify.engine import Findings, View
from modelhub.formats.identify.parts import Part, Role, parts_of
from modelhub.formats.identify.precision import Packing
from modelhub.formats.identify.rules import diffusion, text_encoders, unets, vaes
from modelhub.formats.identity import ModelKind
from modelhub.formats.tensors import FileFormat, Header

_TRAINING = frozenset({"optimizer_states", "lr_schedulers", "callbacks", "loops"})
"""What a training checkpoint keeps beside its ``state_dict`` (Lightning-AI/pytorch-lightning)."""

_A_PART = 1_000
"""Fewer numbers beside the parts of a checkpoint are marks and counters, not weights."""

_KINDS = {
    Role.UNET: ModelKind.DIFFUSION_MODEL,
    Role.VAE: ModelKind.VAE,
    Role.TEXT_ENCODER: ModelKind.TEXT_ENCODER,
    Role.IMAGE_ENCODER: ModelKind.CLIP_VISION,
}


def describe(header: Header) -> Findings:
    """What the tensors of a checkpoint or of one component say; nothing, where they say nothing."""
    findings = Findings()
    parts = parts_of(header.tensors, folders=header.format is FileFormat.DIFFUSERS)
    components = _components(header, parts)
    unnamed = _unnamed_diffusion_model(parts, components)
    if not components and unnamed is None:
        return findings
    _kind(findings, components, unnamed)
    _name_components(findings, components)
    _ema(findings, header, parts, components.values())
    _vae(findings, components)
    _precision(findings, header, parts)
    return findings


def _components(header: Header, parts: Sequence[Part]) -> dict[str, Component]:
    """The components that were told, by the prefix of their part; a bare one adds its role."""
    found: dict[str, Component] = {}
    for part in parts:
        if part.role in _KINDS:
            component = _component(header, part)
            if component is not None:
                found[part.prefix] = component
    bare = next((part for part in parts if part.role in {Role.BARE, Role.EMA}), None)
    if bare is not None and not any(one.role is Role.UNET for one in found.values()):
        component = find(View(header.tensors), *_KINDS)
        if component is not None:
            found[bare.prefix] = component
            bare.role = component.role
    return found


def _component(header: Header, part: Part) -> Component | None:
    view = View(header.tensors, part.prefix)
    if part.role is Role.TEXT_ENCODER:
        found = find(view, Role.TEXT_ENCODER, Role.IMAGE_ENCODER)
    else:
        found = find(view, part.role)
    if found is not None:
        part.role = found.role
    return found


def _unnamed_diffusion_model(
    parts: Sequence[Part], components: Mapping[str, Component]
) -> Part | None:
    """Weights where a diffusion model belongs, and of no architecture that we know."""
    if any(one.role is Role.UNET for one in components.values()):
        return None
    return next((part for part in parts if part.role is Role.UNET and part.count > 2), None)


def _kind(findings: Findings, components: dict[str, Component], unnamed: Part | None) -> None:
    roles = [one.role for one in components.values()]
    if unnamed is not None:
        beside = [role.value for role in _KINDS if role in roles]
        kind = ModelKind.CHECKPOINT if beside else ModelKind.DIFFUSION_MODEL
        what = f"{unnamed.count} tensors under {unnamed.prefix}"
        findings.say("kind", kind, ", ".join([what, *beside]))
        return
    if Role.UNET in roles and (Role.VAE in roles or Role.TEXT_ENCODER in roles):
        inside = [role.value for role in _KINDS if role in roles]
        findings.say("kind", ModelKind.CHECKPOINT, f"{', '.join(inside)} in one file")
        return
    role = next(role for role in _KINDS if role in roles)
    one = next(one for one in components.values() if one.role is role)
    alone = "" if len(components) > 1 else f"only {_article(role)}: "
    findings.say("kind", _KINDS[role], alone + one.reason)


def _article(role: Role) -> str:
    return {Role.UNET: "a diffusion model", Role.VAE: "a VAE"}.get(role, f"a {role}")


def _name_components(findings: Findings, components: dict[str, Component]) -> None:
    for one in components.values():
        if one.role is Role.UNET and findings.get("architecture") is None:
            _diffusion(findings, one)
    encoders = [one for one in components.values() if one.role is Role.TEXT_ENCODER]
    # In the order of the table, in whatever order the file has them.
    for one in sorted(encoders, key=lambda one: text_encoders.TEXT_ENCODERS.index(one.rule)):
        findings.add("text_encoders", one.rule.value, one.reason)
    kind = findings.get("kind")
    if kind is ModelKind.VAE:
        _vae_alone(findings, components)
    elif kind is ModelKind.CLIP_VISION:
        one = next(one for one in components.values() if one.role is Role.IMAGE_ENCODER)
        findings.say("edition", one.rule.value, one.reason)


def _vae_alone(findings: Findings, components: dict[str, Component]) -> None:
    one = next(one for one in components.values() if one.role is Role.VAE)
    findings.say("edition", one.rule.value, one.reason)
    sure = one.view.first(vaes.ARCHITECTURES)
    if sure is not None:
        findings.say("architecture", sure.value, one.view.reason(sure))
        return
    likely = one.view.first(vaes.LIKELY)
    if likely is not None:
        findings.say("architecture", likely.value, one.view.reason(likely), certain=False)


def _diffusion(findings: Findings, one: Component) -> None:
    architecture = one.rule.value
    findings.say("architecture", architecture, one.reason)
    top = View(one.view.tensors)
    marked = top.first(diffusion.MARKED_EDITIONS.get(architecture, ()))
    edition = one.view.first(diffusion.EDITIONS.get(architecture, ()))
    if marked is not None:
        findings.say("edition", marked.value, top.reason(marked))
    elif edition is not None:
        findings.say("edition", edition.value, one.view.reason(edition))
    for variant in one.view.all(diffusion.VARIANTS.get(architecture, ())):
        findings.add("variants", variant.value, one.view.reason(variant))
    for mark in top.all(diffusion.MARKS):
        findings.add("variants", mark.value, top.reason(mark))


def _ema(
    findings: Findings,
    header: Header,
    parts: Sequence[Part],
    components: Iterable[Component],
) -> None:
    ema = next((part for part in parts if part.role is Role.EMA and part.count > 2), None)
    training = sorted(_TRAINING.intersection(header.extras))
    whole = findings.get("kind") is ModelKind.CHECKPOINT
    copy = next((one for one in components if one.rule in unets.EMA_COPIES), None)
    if copy is not None:
        findings.say("ema", True, copy.reason)
        return
    if ema is not None:
        findings.say("ema", True, f"{ema.count} tensors under {ema.prefix}")
    elif whole:
        findings.say("ema", False, "no tensors under model_ema.")
    if training:
        findings.say("pruned", False, f"training state: {', '.join(training)}")
    elif ema is not None:
        findings.say("pruned", False, "has an EMA copy beside the weights")
    elif whole:
        findings.say("pruned", True, "no EMA copy, no training state")


def _vae(findings: Findings, components: dict[str, Component]) -> None:
    if findings.get("kind") is not ModelKind.CHECKPOINT:
        return
    vae = next((one for one in components.values() if one.role is Role.VAE), None)
    if vae is None:
        findings.say("vae", False, "no tensors of a VAE")
    else:
        findings.say("vae", True, vae.reason)


def _precision(findings: Findings, header: Header, parts: Sequence[Part]) -> None:
    by_role: dict[str, str] = {}
    total = 0
    gguf = header.format is FileFormat.GGUF
    for role in Role:
        these = [part for part in parts if part.role is role]
        numbers = precision.together(these)
        if not numbers or role is Role.SCHEDULE:
            continue
        if role is Role.BARE and by_role and sum(numbers.values()) < _A_PART:
            continue
        packed = _packing(header, these, numbers)
        found = precision.majority(numbers, packed, mixed=not gguf)
        if found is None:
            continue
        by_role[role.value] = found[0]
        findings.note("precisions", f"{role.value}: {found[0]}", found[1])
        if role is not Role.EMA:
            total += precision.parameters(numbers, packed)
    findings.fields["precisions"] = by_role
    # The precision of a file is that of what it is for: people who ask for fp16 mean the UNet.
    main = next((role.value for role in Role if role.value in by_role), None)
    named = precision.file_type(header.metadata) if gguf else None
    if named is not None:
        findings.say("precision", named, "metadata: general.file_type")
    elif main is not None:
        findings.say("precision", by_role[main], f"of the {main}: {_because(findings, main)}")
    findings.say("parameters", total, "numbers of all parts but EMA copies and schedules")


def _packing(header: Header, parts: Sequence[Part], numbers: Mapping[str, int]) -> Packing | None:
    if precision.BYTES.isdisjoint(numbers):
        return None
    return precision.packing(header.tensors, tuple(part.prefix for part in parts))


def _because(findings: Findings, role: str) -> str:
    start = f"{role}: "
    return next(
        one.because
        for one in findings.evidence
        if one.field == "precisions" and one.value.startswith(start)
    )
