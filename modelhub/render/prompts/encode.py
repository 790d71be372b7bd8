"""Prompts as the tensors that a pipeline of diffusers takes in place of text.

For the pipelines whose text encoders are all CLIP's: Stable Diffusion 1, 2, XL and its refiner. A
short prompt without weights gives bit for bit what ``encode_prompt`` of diffusers gives.

Weights are A1111's "Original" emphasis (``modules/sd_emphasis.py``): what comes out of the encoder
is multiplied, then scaled so that the chunk's mean is what it was. Layers are counted as there
("clip skip").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelhub.render.prompts.chunks import Chunk, Chunked, Inserted, Word, chunked
from modelhub.render.prompts.syntax import parse_prompt
from modelhub.render.prompts.textual_inversion import CLIP_G, CLIP_L, Embedding

if TYPE_CHECKING:
    import torch

_EMBEDDING_TAG = re.compile(r"\bembedding:\s?([^\s,:()\[\]]{1,200})")
_SUFFIXES = (".safetensors", ".pt", ".bin")
_LEAST_MEAN = 1e-4
"""Of a chunk, as a share of its spread; with published encoders it is some hundredths."""
_PENULTIMATE = 2
"""The layer, counted from the end, that SD 2 and SDXL were trained with."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """What a pipeline takes.

    :param positive: (1, 77 for each chunk, width); `negative` the same, of as many chunks.
    :param pooled: (1, width) of SDXL, and `negative_pooled`; else None.
    :param chunks: of the longer of the prompts.
    :param embeddings: names of those that the prompts speak of.
    """

    positive: torch.Tensor
    negative: torch.Tensor
    pooled: torch.Tensor | None
    negative_pooled: torch.Tensor | None
    chunks: int
    embeddings: tuple[str, ...]
    notices: tuple[str, ...]

    @property
    def arguments(self) -> dict[str, torch.Tensor]:
        """By the names that the call of a pipeline has for them."""
        found = {"prompt_embeds": self.positive, "negative_prompt_embeds": self.negative}
        if self.pooled is not None and self.negative_pooled is not None:
            found["pooled_prompt_embeds"] = self.pooled
            found["negative_pooled_prompt_embeds"] = self.negative_pooled
        return found


@dataclass(frozen=True, slots=True)
class _Encoder:
    """A text encoder, and how its pipeline uses it.

    :param key: what it is called in an SDXL embedding.
    :param least_skip: the layer, counted from the end, that the model was trained with.
    :param cut: whether the layers after that one are not there.
    :param normed: whether the last norm is applied to whatever layer is taken.
    """

    model: Any
    padding: int
    key: str
    least_skip: int
    cut: bool
    normed: bool

    @property
    def table(self) -> Any:
        """The module that turns numbers of tokens into vectors."""
        return self.model.get_input_embeddings()

    @property
    def width(self) -> int:
        return int(self.table.weight.shape[1])


def can_embed(pipe: Any) -> bool:
    """Whether all text encoders of a pipeline are CLIP's, so that :func:`embed` can serve it.

    Stable Diffusion 3 has room for T5 beside them even where it is left out.
    """
    return (
        bool(_slots(pipe))
        and all(
            type(getattr(pipe, encoder)).__name__.startswith("CLIPText")
            for encoder, _ in _slots(pipe)
        )
        and not hasattr(pipe, "text_encoder_3")
    )


def embed(
    pipe: Any,
    prompt: str,
    negative: str = "",
    *,
    clip_skip: int = 1,
    embeddings: Sequence[Embedding] = (),
    device: Any = None,
    before_chunk: Callable[[], None] = lambda: None,
) -> Embedded:
    """The tensors of a prompt and of the negative one.

    An empty negative prompt is all zeros where the pipeline says so
    (``force_zeros_for_empty_prompt``), as SDXL was trained.

    :param pipe: a pipeline of diffusers for which :func:`can_embed` holds, or anything with its
        ``text_encoder``, ``tokenizer``, ``text_encoder_2``, ``tokenizer_2``.
    :param clip_skip: 1: the last layer, 2: the one before, and so on. SD 2 and SDXL were trained
        with the one before, so that 1 is 2 to them.
    :param embeddings: those that the prompts may call by name.
    :param device: where the text encoders are; None: where their weights are.
    :param before_chunk: called before each chunk is encoded; what it raises ends the encoding.
    :raises UsageError: as :func:`~modelhub.render.prompts.syntax.parse_prompt`; an embedding for
        another architecture is called for.
    """
    import torch

    tokenizer = getattr(pipe, _slots(pipe)[0][1])
    encoders = _encoders(pipe)
    words = [word for one in embeddings for word in _words_of(one, tokenizer)]
    both = [
        chunked(parse_prompt(_called(text, embeddings)), _tokenizing(tokenizer), words)
        for text in (prompt, negative)
    ]
    count = max(len(one.chunks) for one in both)
    run = _Run({one.name: one for one in embeddings}, clip_skip, device, before_chunk)
    results = []
    with torch.no_grad():
        for one in both:
            chunks = (*one.chunks, *[Chunk()] * (count - len(one.chunks)))
            results.append(run.encoded(encoders, chunks))
        (positive, pooled), (unwanted, negative_pooled) = results
        if not negative.strip() and _zeros_for_empty(pipe):
            unwanted = torch.zeros_like(unwanted)
            negative_pooled = None if pooled is None else torch.zeros_like(pooled)
    return Embedded(
        positive,
        unwanted,
        pooled,
        negative_pooled,
        count,
        tuple(sorted(both[0].used | both[1].used)),
        tuple(_notices(both, encoders, clip_skip)),
    )


def _notices(
    both: Sequence[Chunked], encoders: Sequence[_Encoder], clip_skip: int
) -> Iterator[str]:
    for name, one in zip(("", "negative prompt: "), both, strict=True):
        yield from (f"{name}{notice}" for notice in one.notices)
    layers = min(one.model.config.num_hidden_layers for one in encoders)
    if clip_skip > layers:
        yield f"clip skip {clip_skip}: the text encoder has {layers} layers, the first is taken"


def _zeros_for_empty(pipe: Any) -> bool:
    return bool(getattr(getattr(pipe, "config", None), "force_zeros_for_empty_prompt", False))


def _slots(pipe: Any) -> list[tuple[str, str]]:
    """The attributes of a pipeline's encoders and of their tokenizers."""
    pairs = (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2"))
    return [pair for pair in pairs if all(getattr(pipe, one, None) is not None for one in pair)]


def _encoders(pipe: Any) -> list[_Encoder]:
    slots = _slots(pipe)
    of_sdxl = any(encoder == "text_encoder_2" for encoder, _ in slots)
    found = []
    for name, tokenizer in slots:
        model = getattr(pipe, name)
        open_clip = model.config.hidden_act != "quick_gelu"
        found.append(
            _Encoder(
                model=model,
                padding=int(getattr(pipe, tokenizer).pad_token_id),
                key=CLIP_G if name == "text_encoder_2" else CLIP_L,
                least_skip=_PENULTIMATE if of_sdxl or open_clip else 1,
                cut=open_clip and not of_sdxl,
                normed=not of_sdxl,
            )
        )
    return found


def _tokenizing(tokenizer: Any) -> Any:
    def tokenize(text: str) -> list[int]:
        found = tokenizer(text, truncation=False, add_special_tokens=False, verbose=False)
        return list(found["input_ids"])

    return tokenize


def _words_of(embedding: Embedding, tokenizer: Any) -> Iterator[Word]:
    tokenize = _tokenizing(tokenizer)
    for word in embedding.words:
        if tokens := tuple(tokenize(word)):
            yield Word(embedding.name, tokens, embedding.count)


def _called(prompt: str, embeddings: Sequence[Embedding]) -> str:
    """A prompt with ComfyUI's ``embedding:name`` as the name alone."""
    known = {word.lower() for one in embeddings for word in one.words}

    def name(found: re.Match[str]) -> str:
        called = found[1]
        for suffix in _SUFFIXES:
            called = called.removesuffix(suffix)
        return called if called.lower() in known else found[0]

    return _EMBEDDING_TAG.sub(name, prompt)


@dataclass(frozen=True, slots=True)
class _Run:
    """What is the same for all chunks."""

    embeddings: Mapping[str, Embedding]
    clip_skip: int
    device: Any
    before_chunk: Callable[[], None]

    def encoded(
        self, encoders: Sequence[_Encoder], chunks: Sequence[Chunk]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """A prompt's tensor, the encoders side by side and the chunks one after the other."""
        import torch

        by_encoder = []
        pooled = None
        for encoder in encoders:
            outputs = [self._chunk(encoder, one) for one in chunks]
            by_encoder.append(torch.cat([hidden for hidden, _ in outputs], dim=1))
            if encoder.key == CLIP_G:
                pooled = outputs[0][1]
        return torch.cat(by_encoder, dim=-1), pooled

    def _chunk(self, encoder: _Encoder, chunk: Chunk) -> tuple[torch.Tensor, torch.Tensor | None]:
        import torch

        self.before_chunk()
        place = self.device if self.device is not None else encoder.table.weight.device
        numbers = torch.tensor([chunk.numbers(encoder.padding)], device=place)
        with _inserting(encoder, chunk.inserted, self.embeddings):
            output = encoder.model(numbers, output_hidden_states=True)
        hidden = _layer(encoder, output, self.clip_skip)
        weights = chunk.all_weights
        if any(weight != 1.0 for weight in weights):
            hidden = _emphasised(hidden, torch.tensor(weights, device=hidden.device))
        return hidden, output[0] if output[0].ndim == 2 else None


def _layer(encoder: _Encoder, output: Any, clip_skip: int) -> torch.Tensor:
    back = max(clip_skip, encoder.least_skip) - (1 if encoder.cut else 0)
    if back == 1 and encoder.normed:
        last: torch.Tensor = output.last_hidden_state
        return last
    states = output.hidden_states
    # The first of the states is what goes into the first layer.
    state: torch.Tensor = states[-min(back, len(states) - 1)]
    if not encoder.normed:
        return state
    # Transformers 5 has no `text_model` within CLIPTextModel any more.
    inner = getattr(encoder.model, "text_model", encoder.model)
    normed: torch.Tensor = inner.final_layer_norm(state)
    return normed


def _emphasised(hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """`hidden` multiplied by `weights`, its mean restored; computed in fp32.

    Where there is next to no mean, there is none to restore: the quotient would be noise.
    """
    wide = hidden.float()
    weighted = wide * weights.reshape(1, -1, 1)
    before, after = float(wide.mean()), float(weighted.mean())
    least = _LEAST_MEAN * float(wide.std())
    if min(abs(before), abs(after)) > least:
        weighted = weighted * (before / after)
    return weighted.to(hidden.dtype)


@contextmanager
def _inserting(
    encoder: _Encoder, inserted: Sequence[Inserted], embeddings: Mapping[str, Embedding]
) -> Iterator[None]:
    """While it lasts, the encoder reads the embeddings' vectors in place of some tokens."""
    if not inserted:
        yield
        return
    import torch

    vectors = [
        (
            one.position,
            torch.from_numpy(embeddings[one.name].for_encoder(encoder.key, encoder.width)),
        )
        for one in inserted
    ]

    def replace(_module: Any, _arguments: Any, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        for position, rows in vectors:
            output[0, position : position + len(rows)] = rows.to(output)
        return output

    handle = encoder.table.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
