"""Textual-inversion embeddings: vectors that stand for a word in a text encoder.

Sources: AUTOMATIC1111/stable-diffusion-webui ``modules/textual_inversion/textual_inversion.py``
(``string_to_param``, ``emb_params``, ``clip_g``); oss-roettger/XL-Textual-Inversion (``emb2``);
huggingface/diffusers
``loaders/textual_inversion.py`` (one tensor under the token); comfyanonymous/ComfyUI
``comfy/sd1_clip.py`` (``load_embed``); kohya-ss/sd-scripts ``train_textual_inversion.py``.
"""

from __future__ import annotations

from modelhub.formats.identify.measures import measure
from modelhub.formats.identity import Evidence, Identity, ModelKind
from modelhub.formats.tensors import Header, Tensor

_WIDTHS: dict[int, tuple[str, str]] = {
    768: ("sd1", "CLIP-L"),
    1024: ("sd2", "OpenCLIP-H"),
    1280: ("sdxl", "OpenCLIP-bigG"),
    4096: ("flux", "T5-XXL"),
}
"""By the width of a vector: the architecture, and the text encoder that reads it."""
_ENCODERS = {"clip_l": "CLIP-L", "clip_g": "OpenCLIP-bigG", "t5xxl": "T5-XXL"}
_NAMED = frozenset(("emb_params", "*", "emb", "emb2", *_ENCODERS))
_BARE = frozenset(("", "tensor"))
"""What a file is called by that is one tensor, and no dictionary of tensors."""
_PARAMETERS = frozenset(("weight", "bias"))
"""What a tensor of one layer is called, and no word."""
_MOST_TENSORS = 64
_MOST_VECTORS = 4096


def identify_embedding(header: Header) -> Identity | None:
    """The embedding in `header`, or None when it is none.

    A tensor alone in its file is an embedding whatever its name, since diffusers names it by its
    word: by its name alone that is a guess.
    """
    tensors = header.tensors
    if len(tensors) > _MOST_TENSORS:
        return None
    found = [name for name, tensor in tensors.items() if _is_vectors(tensor)]
    if not found or len(found) < len(tensors) - 1:
        return None
    certain = all(name in _NAMED or name[:16] == "string_to_param." or name[:1] == "<"
                  for name in found)  # fmt: skip
    name = found[0]
    if not certain and (len(tensors) > 1 or "." in name or name in _PARAMETERS):
        return None
    if name in _BARE:
        return _aesthetic_gradient(header, name)
    return _embedding(header, name, _encoders(header, found), certain)


def _is_vectors(tensor: Tensor) -> bool:
    shape = tensor.shape
    if not 1 <= len(shape) <= 2 or shape[-1] not in _WIDTHS:
        return False
    return len(shape) == 1 or shape[0] <= _MOST_VECTORS


def _encoders(header: Header, found: list[str]) -> tuple[str, ...]:
    named = tuple(encoder for name, encoder in _ENCODERS.items() if name in found)
    widths = (header.tensors[name].shape[-1] for name in found)
    return named or tuple(dict.fromkeys(_WIDTHS[width][1] for width in widths))


def _embedding(header: Header, name: str, encoders: tuple[str, ...], certain: bool) -> Identity:
    shape = header.tensors[name].shape
    if "OpenCLIP-bigG" in encoders:
        architecture = "sdxl"
        because = f"vectors for {' and '.join(encoders)}"
    else:
        architecture = _WIDTHS[shape[-1]][0]
        because = f"vectors of width {shape[-1]} ({name})"
    count = shape[0] if len(shape) == 2 else 1
    size = measure(header)
    kind = f"{count} vector{'s' if count != 1 else ''} for a text encoder ({name})"
    evidence = [
        Evidence("kind", ModelKind.EMBEDDING, kind, certain),
        # Flux and SD 3 read CLIP-L and T5 as well.
        Evidence("architecture", architecture, because, certain and architecture != "flux"),
        *(Evidence("text_encoders", encoder, because, certain) for encoder in encoders),
    ]
    evidence += size.evidence()
    return Identity(
        kind=ModelKind.EMBEDDING,
        architecture=architecture,
        precision=size.precision,
        parameters=size.parameters,
        text_encoders=encoders,
        evidence=tuple(evidence),
    )


def _aesthetic_gradient(header: Header, name: str) -> Identity | None:
    """One vector of a CLIP and nothing else: the mean of the images that somebody liked.

    Source: vicgalle/stable-diffusion-aesthetic-gradients ``gen_aesthetic_embeddings.py``.
    """
    shape = header.tensors[name].shape
    if shape not in ((1, 768), (768,), (1, 1024), (1, 1280)):
        return None
    size = measure(header)
    architecture = _WIDTHS[shape[-1]][0]
    because = f"one vector of width {shape[-1]}, without a name"
    return Identity(
        kind=ModelKind.AESTHETIC_GRADIENT,
        architecture=architecture,
        precision=size.precision,
        parameters=size.parameters,
        evidence=(
            Evidence("kind", ModelKind.AESTHETIC_GRADIENT, because),
            Evidence("architecture", architecture, because),
            *size.evidence(),
        ),
    )
