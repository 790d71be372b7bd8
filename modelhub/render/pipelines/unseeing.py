"""Qwen3-VL for a pipeline that could show it pictures, and shows it none.

``QwenImage21Pipeline`` of diffusers wants a whole ``Qwen3VLForConditionalGeneration`` and a
``Qwen3VLProcessor``, which needs further libraries for pictures and videos. Of a text alone, both
do what the text model and the tokenizer do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelhub.errors import CannotRender

_PIPELINE = "QwenImage21Pipeline"
_PICTURE = "<|image_pad|>"
"""The word in whose place a picture is: the pipeline looks for it in every text."""


class TextProcessor:
    """What a processor of Qwen3-VL is to a text alone.

    :param tokenizer: of Qwen.
    :raises CannotRender: it is that of another model.
    """

    def __init__(self, tokenizer: Any) -> None:
        if _PICTURE not in tokenizer.get_vocab():
            raise CannotRender(
                f"the tokenizer does not have the word {_PICTURE}: it is none of Qwen3-VL",
                hint="give the folder `processor` of Qwen-Image 2.1, or that of another Qwen",
            )
        self.tokenizer = tokenizer

    def __call__(self, text: Sequence[str], **options: Any) -> Any:
        """The numbers of the words of texts, as their tokenizer has them."""
        return self.tokenizer(list(text), **options)

    def apply_chat_template(
        self, messages: Sequence[Mapping[str, Any]], **_: Any
    ) -> list[list[int]]:
        """The words of one conversation, as ``Qwen/Qwen3-VL-8B-Instruct`` ``chat_template.json``
        puts them."""
        text = "".join(
            f"<|im_start|>{one['role']}\n"
            + "".join(part["text"] for part in one["content"])
            + "<|im_end|>\n"
            for one in messages
        )
        return [list(self.tokenizer(text, add_special_tokens=False).input_ids)]


def as_asked(pipeline_class: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a pipeline in the form that it asks for.

    :param pipeline_class: of diffusers.
    :param given: by the names of the parts.
    """
    if pipeline_class != _PIPELINE:
        return dict(given)
    encoder = given["text_encoder"]
    if not hasattr(encoder, "model"):
        encoder.__class__ = _itself_within(type(encoder))
    return {**given, "processor": TextProcessor(given["tokenizer"])}


def _itself_within(kind: type[Any]) -> type[Any]:
    """The class of a text model that is also asked for by the name it has in the whole model.

    Transformers knows by the full name of a class which layers' numbers it may give.
    """
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind,), {**names, "model": property(lambda self: self)})
