"""From a folder of diffusers, or one part of it, to a single file in the original layout."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelhub.convert.diffusers.completeness import require_whole_layers
from modelhub.convert.diffusers.renaming import in_original
from modelhub.convert.planning import Dropped, Reason, Renamed
from modelhub.convert.values import Planned, Values
from modelhub.convert.views import Counted
from modelhub.errors import ConversionRefused
from modelhub.formats.diffusers_names import Pair, text_pairs, unet_pairs, vae_pairs

if TYPE_CHECKING:
    from modelhub.convert.plan.draft import TensorSource

_UNET_SIGNS = ("down_blocks.0.resnets.0.", "mid_block.resnets.0.")
_VAE_SIGNS = ("encoder.down_blocks.", "decoder.up_blocks.")
_TEXT_SIGN = "text_model.encoder.layers.0.layer_norm1.weight"
_POSITIONS = "text_model.embeddings.position_embedding.weight"
_POSITION_IDS = "text_model.embeddings.position_ids"
_LAYERS_OF_CLIP_L = 12
"""OpenCLIP's encoders have more."""
_PREFIXES = {"unet": "model.diffusion_model.", "vae": "first_stage_model."}


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleFile:
    """The tensors of a folder as a single file has them.

    :param dropped: tensors of the folder that a single file has no place for.
    """

    tensors: tuple[Planned, ...]
    dropped: tuple[Dropped, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    notices: tuple[str, ...] = ()


def is_of_diffusers(names: Collection[str]) -> bool:
    """Whether these are the names of a diffusers folder, or of a UNet or a VAE out of one."""
    return any(name.partition("/")[0] in _FOLDERS for name in names if "/" in name) or any(
        name.startswith((*_UNET_SIGNS, *_VAE_SIGNS)) for name in names
    )


def from_diffusers(source: TensorSource) -> SingleFile:
    """The tensors of a diffusers folder under the names of a single file, none of them cast.

    :param source: a folder of Stable Diffusion 1, 2, XL or XL's refiner; or a file or a folder of
        a UNet, a VAE or a text encoder alone.
    :raises ConversionRefused: it is none of these.
    :raises FormatError: tensors are missing, or of shapes that they cannot have.
    """
    planned = (Planned(name, values, values.dtype) for name, values in source.tensors.items())
    return in_original_names(planned, source.header.metadata)


def vae_in_original_names(tensors: Mapping[str, Values]) -> dict[str, Values]:
    """A VAE of diffusers, of any version, as a VAE file in the original layout has it.

    :raises FormatError: a tensor has a shape that it cannot have.
    """
    planned = {name: Planned(name, values, values.dtype) for name, values in tensors.items()}
    return {one.name: one.values for one in in_original(vae_pairs(tensors), planned)}


def in_original_names(tensors: Iterable[Planned], metadata: Mapping[str, str]) -> SingleFile:
    """As :func:`from_diffusers`, of tensors that are planned already.

    :param metadata: of the folder's header: the settings of its parts.
    """
    folders: dict[str, dict[str, Planned]] = {}
    for one in tensors:
        folder, _, name = one.name.rpartition("/")
        folders.setdefault(folder, {})[name] = one
    if "" in folders and len(folders) == 1:
        return _part_alone(folders[""])
    if not _FOLDERS & set(folders):
        raise ConversionRefused(
            "only folders of Stable Diffusion 1, 2 and XL become single files",
            hint="`modelhub inspect` shows what a folder is",
        )
    found = _Collected([], [], [])
    prefixes = _text_prefixes(folders, metadata)
    for folder, inside in folders.items():
        if folder not in _FOLDERS:
            found.leave(inside.values(), Reason.OTHER_PART)
            continue
        require_whole_layers({one.name for one in inside.values()})
        if folder in _PREFIXES:
            pairs = unet_pairs(inside) if folder == "unet" else vae_pairs(inside)
            found.take(inside, pairs, _PREFIXES[folder])
        else:
            _take_text(found, inside, prefixes[folder])
    return found.result()


_FOLDERS = frozenset({*_PREFIXES, "text_encoder", "text_encoder_2"})


@dataclass(slots=True)
class _Collected:
    """A single file while it is put together."""

    tensors: list[Planned]
    dropped: list[Dropped]
    renamed: list[Renamed]

    def take(self, inside: Mapping[str, Planned], pairs: list[Pair], prefix: str) -> None:
        """The tensors of one folder that the pairs name, under a prefix; the others are left."""
        for one in in_original(pairs, inside):
            self.tensors.append(Planned(prefix + one.name, one.values, one.dtype))
        self.renamed += [
            Renamed(inside[one.diffusers].name, prefix + one.original) for one in pairs
        ]
        named = {one.diffusers for one in pairs}
        self.leave((one for name, one in inside.items() if name not in named), Reason.JUNK)

    def leave(self, tensors: Iterable[Planned], reason: Reason) -> None:
        """Tensors that have no place in the file."""
        self.dropped += [Dropped(one.name, one.values.nbytes, reason) for one in tensors]

    def result(self) -> SingleFile:
        """The file, as it stands."""
        others = {one.name.partition("/")[0] for one in self.dropped if "/" in one.name}
        parts = sorted(others - _FOLDERS)
        notices = (f"a single file has no place for: {', '.join(parts)[:200]}",) if parts else ()
        return SingleFile(
            tensors=tuple(self.tensors),
            dropped=tuple(self.dropped),
            renamed=tuple(one for one in self.renamed if one.old != one.new),
            notices=notices,
        )


def _part_alone(inside: dict[str, Planned]) -> SingleFile:
    found = _Collected([], [], [])
    require_whole_layers({one.name for one in inside.values()})
    if any(name.startswith(_VAE_SIGNS) for name in inside):
        found.take(inside, vae_pairs(inside), "")
    elif any(name.startswith(_UNET_SIGNS) for name in inside):
        found.take(inside, unet_pairs(inside), "")
    elif _TEXT_SIGN in inside:
        return SingleFile(tensors=tuple(inside.values()))
    else:
        raise ConversionRefused(
            "it is no UNet, VAE or CLIP text encoder of Stable Diffusion",
            hint="`modelhub inspect` shows what a file is",
        )
    return found.result()


def _text_prefixes(
    folders: Mapping[str, Mapping[str, Planned]], metadata: Mapping[str, str]
) -> dict[str, str]:
    """By the folder of a text encoder, its prefix in a single file; OpenCLIP's end in ``model.``.

    As in ``huggingface/diffusers`` ``scripts/convert_diffusers_to_original_sdxl.py``.
    """
    first = folders.get("text_encoder")
    if "text_encoder_2" in folders:
        place = 0 if first is None else 1
        return {
            "text_encoder": "conditioner.embedders.0.transformer.",
            "text_encoder_2": f"conditioner.embedders.{place}.model.",
        }
    open_clip = first is not None and _is_open_clip(first, metadata)
    return {"text_encoder": f"cond_stage_model.{'model' if open_clip else 'transformer'}."}


def _is_open_clip(inside: Mapping[str, Planned], metadata: Mapping[str, str]) -> bool:
    """Whether the encoder is that of Stable Diffusion 2: by its activation, or by its depth."""
    activation = metadata.get("text_encoder/hidden_act")
    if activation is not None:
        return activation == "gelu"
    return f"text_model.encoder.layers.{_LAYERS_OF_CLIP_L}.layer_norm1.weight" in inside


def _take_text(found: _Collected, inside: Mapping[str, Planned], prefix: str) -> None:
    inside = {_with_model(name): one for name, one in inside.items()}
    if prefix.endswith("model."):
        found.take(inside, text_pairs(inside), prefix)
        return
    inside.pop(_POSITION_IDS, None)
    found.take(inside, [Pair(name, name) for name in inside], prefix)
    if _POSITIONS in inside:
        places = Counted((1, inside[_POSITIONS].values.shape[0]))
        found.tensors.append(Planned(prefix + _POSITION_IDS, places, places.dtype))


def _with_model(name: str) -> str:
    """The name as all but the newest versions of transformers write it."""
    inner = name.startswith(("embeddings.", "encoder.", "final_layer_norm."))
    return f"text_model.{name}" if inner else name
