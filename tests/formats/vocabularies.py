"""Vocabularies of a few hundred words, learned from sentences, and written into GGUF files."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelhub.formats.gguf_vocabulary import Kind
from tests.formats.written import GgufWriter

SENTENCES = (
    "a photo of a cat, sitting on the mat; it's 12:30!",
    "An astronaut rides a horse   through\tspace\n\nand far  beyond.",
    "Ein Käfer läuft über die Straße, ÜBERALL - naïve façade",
    "猫の写真と犬 и кошка на крыше, γάτα 고양이 قطة",
    "fire 🔥🔥 and 👩‍🚀 in 2024, they'll say: <tag> & [brackets] {curly}",
    "e\u0301te\u0301 in décor: ﬁne ligatures, Ｆｕｌｌ width, ½ of it",
    "",
    " leading and trailing ",
    "unseen: ᚠᛇᚻ ☃ zzzqqq 𝔘𝔫𝔦 \u200b\u00a0end",
)


@dataclass(slots=True)
class Words:
    """What goes into a GGUF file.

    :param kinds: of those tokens that are no normal ones.
    """

    model: str
    tokens: list[str]
    scores: Sequence[float] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)
    merges: Sequence[str] = ()
    charsmap: bytes = b""
    pre: str = "default"
    settings: Mapping[str, bool | int] = field(default_factory=dict)

    def write(self, writer: GgufWriter) -> GgufWriter:
        """Add all of it to a file."""
        prefix = "tokenizer.ggml."
        writer.string(f"{prefix}model", self.model).string(f"{prefix}pre", self.pre)
        writer.strings(f"{prefix}tokens", self.tokens)
        if self.scores:
            writer.numbers(f"{prefix}scores", "f", self.scores)
        kinds = [int(self.kinds.get(one, Kind.NORMAL)) for one in self.tokens]
        writer.numbers(f"{prefix}token_type", "i", kinds)
        if self.merges:
            writer.strings(f"{prefix}merges", self.merges)
        if self.charsmap:
            writer.numbers(f"{prefix}precompiled_charsmap", "B", self.charsmap)
        for key, value in self.settings.items():
            writer.scalar(f"{prefix}{key}", "?" if isinstance(value, bool) else "I", value)
        return writer


def charsmap(replaced: Mapping[str, str]) -> bytes:
    """SentencePiece's table of characters: each node of the tree has a block of its own."""
    texts, places = b"", {}
    for text in sorted(set(replaced.values())):
        places[text] = len(texts)
        texts += text.encode() + b"\0"
    tree: dict[bytes, set[int]] = {}
    for old in replaced:
        data = old.encode()
        for length in range(len(data)):
            tree.setdefault(data[:length], set()).add(data[length])
    blocks = {node: 256 * (1 + number) for number, node in enumerate(tree)}
    ends = {old.encode(): places[new] for old, new in replaced.items()}
    for end in ends:
        blocks.setdefault(end, 256 * (1 + len(blocks)))
    units = [0] * (256 * (1 + len(blocks)))
    where = {b"": 0}
    for node in sorted(blocks, key=len):
        at, base = where[node], blocks[node]
        units[at] |= (at ^ base) << 10 | (node in ends) << 8
        if node in ends:
            units[base] = 1 << 31 | ends[node]
        for byte in tree.get(node, ()):
            where[node + bytes([byte])] = base ^ byte
            units[base ^ byte] |= byte
    data = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(data)) + data + texts


def unigram() -> Words:
    """T5's kind."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    special = ["<pad>", "</s>", "<unk>"]
    made.train_from_iterator(
        SENTENCES[:6] * 20,
        trainers.UnigramTrainer(
            vocab_size=220, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    pieces = sorted(made.get_vocab().items(), key=lambda one: one[1])
    scores = dict(json.loads(made.to_str())["model"]["vocab"])
    tokens = [piece for piece, _ in pieces] + [f"[PAD{32000 + number}]" for number in range(128)]
    return Words(
        "t5",
        tokens,
        # Those of a file are in fp32.
        [struct.unpack("f", struct.pack("f", scores.get(one, -10000.0)))[0] for one in tokens],
        {"<pad>": Kind.CONTROL, "</s>": Kind.CONTROL, "<unk>": Kind.UNKNOWN},
        charsmap=charsmap({"ﬁ": "fi", "Ｆ": "F", "½": "1⁄2", "\u00a0": " ", "e\u0301": "é"}),
        settings={"eos_token_id": 1, "padding_token_id": 0, "add_eos_token": True,
                  "add_bos_token": False, "add_space_prefix": True},
    )  # fmt: skip


def bytewise() -> Words:
    """Qwen's kind."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.train_from_iterator(
        SENTENCES[:6] * 20,
        trainers.BpeTrainer(
            vocab_size=500,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokens = sorted(made.get_vocab(), key=made.get_vocab().__getitem__)
    merges = [" ".join(one) for one in json.loads(made.to_str())["model"]["merges"]]
    special = {"<|endoftext|>": Kind.CONTROL, "<|im_start|>": Kind.CONTROL,
               "<|im_end|>": Kind.CONTROL, "<think>": Kind.USER_DEFINED}  # fmt: skip
    fillers = {f"[PAD{number}]": Kind.UNUSED for number in range(600, 610)}
    ids = {"eos_token_id": len(tokens) + 2, "padding_token_id": len(tokens)}
    return Words(
        "gpt2",
        [*tokens, *special, *fillers],
        (),
        {**special, **fillers},
        merges,
        pre="qwen2",
        settings={**ids, "add_bos_token": False},
    )


def ranked() -> Words:
    """Gemma's kind."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    special = {"<pad>": Kind.CONTROL, "<eos>": Kind.CONTROL, "<bos>": Kind.CONTROL,
               "<unk>": Kind.UNKNOWN, "\n\n": Kind.USER_DEFINED, "▁▁": Kind.USER_DEFINED,
               "▁▁▁": Kind.USER_DEFINED, "<tag>": Kind.USER_DEFINED}  # fmt: skip
    raw = {f"<0x{byte:02X}>": Kind.BYTE for byte in range(256)}
    made.train_from_iterator(
        SENTENCES[:5] * 20, trainers.BpeTrainer(vocab_size=260, show_progress=False)
    )
    learned = sorted(made.get_vocab(), key=made.get_vocab().__getitem__)
    tokens = [*special, *raw, *(one for one in learned if one not in special)]
    kinds = {
        **raw,
        # Its converter writes true spaces into those of users.
        **{key.replace("▁", " "): kind for key, kind in special.items()},
    }
    spelled = [one.replace("▁", " ") if one in special else one for one in tokens]
    return Words(
        "llama",
        spelled,
        [-float(place) for place in range(len(tokens))],
        kinds,
        settings={"bos_token_id": 2, "eos_token_id": 1, "unknown_token_id": 3,
                  "padding_token_id": 0, "add_bos_token": True, "add_eos_token": False,
                  "add_space_prefix": False},
    )  # fmt: skip
