"""The modules of a model that a LoRA can change, found among its tensors under all their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from modelhub.convert.lora.names import (
    Piece,
    clip_pieces,
    diffusers_unet,
    flux2_pieces,
    flux_pieces,
)
from modelhub.convert.lora.wan_names import wan_pieces
from modelhub.convert.lora.words import flat

# Where the parts of a model are in a file: single files (huggingface/diffusers
# single_file_utils.py, comfyanonymous/ComfyUI supported_models.py), then folders of diffusers.
# The parts are those of modelhub.formats.identify.adapters.naming.
_PREFIXES: tuple[tuple[str, str], ...] = (
    ("model.diffusion_model.", "unet"),
    ("diffusion_model.", "unet"),
    ("unet/", "unet"),
    ("transformer/", "unet"),
    ("cond_stage_model.transformer.", "te1"),
    ("cond_stage_model.model.", "te1"),
    ("conditioner.embedders.0.transformer.", "te1"),
    ("conditioner.embedders.0.model.", "te2"),
    ("conditioner.embedders.1.model.", "te2"),
    ("text_encoders.clip_l.transformer.", "te1"),
    ("text_encoders.clip_g.transformer.", "te2"),
    ("text_encoder/", "te1"),
    ("text_encoder_2/", "te2"),
)
_BARE_UNET = (
    *("input_blocks.", "middle_block.", "output_blocks.", "time_embed.", "label_emb.", "out."),
    *("down_blocks.", "mid_block.", "up_blocks.", "conv_in.", "conv_out.", "time_embedding."),
    *("add_embedding.", "conv_norm_out.", "double_blocks.", "single_blocks."),
    *("transformer_blocks.", "single_transformer_blocks."),
)
_BARE_CLIP = ("text_model.", "text_projection.")


@dataclass(frozen=True, slots=True)
class Target:
    """A module, as the tensor or the rows of one that hold its weight.

    :param part: ``unet`` (or a transformer), ``te1``, ``te2``.
    :param path: as diffusers names it.
    :param stored_path: as the file does, where that is a UNet's; else the same.
    :param tensor: the tensor's name.
    :param shape: of the module's weight, as the model computes with it.
    :param rows: the first row of it within the tensor and the one behind its last.
    :param transposed: stored the other way round.
    :param bias: the name of the tensor with its bias, where there could be one.
    """

    part: str
    path: str
    stored_path: str
    tensor: str
    shape: tuple[int, ...]
    rows: tuple[int, int]
    transposed: bool = False
    bias: str = ""

    @property
    def is_linear(self) -> bool:
        """Whether it mixes the numbers of one place alone: no convolution, or one of 1x1."""
        return len(self.shape) == 2 or (len(self.shape) == 4 and prod(self.shape[2:]) == 1)


@dataclass(slots=True)
class Targets:
    """All modules of a model, each under all its names."""

    all: list[Target] = field(default_factory=list)
    by_name: dict[tuple[str, str], Target] = field(default_factory=dict)
    """By part, and path with underscores for dots."""
    joined: dict[tuple[str, str], tuple[Target, ...]] = field(default_factory=dict)
    """The same of modules that are one in another program: theirs, with one's rows over the
    other's."""

    def of(self, key: tuple[str, str]) -> tuple[Target, ...]:
        """The modules that a layer changes, by its part and path; none where it has no such."""
        found = self.by_name.get(key)
        return self.joined.get(key, ()) if found is None else (found,)

    def join(self, part: str, modules: Mapping[str, Sequence[Piece]]) -> None:
        """Let modules be called by the names of another program, which has some as one.

        :param modules: by the name in the other program, the modules whose rows are there, in
            that order; what is not whole among the targets is passed over.
        """
        for name, pieces in modules.items():
            found = [(self.by_name.get((part, flat(one.path))), one) for one in pieces]
            rows = tuple(_rows_of(target, one) for target, one in found if target is not None)
            if len(rows) == len(pieces) and rows:
                self.joined.setdefault((part, flat(name)), rows)

    def _add(self, target: Target) -> None:
        self.all.append(target)
        for path in (target.path, target.stored_path):
            self.by_name.setdefault((target.part, flat(path)), target)


def _rows_of(target: Target, piece: Piece) -> Target:
    """The rows of a module that a piece speaks of."""
    each = (target.rows[1] - target.rows[0]) // piece.of
    start, stop = (target.rows[0] + each * place for place in (piece.start, piece.stop))
    return replace(target, rows=(start, stop), shape=(stop - start, *target.shape[1:]))


def targets_of(shapes: Mapping[str, tuple[int, ...]]) -> Targets:
    """The modules among the tensors of a model: a single file, a folder of diffusers, or a part.

    :param shapes: of all tensors, by name.
    """
    found = Targets()
    for name, shape in shapes.items():
        part, local = _place(name)
        if not part or not shape:
            continue
        pieces = clip_pieces(local) if part.startswith("te") else _unet_pieces(local)
        for piece in pieces:
            target = _target(part, local, name, shape, piece)
            if target is not None:
                found._add(target)
    return found


def _place(name: str) -> tuple[str, str]:
    for prefix, part in _PREFIXES:
        if name.startswith(prefix):
            return part, name[len(prefix) :]
    if name.startswith(_BARE_UNET):
        return "unet", name
    return ("te1", name) if name.startswith(_BARE_CLIP) else ("", name)


def _unet_pieces(local: str) -> Iterator[Piece]:
    path = local.removesuffix(".weight")
    if path == local:
        return
    named = diffusers_unet(path)
    yield Piece(path if named is None else named)
    if named is None:
        yield from flux_pieces(path)
        yield from flux2_pieces(path)
        yield from wan_pieces(path)


def _target(
    part: str, local: str, name: str, shape: tuple[int, ...], piece: Piece
) -> Target | None:
    if shape[0] % piece.of or (piece.transposed and len(shape) != 2):
        return None
    stack = shape[0] // piece.of
    rows = (piece.start * stack, piece.stop * stack)
    own = (rows[1] - rows[0], *shape[1:])
    stored = local.removesuffix(".weight") if part == "unet" and piece.of == 1 else piece.path
    bias = name.removesuffix("weight") + "bias" if name.endswith("weight") else ""
    return Target(
        part=part,
        path=piece.path,
        stored_path=stored,
        tensor=name,
        shape=own[::-1] if piece.transposed else own,
        rows=rows,
        transposed=piece.transposed,
        bias=bias,
    )
