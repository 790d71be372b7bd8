"""The metadata of a result: what its source said, as far as it still holds, and where it is from.

``modelhub.*`` are modelhub's own; ``modelspec.*`` are those of Stability-AI/ModelSpec (README.md,
version 1.0.0): its four MUST keys are written together, or none of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from modelhub import __version__
from modelhub.convert.options import Target
from modelhub.convert.planning import Plan
from modelhub.formats.identity import Identity, ModelKind
from modelhub.formats.tensors import FileFormat, Header

SOURCE: Final = "modelhub.source_sha256"
"""SHA256 of the file that a result was made of, in lower-case hex."""
ORIGIN: Final = "modelhub.origin_sha256"
"""The same of the first file of a row of conversions."""
OPERATION: Final = "modelhub.operation"
VERSION: Final = "modelhub.version"

_SPEC = "modelspec.sai_model_spec"
_ARCHITECTURE = "modelspec.architecture"
_IMPLEMENTATION = "modelspec.implementation"
_TITLE = "modelspec.title"
_PREDICTION = "modelspec.prediction_type"

_STALE_BEGINNINGS = ("modelspec.hash_",)
_STALE = frozenset(
    {
        "sshs_model_hash", "sshs_legacy_hash", "modelspec.dtype", "modelspec.unet_dtype",
        "modelspec.vae_dtype", "format", SOURCE, OPERATION, VERSION,
    }
)  # fmt: skip
"""What the source said of its own bytes: no longer true of other bytes. (``sshs_*``:
kohya-ss/sd-scripts library/train_util.py.)"""
_OF_THE_WHOLE = frozenset({_SPEC, _ARCHITECTURE, _IMPLEMENTATION, "modelspec.thumbnail"})

_LONGEST_KEY = 200
_LONGEST_SCALAR = 1_000
"""Of a value that stood beside the tensors of a torch file: a counter, a name."""
_MOST_BYTES = 16 << 20
"""Of all metadata together; a header of safetensors may have 100 MB."""

_IDS = {
    ("sd1", ""): "stable-diffusion-v1",
    ("sd2", "512-base"): "stable-diffusion-v2-512",
    ("sd2", "768-v"): "stable-diffusion-v2-768-v",
    ("sdxl", "base"): "stable-diffusion-xl-v1-base",
    ("sdxl", "refiner"): "stable-diffusion-xl-v1-refiner",
    ("sd3", "medium"): "stable-diffusion-3-medium",
    ("flux", "dev"): "flux-1-dev",
    ("flux", "schnell"): "flux-1-schnell",
}
"""ModelSpec's names of architectures; those after SDXL are of kohya-ss/sd-scripts
library/sai_model_spec.py and mcmonkeyprojects/SwarmUI src/Text2Image/T2IModelClassSorter.cs."""
_SUFFIXES = {
    ModelKind.CHECKPOINT: "",
    ModelKind.DIFFUSION_MODEL: "",
    ModelKind.VAE: "/vae",
    ModelKind.LORA: "/lora",
    ModelKind.EMBEDDING: "/textual-inversion",
    ModelKind.CONTROLNET: "/controlnet",
}
_IMPLEMENTATIONS = {
    "sd1": "https://github.com/Stability-AI/generative-models",
    "sd2": "https://github.com/Stability-AI/generative-models",
    "sdxl": "https://github.com/Stability-AI/generative-models",
    "sd3": "https://github.com/Stability-AI/generative-models",
    "flux": "https://github.com/black-forest-labs/flux",
}


def kept_metadata(header: Header, *, extracted: bool) -> dict[str, str]:
    """What is kept of the metadata of a source.

    :param extracted: the result is one part only, of which the names of the whole do not hold.
    """
    if header.format is FileFormat.DIFFUSERS:
        # Its settings are of diffusers alone, but for what every sampler has to know.
        v = header.metadata.get("scheduler/prediction_type") == "v_prediction"
        return {_PREDICTION: "v"} if v else {}
    longest = _MOST_BYTES if header.format is FileFormat.SAFETENSORS else _LONGEST_SCALAR
    kept: dict[str, str] = {}
    size = 0
    for key, value in header.metadata.items():
        if (
            key in _STALE
            or key.startswith(_STALE_BEGINNINGS)
            or (extracted and key in _OF_THE_WHOLE)
            or len(key) > _LONGEST_KEY
            or len(value) > longest
        ):
            continue
        size += len(key.encode()) + len(value.encode())
        if size > _MOST_BYTES:
            break
        kept[key] = value
    return kept


def provenance(
    source_sha256: str | None,
    operation: str,
    metadata: Mapping[str, str],
    identity: Identity,
    *,
    title: str = "",
    target: Target = Target.SAFETENSORS,
) -> dict[str, str]:
    """The keys that tell where a result is from and what it is, to be put over its metadata.

    :param source_sha256: of the source, where it is known.
    :param metadata: what is kept of the source's; a ``modelspec`` that is whole stays.
    :param identity: of the result.
    :param title: where neither metadata nor identity have one: the name of the file.
    """
    keys = {OPERATION: operation, VERSION: __version__, "format": "pt"}
    if source_sha256 is not None:
        keys[SOURCE] = source_sha256
        keys[ORIGIN] = metadata.get(ORIGIN) or source_sha256
    if _SPEC not in metadata:
        keys |= _specified(metadata, identity, title, target)
    return keys


def _specified(
    metadata: Mapping[str, str], identity: Identity, title: str, target: Target
) -> dict[str, str]:
    architecture = metadata.get(_ARCHITECTURE) or architecture_id(identity)
    title = metadata.get(_TITLE) or identity.title or title
    if architecture is None or not title:
        return {}
    implementation = _IMPLEMENTATIONS.get(identity.architecture or "", "diffusers")
    keys = {
        _SPEC: "1.0.0",
        _ARCHITECTURE: architecture,
        _IMPLEMENTATION: "diffusers" if target is Target.DIFFUSERS else implementation,
        _TITLE: title[:_LONGEST_SCALAR],
    }
    if identity.resolution and "modelspec.resolution" not in metadata:
        keys["modelspec.resolution"] = identity.resolution
    if "v-prediction" in identity.variants and _PREDICTION not in metadata:
        keys[_PREDICTION] = "v"
    return keys


def architecture_id(identity: Identity) -> str | None:
    """ModelSpec's name of an architecture, where it has one."""
    suffix = _SUFFIXES.get(identity.kind) if identity.kind is not None else None
    if suffix is None or identity.architecture is None:
        return None
    architecture, edition = identity.architecture, identity.edition or ""
    name = _IDS.get((architecture, edition)) or _IDS.get((architecture, ""))
    if name is None and architecture == "sdxl" and suffix:
        name = _IDS["sdxl", "base"]
    return name + suffix if name is not None else None


def of_whole(part: Identity, whole: Identity) -> dict[str, str]:
    """What a part does not tell of itself: the architecture that it was taken from.

    :param part: the identity of a part, as its own tensors tell it.
    :param whole: that of the file that it came out of.
    """
    if part.architecture is not None or whole.kind is not ModelKind.CHECKPOINT:
        return {}
    taken = replace(whole, kind=part.kind)
    architecture = architecture_id(taken)
    return {_ARCHITECTURE: architecture} if architecture is not None else {}


def with_provenance(plan: Plan, source_sha256: str | None, *, title: str = "") -> Plan:
    """The same plan, its metadata completed by :func:`provenance`.

    :param title: the name of the source's file, without its suffix.
    """
    keys = provenance(
        source_sha256, plan.operation, plan.metadata, plan.identity, title=title, target=plan.target
    )
    return dataclasses.replace(plan, metadata={**plan.metadata, **keys})
