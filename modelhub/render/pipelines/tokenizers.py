"""Tokenizers: CLIP's of the files that come with modelhub, others of folders."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelhub.errors import CannotRender
from modelhub.formats.diffusers_config import tokenizer_files
from modelhub.render.pipelines.ggufvocabularies import tokenizer_of_gguf
from modelhub.render.pipelines.libraries import library


def clip_tokenizer(settings: Mapping[str, Any]) -> Any:
    """The tokenizer with these settings; the same object each time, so leave it as it is.

    :param settings: of its ``tokenizer_config.json``.
    """
    return _made(json.dumps(settings, sort_keys=True))


@functools.lru_cache(maxsize=4)
def _made(settings: str) -> Any:
    # Only of a folder do all versions of transformers make it alike.
    with tempfile.TemporaryDirectory(prefix="modelhub-tokenizer-") as name:
        folder = Path(name)
        for file, data in tokenizer_files().items():
            (folder / file).write_bytes(data)
        (folder / "tokenizer_config.json").write_text(settings, encoding="utf-8")
        kind = library("transformers").CLIPTokenizer
        return kind.from_pretrained(name, local_files_only=True)


def tokenizer_of_folder(folder: Path) -> Any:
    """Any tokenizer that lies in a folder; never one of a hub, and never code from the folder."""
    kind = library("transformers").AutoTokenizer
    return kind.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


_SPECIAL = {
    "pad_token": ("<pad>", "<|endoftext|>"),
    "eos_token": ("</s>", "<|im_end|>", "<eos>", "<|eot_id|>"),
}
"""Words of T5, Qwen, Gemma and Llama: no ``tokenizer_config.json``, and nothing tells their use."""


_TEMPLATES = {
    "ZImagePipeline": "{% for one in messages %}<|im_start|>{{ one['role'] }}\n{{ one['content'] }}"
    "<|im_end|>\n{% endfor %}{{ '<|im_start|>assistant\\n' }}",
    "Flux2KleinPipeline": "{% for one in messages %}<|im_start|>{{ one['role'] }}\n"
    "{{ one['content'] }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' }}",
    "Flux2Pipeline": "<s>{% for one in messages %}{% set text = one['content'][0]['text'] %}"
    "{% if one['role'] == 'system' %}[SYSTEM_PROMPT]{{ text }}[/SYSTEM_PROMPT]"
    "{% else %}[INST]{{ text }}[/INST]{% endif %}{% endfor %}",
}
"""What stands around a prompt, by the pipeline that asks its tokenizer for it: as
``Tongyi-MAI/Z-Image-Turbo`` ``tokenizer/tokenizer_config.json`` has it, and ComfyUI for FLUX.2
(``comfyanonymous/ComfyUI`` ``comfy/text_encoders/flux.py``). The tokenizer of Qwen 2.5, which has
the same words, has another. The end of a line that ends a template is not rendered: such an end
stands within an expression."""
_WORDS_OF_QWEN_2_5 = 151_665
_THINKING = ("<tool_response>", "</tool_response>", "<think>", "</think>")
"""The words that Qwen 3 has more than Qwen 2.5, in their order (``Qwen/Qwen3-4B``
``tokenizer_config.json``)."""


def tokenizer_at(place: Path, pipeline_class: str = "") -> Any:
    """The tokenizer of a folder, of a ``tokenizer.json`` alone, or of a GGUF file.

    :param pipeline_class: of diffusers, that will use it.
    :raises CannotRender: transformers can make none of it.
    """
    try:
        made = tokenizer_of_folder(place) if place.is_dir() else _of_file(place)
        _add_special(made)
        if pipeline_class == "Flux2KleinPipeline" and len(made) == _WORDS_OF_QWEN_2_5:
            made.add_tokens(list(_THINKING))
        if pipeline_class == "Flux2Pipeline":
            # As Mistral's class has it, which a tokenizer.json alone does not name.
            made.padding_side = "left"
        if pipeline_class in _TEMPLATES:
            made.chat_template = _TEMPLATES[pipeline_class]
        return made
    except Exception as error:  # transformers raises whatever its parsers do
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CannotRender(
            f"{place}: no tokenizer can be made of it: {lines[0][:200]}",
            hint="give a folder with tokenizer.json and tokenizer_config.json",
        ) from error


def _of_file(path: Path) -> Any:
    if path.suffix != ".json":
        return tokenizer_of_gguf(path)
    return library("transformers").PreTrainedTokenizerFast(tokenizer_file=str(path))


def _add_special(made: Any) -> None:
    known = made.get_vocab()
    special = {
        name: next((word for word in words if word in known), None)
        for name, words in _SPECIAL.items()
        if getattr(made, name) is None
    }
    made.add_special_tokens({name: word for name, word in special.items() if word is not None})
