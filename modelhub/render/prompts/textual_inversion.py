"""Embeddings: vectors that stand for a word, out of the files that trainers write.

Forms and their sources: AUTOMATIC1111/stable-diffusion-webui
``modules/textual_inversion/textual_inversion.py`` (``string_to_param``, ``emb_params``, ``clip_l``
and ``clip_g`` of SDXL); huggingface/diffusers ``loaders/textual_inversion.py`` (one tensor under
the word); comfyanonymous/ComfyUI ``comfy/sd1_clip.py`` (``load_embed``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.errors import FormatError, UsageError
from modelhub.render.prompts.chunks import CHUNK
from modelhub.render.sources import open_to_render

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelhub.convert.values import Values

CLIP_L, CLIP_G = "clip_l", "clip_g"
_FLOATS = frozenset({"F16", "F32", "F64", "BF16"})
_PAIRS = ((CLIP_L, CLIP_G), ("emb", "emb2"))
"""How SDXL's two are named: by most, and by oss-roettger/XL-Textual-Inversion."""
_TRAINERS_OWN = "string_to_param."
_NAME = "name"
_ANONYMOUS = frozenset({"*", "emb_params", "emb", "emb2", "", "tensor", CLIP_L, CLIP_G})
_WIDEST = 8192


@dataclass(frozen=True, slots=True)
class Embedding:
    """A textual inversion.

    :param name: of the file, without its suffix.
    :param words: what a prompt may call it by: that, and the word that the trainer gave it.
    :param vectors: fp32, (count, width), by text encoder: ``clip_l`` and ``clip_g`` where the file
        has both; else one under an empty name, for the encoder of its width.
    """

    name: str
    words: tuple[str, ...]
    vectors: Mapping[str, NDArray[np.float32]]

    @property
    def count(self) -> int:
        """How many tokens it takes the place of."""
        return int(next(iter(self.vectors.values())).shape[0])

    def for_encoder(self, key: str, width: int) -> NDArray[np.float32]:
        """The vectors that a text encoder reads.

        :param key: ``clip_l`` or ``clip_g``, as the encoder is called in an SDXL embedding.
        :param width: of the encoder's vectors.
        :raises UsageError: it has none for that encoder: it was made for another architecture.
        """
        found = self.vectors.get(key)
        if found is None:
            found = self.vectors.get("")
        if found is None or found.shape[1] != width:
            widths = " and ".join(str(one.shape[1]) for one in self.vectors.values())
            raise UsageError(
                f"embedding {self.name} does not fit this model: its vectors are of width "
                f"{widths}, one of the model's text encoders has {width}",
                hint="an embedding works with models of the architecture that it was made for",
            )
        return found


def read_embedding(path: Path) -> Embedding:
    """The embedding in a file of any of its forms; no pickle is executed.

    :raises FormatError: it is none, is damaged, or has values that are no numbers.
    :raises CannotRender, FileUnreadable, SourceChanged: as
        :func:`modelhub.render.sources.open_to_render`.
    """
    with open_to_render(path) as source:
        found = {name: one for name, one in source.tensors.items() if _is_vectors(one)}
        given = source.header.metadata.get(_NAME, "")
        if not found:
            raise FormatError("no embedding is in it", path=path, hint="")
        words = [path.stem, given]
        pair = next((one for one in _PAIRS if found.keys() >= set(one)), None)
        if pair is not None:
            vectors = {
                key: _matrix(found[name], path)
                for key, name in zip((CLIP_L, CLIP_G), pair, strict=True)
            }
        else:
            name, values = next(iter(found.items()))
            vectors = {_key_of(name): _matrix(values, path)}
            words.append(name.removeprefix(_TRAINERS_OWN))
    counts = {one.shape[0] for one in vectors.values()}
    if len(counts) > 1:
        raise FormatError("it has more vectors for one text encoder than for the other", path=path)
    known = tuple(dict.fromkeys(word for word in words if word.strip() not in _ANONYMOUS))
    return Embedding(path.stem, known, vectors)


def _key_of(name: str) -> str:
    return name if name in (CLIP_L, CLIP_G) else ""


def _is_vectors(values: Values) -> bool:
    shape = values.shape
    return values.dtype in _FLOATS and 1 <= len(shape) <= 2 and 1 < shape[-1] <= _WIDEST


def _matrix(values: Values, path: Path) -> NDArray[np.float32]:
    import numpy as np

    count = values.shape[0] if len(values.shape) == 2 else 1
    if not 1 <= count <= CHUNK:
        raise FormatError(
            f"it has {count:,} vectors, a prompt has room for {CHUNK}", path=path, hint=""
        )
    data = b"".join(bytes(piece) for piece in values.pieces())
    numbers: NDArray[Any]
    if values.dtype == "BF16":
        numbers = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    else:
        numbers = np.frombuffer(data, {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[values.dtype])
    matrix = numbers.astype(np.float32).reshape(count, values.shape[-1])
    if not np.isfinite(matrix).all():
        raise FormatError("some of its values are no numbers (NaN or infinite)", path=path)
    return matrix
