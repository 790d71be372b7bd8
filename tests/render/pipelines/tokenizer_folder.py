"""A tokenizer of a few words, as T5's is laid out, and of one that Qwen3-VL's has."""

from __future__ import annotations

import json
from pathlib import Path

_WORDS = ("<pad>", "</s>", "<unk>", "a", "photo", "of", "cat", "dog")


def write_tokenizer(folder: Path) -> Path:
    """``tokenizer.json`` and ``tokenizer_config.json``; the end of the text is added."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(_WORDS)}, unk_token="<unk>")
    )
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    made.add_special_tokens(["<|image_pad|>"])
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "chat_template": "{% for one in messages %}{{ one['content'] }}{% endfor %}",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
