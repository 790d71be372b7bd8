"""What the metadata of a file claim: of trainers, of merges, of GGUF and of diffusers.

Claims, not facts: a value may be wrong, or anything at all. Where the tensors say otherwise,
they are right; what only a name or a title says, is marked as a guess.

Sources: Stability-AI/ModelSpec (``modelspec.*``); kohya-ss/sd-scripts ``train_network.py``
(``ss_*``) and ``networks/lora.py`` (``sshs_*``); ggml-org/ggml ``docs/gguf.md``
(``general.*``); huggingface/diffusers (``_class_name``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from modelhub.formats.identify.metadata_words import (
    Named,
    adapter_named,
    architecture_named,
    family_named,
    variants_named,
)
from modelhub.formats.identify.training import said, training_of, trigger_words_of
from modelhub.formats.identity import Evidence, ModelKind


class MetadataFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the metadata of one file say. None, or empty, is "not said"."""

    architecture: str | None = None
    """As keyed by :attr:`modelhub.formats.identity.Identity.architecture`."""
    edition: str | None = None
    kind: ModelKind | None = None
    adapter: str | None = None
    family: str | None = None
    """``pony``, ``illustrious``, ``noobai``, ``animagine``."""
    variants: tuple[str, ...] = ()
    title: str | None = None
    author: str | None = None
    description: str | None = None
    trigger_words: tuple[str, ...] = ()
    prediction_type: str | None = None
    """``epsilon``, ``v``."""
    resolution: str | None = None
    """``512x512``."""
    rank: int | None = None
    training: Mapping[str, str] = {}
    """What a trainer left: ``base model``, ``network``, ``epochs``, ``images``, ..."""
    claims: Mapping[str, str] = {}
    """Hashes of the tensors that are claimed, by the name of the claim, in lower-case hex."""
    evidence: tuple[Evidence, ...] = ()
    """One for each field above; of the same field, the surest first."""


_NOTHING_SAID = MetadataFacts()
_ARCHITECTURES = (
    "modelspec.architecture",
    "ss_base_model_version",
    "general.architecture",
    "ss_base_model",
    "base_model",
)
"""Where an architecture is named, the most trustworthy first."""
_FAMILY_KEYS = (
    "ss_sd_model_name",
    "ss_base_model_version",
    "modelspec.merged_from",
    "modelspec.title",
    "ss_output_name",
)
_TITLES = ("modelspec.title", "general.name", "ss_output_name")
_CLAIMS = ("sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256")
_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{8,64})\Z")
_SIZE = re.compile(r"\s*\(?\s*(\d{2,5})\s*(?:[x×,*]\s*(\d{2,5}))?\s*,?\s*\)?\s*\Z")
_CLASSES: tuple[tuple[str, ModelKind], ...] = (
    ("ControlNet", ModelKind.CONTROLNET),
    ("T2IAdapter", ModelKind.T2I_ADAPTER),
    ("MotionAdapter", ModelKind.MOTION_MODULE),
    ("Autoencoder", ModelKind.VAE),
    ("Transformer", ModelKind.DIFFUSION_MODEL),
    ("UNet", ModelKind.DIFFUSION_MODEL),
    ("Pipeline", ModelKind.CHECKPOINT),
)
_LONG_TEXT = 4_000
_LONG_TITLE = 200


def read(metadata: Mapping[str, str]) -> MetadataFacts:
    """What `metadata` say; never raises, whatever the values are."""
    if not metadata:
        return _NOTHING_SAID
    named, source = _named(metadata)
    title = _first(metadata, _TITLES, _LONG_TITLE)
    prediction = _prediction(metadata)
    kind, kind_evidence = _kind(metadata, named, source)
    adapter, adapter_evidence = _adapter(metadata, named, source)
    family, family_evidence = _family(metadata, named, source)
    variants, variant_evidence = _variants(named, source, title, prediction)
    resolution, resolution_evidence = _resolution(metadata)
    words, word_evidence = _words(metadata)
    return MetadataFacts(
        architecture=named.architecture,
        edition=named.edition,
        kind=kind,
        adapter=adapter,
        family=family,
        variants=variants,
        title=title,
        author=_first(metadata, ("modelspec.author", "general.author"), _LONG_TITLE),
        description=_first(metadata, ("modelspec.description", "general.description"), _LONG_TEXT),
        trigger_words=words,
        prediction_type=prediction,
        resolution=resolution,
        rank=_rank(metadata),
        training=training_of(metadata),
        claims=_claims(metadata),
        evidence=(
            *_told("architecture", named.architecture, metadata, source),
            *_told("edition", named.edition, metadata, source),
            *kind_evidence,
            *adapter_evidence,
            *family_evidence,
            *variant_evidence,
            *resolution_evidence,
            *word_evidence,
        ),
    )


def _told(
    field: str, value: str | None, metadata: Mapping[str, str], source: str, certain: bool = True
) -> tuple[Evidence, ...]:
    """The evidence for a field that the metadata key `source` gives, if it does."""
    if value is None:
        return ()
    shown = said(metadata.get(source), 80)
    return (Evidence(field, value, f"metadata: {source} is {shown}", certain),)


def _first(metadata: Mapping[str, str], keys: tuple[str, ...], longest: int) -> str | None:
    for key in keys:
        if key in metadata and (text := said(metadata[key], longest)) is not None:
            return text
    return None


def _named(metadata: Mapping[str, str]) -> tuple[Named, str]:
    for key in _ARCHITECTURES:
        value = metadata.get(key)
        if value and (named := architecture_named(value)) is not None:
            return named, key
    return Named(None), ""


def _kind(
    metadata: Mapping[str, str], named: Named, source: str
) -> tuple[ModelKind | None, tuple[Evidence, ...]]:
    if named.kind is not None:
        return named.kind, _told("kind", named.kind, metadata, source)
    if metadata.get("ss_network_module", "None") != "None":
        return ModelKind.LORA, _told("kind", ModelKind.LORA, metadata, "ss_network_module")
    class_name = metadata.get("_class_name", "")
    for ending, kind in _CLASSES:
        if ending in class_name:
            return kind, _told("kind", kind, metadata, "_class_name")
    return None, ()


def _adapter(
    metadata: Mapping[str, str], named: Named, source: str
) -> tuple[str | None, tuple[Evidence, ...]]:
    if named.adapter is not None:
        return named.adapter, _told("adapter", named.adapter, metadata, source)
    module = metadata.get("ss_network_module")
    adapter = adapter_named(module, metadata.get("ss_network_args", "")) if module else None
    return adapter, _told("adapter", adapter, metadata, "ss_network_module")


def _family(
    metadata: Mapping[str, str], named: Named, source: str
) -> tuple[str | None, tuple[Evidence, ...]]:
    """The family of an SDXL model: a guess, unless its architecture is named by the family."""
    if named.architecture not in (None, "sdxl"):
        return None, ()
    if source == "modelspec.architecture" and (family := family_named(metadata[source])):
        return family, _told("family", family, metadata, source)
    for key in _FAMILY_KEYS:
        value = metadata.get(key)
        if value and (family := family_named(value[:_LONG_TITLE])) is not None:
            return family, _told("family", family, metadata, key, certain=False)
    return None, ()


def _prediction(metadata: Mapping[str, str]) -> str | None:
    text = metadata.get("modelspec.prediction_type") or metadata.get("ss_prediction_type")
    if not text:
        return None
    word = text[:40].strip().lower()
    if word in ("v", "v_prediction", "v-prediction", "vpred", "v-pred"):
        return "v"
    return "epsilon" if word in ("epsilon", "eps") else said(word)


def _variants(
    named: Named, source: str, title: str | None, prediction: str | None
) -> tuple[tuple[str, ...], tuple[Evidence, ...]]:
    evidence = [Evidence("variants", one, f"metadata: {source}") for one in named.variants]
    # Transformers of flow matching have other predictions, that are no variant.
    if prediction == "v" and named.architecture in (None, "sd1", "sd2", "sdxl"):
        because = "metadata: modelspec.prediction_type is v"
        evidence.append(Evidence("variants", "v-prediction", because))
    known = {one.value for one in evidence}
    for variant in variants_named(title) if title else ():
        if variant not in known:
            because = f"the title: {said(title, 80)}"
            evidence.append(Evidence("variants", variant, because, certain=False))
    return tuple(one.value for one in evidence), tuple(evidence)


def _resolution(metadata: Mapping[str, str]) -> tuple[str | None, tuple[Evidence, ...]]:
    for key in ("modelspec.resolution", "ss_resolution"):
        found = _SIZE.match(metadata.get(key, "")[:40])
        if found is not None:
            width = int(found[1])
            resolution = f"{width}x{int(found[2] or width)}"
            return resolution, _told("resolution", resolution, metadata, key)
    return None, ()


def _words(metadata: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[Evidence, ...]]:
    words, source = trigger_words_of(metadata)
    if not words:
        return (), ()
    shown = ", ".join(words[:3]) + (", ..." if len(words) > 3 else "")
    because = {
        "ss_tag_frequency": "metadata: at nearly all images by the trainer's count",
    }.get(source, f"metadata: {source}")
    return words, (Evidence("trigger_words", shown, because),)


def _rank(metadata: Mapping[str, str]) -> int | None:
    text = metadata.get("ss_network_dim", "")
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        return None
    return int(text) or None


def _claims(metadata: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key in _CLAIMS:
        if key in metadata and (match := _HEX.match(metadata[key])) is not None:
            found[key] = match[1].lower()
    return found
