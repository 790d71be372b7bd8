"""A plan while it is made: each tensor of the source with the name and type that it will have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from modelhub.convert.planning import Dropped, Reason
from modelhub.convert.values import Planned, Values
from modelhub.errors import ConversionRefused, FormatError
from modelhub.formats.identify import identify
from modelhub.formats.identify.parts import Role, parts_of
from modelhub.formats.identity import Identity, ModelKind
from modelhub.formats.tensors import FileFormat, Header, Tensor

_SINGLE = FileFormat.SAFETENSORS
_ROLES = {
    ModelKind.DIFFUSION_MODEL: Role.UNET,
    ModelKind.VAE: Role.VAE,
    ModelKind.TEXT_ENCODER: Role.TEXT_ENCODER,
    ModelKind.CLIP_VISION: Role.IMAGE_ENCODER,
    ModelKind.CONTROLNET: Role.CONTROL,
}
"""What the tensors without a prefix are, in a file of that kind."""

MARKS = ("v_pred", "ztsnr", "edm_mean", "edm_std", "edm_vpred.", "scale_factor")
"""Tensors beside the parts that loaders take for how the model was trained, and must find.

Source: comfyanonymous/ComfyUI comfy/supported_models.py ``SDXL.model_type``; ``scale_factor`` is
of models that were not trained with the usual one (CompVis/stable-diffusion ddpm.py
``scale_by_std``).
"""


class Beside(Protocol):
    """A tensor of a source that is no weight: of an optimizer, of a callback."""

    @property
    def name(self) -> str:
        """Where it stands in the source."""

    @property
    def nbytes(self) -> int:
        """Its size in the source."""


class TensorSource(Protocol):
    """What a plan is made of: what any opened source says of itself, without its data."""

    @property
    def path(self) -> Path:
        """The file or folder."""

    @property
    def header(self) -> Header:
        """Names, types and shapes of the tensors, and the metadata."""

    @property
    def tensors(self) -> Mapping[str, Values]:
        """The same tensors with where their values come from, in the order of the file."""

    @property
    def beside(self) -> Sequence[Beside]:
        """The tensors that are no weights."""

    @property
    def shared(self) -> Sequence[Sequence[str]]:
        """Groups of names that stand for the very same values."""


@dataclass(slots=True)
class Entry:
    """One tensor on its way into the result.

    :param old: its name in its source, or that of what was put together of several tensors.
    :param name: in the result, as far as is decided.
    :param dtype: in the result, as far as is decided.
    :param added: its values are of another file than the source, or of none.
    """

    old: str
    name: str
    values: Values
    dtype: str
    role: Role = Role.BARE
    part: str = ""
    added: bool = False

    @property
    def nbytes(self) -> int:
        """Its size in the result, in bytes."""
        return Planned(self.name, self.values, self.dtype).nbytes


@dataclass(slots=True)
class Draft:
    """The tensors that are kept so far, those that are not, and what the user should know."""

    source: TensorSource
    entries: list[Entry]
    dropped: list[Dropped] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    """Of the operation, in its one line."""
    identity: Identity = field(default_factory=Identity)
    """What the source is, once its names are in order."""
    origins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The tensors of the source that an entry is made of, by its `old` name, where not that."""

    def names(self) -> set[str]:
        """The names of what is kept."""
        return {one.name for one in self.entries}

    def drop(self, unwanted: Callable[[Entry], bool], reason: Reason) -> int:
        """Leave out the entries that are `unwanted`; gives how many there were."""
        kept: list[Entry] = []
        for one in self.entries:
            if not unwanted(one):
                kept.append(one)
            else:
                self.dropped += self.gone(one, reason)
        count = len(self.entries) - len(kept)
        self.entries = kept
        return count

    def gone(self, one: Entry, reason: Reason) -> list[Dropped]:
        """What of the source goes with an entry."""
        if one.added:
            return []
        tensors = self.source.tensors
        return [Dropped(old, tensors[old].nbytes, reason) for old in self.olds(one)]

    def olds(self, one: Entry) -> tuple[str, ...]:
        """The names in the source of what an entry is made of; none for what was made anew."""
        return self.origins.get(one.old, (one.old,) if one.old in self.source.tensors else ())

    def look(self) -> None:
        """Find out what the source is and which part each tensor belongs to, by the names now."""
        tensors = header_tensors(self.entries)
        header = self.source.header
        self.identity = identify(
            Header(
                # The names of a diffusers folder are those of a single file by now.
                format=_SINGLE if header.format is FileFormat.DIFFUSERS else header.format,
                tensors=tensors,
                metadata=header.metadata,
                size=header.size,
                extras=header.extras,
            )
        )
        bare = _ROLES.get(self.identity.kind) if self.identity.kind is not None else None
        for one in self.entries:
            if one.name.startswith(MARKS):
                one.role, one.part = Role.SCHEDULE, ""
                continue
            part = parts_of({one.name: tensors[one.name]})[0]
            one.part = part.prefix
            one.role = bare if part.role is Role.BARE and bare and not part.prefix else part.role


def new_draft(source: TensorSource) -> Draft:
    """A draft that keeps everything but the training state, as it is.

    A folder of diffusers comes under the names of a single file, as every step knows them.

    :raises ConversionRefused: it is a folder that cannot be a single file.
    :raises FormatError: it is one of which tensors are missing.
    """
    dropped = [Dropped(one.name, one.nbytes, _why_beside(one.name)) for one in source.beside]
    if source.header.format is FileFormat.DIFFUSERS:
        return _of_folder(source, dropped)
    entries = [Entry(name, name, one, one.dtype) for name, one in source.tensors.items()]
    return Draft(source, entries, dropped)


def is_average_beside(name: str) -> bool:
    """Whether a tensor beside the model is of an averaged copy of it: ``ema.layer.weight``."""
    return "ema" in name.partition(".")[0].lower().split("_")


def _why_beside(name: str) -> Reason:
    if is_average_beside(name):
        return Reason.EMA
    # Upscalers keep their weights under `params`, and the averages, which are used, `params_ema`.
    return Reason.NOT_EMA if name.startswith("params.") else Reason.TRAINING


def _of_folder(source: TensorSource, dropped: list[Dropped]) -> Draft:
    from modelhub.convert.diffusers import from_diffusers

    try:
        single = from_diffusers(source)
    except ConversionRefused as error:
        raise ConversionRefused(f"{source.path}: {error.message}", hint=error.hint) from error
    except FormatError as error:
        raise error.of(source.path) from error
    origins: dict[str, tuple[str, ...]] = {}
    for one in single.renamed:
        origins[one.new] = (*origins.get(one.new, ()), one.old)
    return Draft(
        source,
        [Entry(one.name, one.name, one.values, one.dtype) for one in single.tensors],
        [*dropped, *single.dropped],
        notices=list(single.notices),
        origins=origins,
    )


def header_tensors(entries: Iterable[Entry]) -> dict[str, Tensor]:
    """What a header would say of these tensors, but for where their data are."""
    return {
        one.name: Tensor(one.dtype, one.values.shape, (0, one.values.nbytes)) for one in entries
    }
