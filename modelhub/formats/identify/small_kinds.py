"""The small kinds of files: embeddings, hypernetworks, ControlNets, IP-Adapters, upscalers, ..."""

from __future__ import annotations

from modelhub.formats.identify.small.controls import identify_control
from modelhub.formats.identify.small.embeddings import identify_embedding
from modelhub.formats.identify.small.image_prompts import identify_image_prompt
from modelhub.formats.identify.small.others import identify_other
from modelhub.formats.identify.small.upscalers import identify_upscaler
from modelhub.formats.identity import Identity
from modelhub.formats.tensors import Header

_ALL = (
    identify_embedding,
    identify_control,
    identify_image_prompt,
    identify_upscaler,
    identify_other,
)


def identify_small(header: Header) -> Identity | None:
    """What the small file in `header` is, or None when it is none of them.

    Refuses by some hundred look-ups of exact names, however many tensors there are.
    """
    if not header.tensors:
        return None
    for identify in _ALL:
        found = identify(header)
        if found is not None:
            return found
    return None
