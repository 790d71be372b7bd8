"""Prompts: their syntax, their length, the embeddings they name, and the tensors of all that.

Only :func:`embed` needs torch.
"""

from __future__ import annotations

from modelhub.render.prompts.encode import Embedded, can_embed, embed
from modelhub.render.prompts.syntax import Piece, parse_prompt, plain_text
from modelhub.render.prompts.tags import LoraTag, Tagged, with_words, without_tags
from modelhub.render.prompts.textual_inversion import Embedding, read_embedding

__all__ = [
    "Embedded",
    "Embedding",
    "LoraTag",
    "Piece",
    "Tagged",
    "can_embed",
    "embed",
    "parse_prompt",
    "plain_text",
    "read_embedding",
    "with_words",
    "without_tags",
]
