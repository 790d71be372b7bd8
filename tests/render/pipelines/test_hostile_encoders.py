"""Text encoders of GGUF files that are made to mislead: refused in words, whatever they hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modelhub.convert.values import Planned, Values
from modelhub.errors import CannotRender, FormatError
from modelhub.formats.gguf_vocabulary import Kind
from modelhub.render.pipelines.flow.encoders import encoder_of
from modelhub.render.pipelines.tokenizers import tokenizer_at
from tests.formats.vocabularies import Words
from tests.formats.written import GgufWriter


class _Shape(Values):
    """Values of which nobody asks but the shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.dtype, self.shape = "F32", shape

    def pieces(self) -> Iterator[bytes | memoryview]:
        raise AssertionError("values were read")


_LAYERS = st.sampled_from(
    ("token_embd", "output_norm", "enc.output_norm", "output", "attn_q", "attn_k", "attn_norm",
     "attn_rel_b", "attn_q_norm", "ffn_gate", "ffn_up", "ffn_norm", "post_ffw_norm", "")
)  # fmt: skip
_BLOCKS = st.sampled_from(
    ("", "blk.0.", "blk.1.", "blk.99999.", "enc.blk.0.", "enc.blk.٣.", "blk.")
)
_NAMES = st.tuples(_BLOCKS, _LAYERS, st.sampled_from((".weight", ".bias", ""))).map("".join)
_SHAPES = st.lists(st.integers(0, 300), max_size=3).map(tuple)


@given(st.dictionaries(_NAMES, _SHAPES, max_size=12))
def test_hostile_names_of_llama_cpp_make_an_encoder_or_are_refused(
    shapes: dict[str, tuple[int, ...]],
) -> None:
    planned = {name: Planned(name, _Shape(shape), "F32") for name, shape in shapes.items()}
    with suppress(FormatError):
        encoder_of(planned)


_TOKENS = st.lists(st.text("ab▁ <>é\U0001f525[]\0", max_size=4), max_size=6)


@given(
    model=st.sampled_from(("t5", "llama", "gpt2")),
    tokens=_TOKENS,
    scores=st.lists(st.floats(width=32), max_size=6),
    kinds=st.lists(st.integers(-1, 9), max_size=6),
    merges=st.lists(st.text("ab ▁", max_size=4), max_size=3),
    ids=st.dictionaries(
        st.sampled_from(("bos_token_id", "eos_token_id", "padding_token_id")),
        st.integers(0, 2**32 - 1),
    ),
    flags=st.dictionaries(
        st.sampled_from(("add_bos_token", "add_eos_token", "add_space_prefix")), st.booleans()
    ),
)
@example(model="t5", tokens=["$A", "a"], scores=[], kinds=[3], merges=[], ids={"eos_token_id": 0},
         flags={})  # fmt: skip
@example(model="t5", tokens=["a", "a"], scores=[float("nan"), 1.0], kinds=[Kind.UNKNOWN] * 2,
         merges=[], ids={}, flags={})  # fmt: skip
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_hostile_words_make_a_tokenizer_or_are_refused(
    tmp_path: Path,
    model: str,
    tokens: list[str],
    scores: list[float],
    kinds: list[int],
    merges: list[str],
    ids: dict[str, int],
    flags: dict[str, bool],
) -> None:
    words = Words(
        model,
        tokens,
        scores,
        dict(zip(tokens, kinds, strict=False)),
        merges,
        pre="qwen2",
        settings={**ids, **flags},
    )
    path = tmp_path / "a.gguf"
    path.write_bytes(words.write(GgufWriter()).file())
    with suppress(CannotRender):
        made = tokenizer_at(path)
        with suppress(Exception):  # a text with no word for it may be refused as well
            made("a b\U0001f525 $A <a>")
