"""Small files of one model: embeddings under the name that programs read, and what is refused."""

from __future__ import annotations

from modelhub.convert.plan.draft import Draft
from modelhub.errors import ConversionRefused
from modelhub.formats.identity import ModelKind
from modelhub.formats.tensors import FileFormat

_PICKLED = frozenset({FileFormat.TORCH_ZIP, FileFormat.TORCH_LEGACY, FileFormat.PICKLE})

_REFUSED = {
    ModelKind.HYPERNETWORK: (
        "a hypernetwork: its layers are lists under the widths that they are for, and the only "
        "program that reads it, A1111's web UI, reads it from the .pt as it is"
    ),
    ModelKind.AESTHETIC_GRADIENT: (
        "an aesthetic gradient: one tensor without a name, which is only read from the .pt as it is"
    ),
    ModelKind.DETECTION: (
        "a detector: the programs that read it need the Python objects of its .pt, not the weights "
        "alone"
    ),
}
"""Kinds whose pickles hold more than names and tensors. Sources: AUTOMATIC1111/
stable-diffusion-webui modules/hypernetworks/hypernetwork.py (``Hypernetwork.load``);
vicgalle/stable-diffusion-aesthetic-gradients; ultralytics/ultralytics nn/tasks.py
(``attempt_load_one_weight``)."""

_LISTED = "string_to_param."
_VECTORS = "emb_params"


def refuse_unreadable(draft: Draft) -> None:
    """Refuse to make a file that no program would read.

    :raises ConversionRefused: with the reason.
    """
    kind = draft.identity.kind
    if kind in _REFUSED and draft.source.header.format in _PICKLED:
        raise ConversionRefused(
            f"{draft.source.path} is {_REFUSED[kind]}",
            hint="leave it as it is; `modelhub scan` tells whether it is safe",
        )


def name_embedding(draft: Draft) -> None:
    """Give an embedding of A1111's form the name that it has in safetensors: ``emb_params``.

    A file with several vectors for one encoder keeps its names: no program reads the others.
    Source: AUTOMATIC1111/stable-diffusion-webui modules/textual_inversion/textual_inversion.py
    (``create_embedding_from_data``), comfyanonymous/ComfyUI comfy/sd1_clip.py (``load_embed``).
    """
    if draft.identity.kind is not ModelKind.EMBEDDING:
        return
    listed = [one for one in draft.entries if one.name.startswith(_LISTED)]
    if len(listed) == 1 and _VECTORS not in draft.names():
        listed[0].name = _VECTORS
        draft.notices.append(f"the embedding's vectors are named {_VECTORS}")
