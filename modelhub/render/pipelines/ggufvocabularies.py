"""Tokenizers made of the vocabulary that a GGUF text encoder carries.

They are put together as the ones that the models were trained with: ``google/t5-v1_1-xxl``,
``Qwen/Qwen3-4B`` and ``google/gemma-2-2b`` ``tokenizer.json``. Source of what llama.cpp's converter
writes: ``ggml-org/llama.cpp`` ``convert_hf_to_gguf.py`` (``_set_vocab_sentencepiece``,
``_set_vocab_gpt2``, ``T5Model.set_vocab``).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.errors import FormatError
from modelhub.formats.gguf_vocabulary import Kind, Vocabulary, read_vocabulary
from modelhub.render.pipelines.libraries import library

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SPACE = "\u2581"
_LONGEST_TOKEN = 256
"""Letters; a longer one is no piece of text, and has too many ways to be cut in two."""
_MOST_MERGES = 4_000_000
"""Gemma 2 has some 600,000."""
_FILLER = re.compile(r"\[PAD[0-9]+\]")
_BLANKS = 100
"""``<extra_id_0>`` to ``<extra_id_99>`` of T5, which stand behind its words in reverse order."""
_QWEN_2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen 2 and 3 split a text; of ``Qwen/Qwen3-4B`` ``tokenizer.json``."""


def tokenizer_of_gguf(path: Path) -> Any:
    """The tokenizer of transformers that a GGUF file describes.

    :raises FormatError, FileUnreadable: as
        :func:`~modelhub.formats.gguf_vocabulary.read_vocabulary`; or it fits together with itself
        in no way.
    """
    made = built(read_vocabulary(path))
    return library("transformers").PreTrainedTokenizerFast(tokenizer_object=made)


def built(words: Vocabulary) -> Tokenizer:
    """The tokenizer of a vocabulary.

    :raises FormatError: merges are not of two tokens, or there are far too many.
    """
    make = {"t5": _likeliest, "llama": _merged_by_rank, "gpt2": _merged_bytes}[words.model]
    made = make(words)
    _add_special(made, words)
    _add_ends(made, words)
    return made


def _likeliest(words: Vocabulary) -> Tokenizer:
    """SentencePiece's Unigram: T5."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    pieces = list(_scored(words))
    unknown = next((id_ for id_, kind in enumerate(words.kinds) if kind == Kind.UNKNOWN), None)
    with_bytes = Kind.BYTE in words.kinds
    made = Tokenizer(models.Unigram(pieces, unk_id=unknown, byte_fallback=with_bytes))
    if words.charsmap:
        made.normalizer = normalizers.Precompiled(words.charsmap)
    ahead = "always" if words.flag("add_space_prefix", default=True) else "never"
    spaces = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme=ahead)
    if words.flag("remove_extra_whitespaces", default=True):
        made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), spaces])
    else:
        made.pre_tokenizer = spaces
    made.decoder = decoders.Metaspace(replacement=_SPACE, prepend_scheme=ahead)
    return made


def _true_words(words: Vocabulary) -> int:
    """How many there are without those that fill the vocabulary up to the model's size."""
    count = len(words.tokens)
    while count and _FILLER.fullmatch(words.tokens[count - 1]):
        count -= 1
    return count


def _scored(words: Vocabulary) -> Iterator[tuple[str, float]]:
    """The words with their scores, without what only fills the vocabulary up."""
    count = _true_words(words)
    yield from zip(_spelled(words)[:count], words.scores or [0.0] * count, strict=False)
    if "<extra_id_0>" in words.tokens:  # UMT5 has them among its words
        return
    for number in range(_BLANKS - 1, _BLANKS - 1 - min(_BLANKS, len(words.tokens) - count), -1):
        yield f"<extra_id_{number}>", 0.0


def _merged_by_rank(words: Vocabulary) -> Tokenizer:
    """SentencePiece's BPE, which names no merges: Gemma, Llama."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    tokens = _spelled(words)
    known = {token: id_ for id_, token in enumerate(tokens)}
    unknown = next((token for token, kind in zip(tokens, words.kinds, strict=True)
                    if kind == Kind.UNKNOWN), None)  # fmt: skip
    merges = list(islice(_merges(tokens, words.kinds, known), _MOST_MERGES + 1))
    if len(merges) > _MOST_MERGES:
        raise FormatError("its tokens can be put together in too many ways", hint="")
    made = Tokenizer(
        models.BPE(
            vocab=known,
            merges=merges,
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=Kind.BYTE in words.kinds,
        )
    )
    steps: list[Any] = [normalizers.Replace(" ", _SPACE)]
    if words.flag("add_space_prefix", default=True):
        steps.insert(0, normalizers.Prepend(_SPACE))
    made.normalizer = normalizers.Sequence(steps)
    made.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return made


def _spelled(words: Vocabulary) -> list[str]:
    """The tokens of SentencePiece; those of users are written with true spaces."""
    return [
        token.replace(" ", _SPACE) if kind == Kind.USER_DEFINED else token
        for token, kind in zip(words.tokens, words.kinds, strict=True)
    ]


def _merges(
    tokens: list[str], kinds: list[int], known: Container[str]
) -> Iterator[tuple[str, str]]:
    """Every way to make a token of two: the tokens were learned in the order of their ids."""
    for token, kind in zip(tokens, kinds, strict=True):
        if kind not in (Kind.NORMAL, Kind.USER_DEFINED) or len(token) > _LONGEST_TOKEN:
            continue
        for cut in range(len(token) - 1, 0, -1):
            left, right = token[:cut], token[cut:]
            if left in known and right in known:
                yield left, right


def _merged_bytes(words: Vocabulary) -> Tokenizer:
    """BPE of bytes: Qwen."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    merges = []
    for one in words.merges:
        left, space, right = one.partition(" ")
        if not (left and space and right) or " " in right:
            raise FormatError("it has merges that are not of two tokens", hint="")
        merges.append((left, right))
    known = {token: id_ for id_, token in enumerate(words.tokens[: _true_words(words)])}
    made = Tokenizer(models.BPE(vocab=known, merges=merges))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_2), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    return made


def _add_special(made: Tokenizer, words: Vocabulary) -> None:
    """What stays whole wherever it stands in a text."""
    from tokenizers import AddedToken

    bytewise = words.model == "gpt2"
    tokens = words.tokens if bytewise else _spelled(words)
    special = [
        AddedToken(token, normalized=False, special=True)
        for token, kind in zip(tokens, words.kinds, strict=True)
        if kind == Kind.CONTROL or (kind == Kind.UNKNOWN and not bytewise)
    ]
    if words.model == "t5":
        blanks = (f"<extra_id_{number}>" for number in range(_BLANKS))
        special += [
            AddedToken(token, normalized=False, special=True)
            for token in blanks
            if made.token_to_id(token) is not None
        ]
    made.add_special_tokens(special)
    made.add_tokens(
        [
            # SentencePiece looks for those of users in what it has normalised.
            AddedToken(token, normalized=not bytewise, special=False)
            for token, kind in zip(tokens, words.kinds, strict=True)
            if kind == Kind.USER_DEFINED
        ]
    )


def _add_ends(made: Tokenizer, words: Vocabulary) -> None:
    """What is put before and behind every text."""
    from tokenizers import processors

    first, last = words.token("bos_token_id"), words.token("eos_token_id")
    if not words.flag("add_bos_token", default=words.model == "llama"):
        first = None
    if not words.flag("add_eos_token", default=words.model == "t5"):
        last = None
    before, behind = ([] if one is None else [one] for one in (first, last))
    if before or behind:
        single = [*(token for token, _ in before), "$A", *(token for token, _ in behind)]
        made.post_processor = processors.TemplateProcessing(
            single=single, special_tokens=[*before, *behind]
        )
