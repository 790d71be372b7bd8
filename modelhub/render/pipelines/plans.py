"""What a pipeline is made of, before it is made: parts, settings, and where their tensors are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from modelhub.convert.readers import Source
from modelhub.convert.values import Planned
from modelhub.errors import UsageError
from modelhub.formats.identity import Identity
from modelhub.render.pipelines.sources import ContentKey
from modelhub.render.request import Recipe

DENOISERS = ("unet", "transformer", "transformer_2")
"""The part, or the parts, that compute the steps, by their names in diffusers."""

WITHOUT_NORM = "modelhub_without_norm"
"""Among the settings of a language model: nothing norms what its last layer gives."""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part of a pipeline: a module, before it is made.

    :param folder: its name in the pipeline: ``unet``, ``text_encoder_2``.
    :param model_class: library and class: ``("diffusers", "UNet2DConditionModel")``.
    :param config: of the class.
    :param tensors: by the names of diffusers.
    :param content: what is the same of two parts that are the same.
    """

    folder: str
    model_class: tuple[str, str]
    config: Mapping[str, Any]
    tensors: tuple[Planned, ...]
    content: PartContent

    @property
    def nbytes(self) -> int:
        """Of its tensors as they are stored."""
        return sum(one.values.nbytes for one in self.tensors)

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return sum(prod(one.values.shape) for one in self.tensors)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Types in which its tensors are stored, that of the most numbers first."""
        numbers: Counter[str] = Counter()
        for one in self.tensors:
            numbers[one.values.stored] += prod(one.values.shape)
        return tuple(dtype for dtype, _ in numbers.most_common())


@dataclass(frozen=True, slots=True)
class PartContent:
    """Which tensors, of which files, with which settings: the key of a part.

    :param config: as JSON.
    """

    files: tuple[ContentKey, ...]
    folder: str
    ema: bool
    config: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A whole pipeline.

    :param pipeline_class: of diffusers.
    :param settings: the index of the pipeline: its switches beside the parts.
    :param tokenizers: by their name, the settings of those of CLIP.
    :param tokenizer_places: by their name, where others are: a folder, a ``tokenizer.json``, or a
        GGUF file.
    :param notices: what the user should know of it.
    :param side: of which the width and the height of pictures are multiples, in pixels.
    :param most_pixels: of pictures that are not square; None: as many as one likes.
    """

    recipe: Recipe
    identity: Identity
    pipeline_class: str
    settings: Mapping[str, Any]
    parts: tuple[PartPlan, ...]
    scheduler: Mapping[str, Any]
    tokenizers: Mapping[str, Mapping[str, Any]]
    notices: tuple[str, ...]
    sources: tuple[Source, ...]
    tokenizer_places: Mapping[str, Path] = field(default_factory=dict)
    side: int = 8
    most_pixels: int | None = None

    def check_size(self, width: int, height: int) -> None:
        """Check that pictures of that size can be made.

        :raises UsageError: they cannot.
        """
        if width % self.side or height % self.side:
            near = " x ".join(str(max(1, one // self.side) * self.side) for one in (width, height))
            raise UsageError(
                f"{width} x {height} is no size of this kind of model's pictures: both are "
                f"multiples of {self.side}",
                hint=f"{near} is the nearest",
            )

        if self.most_pixels is not None and width != height and width * height > self.most_pixels:
            raise UsageError(
                f"{width} x {height} pixels are too many for this kind of model, whose pictures "
                f"have {self.most_pixels:,} at most where they are not square"
            )

    def part(self, folder: str) -> PartPlan | None:
        """The part of that name."""
        return next((one for one in self.parts if one.folder == folder), None)

    def check_unchanged(self) -> None:
        """Check that no file was written to since it was opened.

        :raises SourceChanged: one was.
        """
        for one in self.sources:
            one.check_unchanged()
