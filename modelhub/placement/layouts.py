"""Where a file goes under the library's root: the folders of each tool, as data.

Sources of the folder names:

- ``comfyui``: `folder_paths.py` of Comfy-Org/ComfyUI (all `folder_names_and_paths`); motion
  modules as ComfyUI-AnimateDiff-Evolved, detectors as ComfyUI-Impact-Subpack read them.
- ``a1111``, ``forge``: `modules/paths_internal.py`, `modules/cmd_args.py` (``--embeddings-dir`` is
  at the top, ``--hypernetwork-dir`` and the upscalers' under ``models``),
  `extensions-builtin/Lora/preload.py`; Forge's `modules_forge/main_entry.py` (``VAE`` and
  ``text_encoder``) and `modules_forge/shared.py` (``ControlNet``); ``adetailer`` is the
  ADetailer extension's. LoCon and DoRA go to ``Lora``: ``LyCORIS`` is read for old times only.
- ``invokeai``: the values of `ModelType` in `invokeai/backend/model_manager/taxonomy.py`, under
  ``autoimport``, which InvokeAI 3 scans by itself. Never under ``models``, which InvokeAI manages:
  it keeps its own database, and its model manager's *Scan Folder* adopts these in place.

Folders that no tool reads (poses, wildcards, training data, archives) are named alike everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelhub.config.settings import Library
from modelhub.errors import ConfigError
from modelhub.placement.kinds import Kind, is_main_weights, kind_of, kind_of_type
from modelhub.placement.names import MODEL_FILE_BYTES, clean_name, split_name
from modelhub.placement.templates import parse_template


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeable:
    """What decides where a file goes; all but the name may be unknown.

    `model_type` and `file_type` are Civitai's own words ("LORA", "Pruned Model"), unchanged.
    `companion` is the name of the main weights' file of the same version, for a config file that
    must share its stem.
    """

    file_name: str
    model_type: str = ""
    file_type: str = "Model"
    base_model: str = ""
    creator: str = ""
    model: str = ""
    version: str = ""
    model_id: int | None = None
    version_id: int | None = None
    companion: str | None = None

    @property
    def kind(self) -> Kind:
        """What the file is for."""
        return kind_of(self.model_type, self.file_type, self.file_name)


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one tool, by kind; a kind without one goes to `other`."""

    name: str
    folders: Mapping[Kind, str]
    other: str
    config_beside: bool
    """Whether a config (.yaml) stands beside its checkpoint; else it has a folder of its own."""

    def folder(self, kind: Kind) -> PurePosixPath:
        """The folder for `kind`, relative to the base that :func:`detect_root` gives."""
        if kind is Kind.CONFIG and self.config_beside:
            kind = Kind.CHECKPOINT
        return PurePosixPath(self.folders.get(kind, self.other))


_UNREAD = {
    Kind.POSES: "poses",
    Kind.WILDCARDS: "wildcards",
    Kind.WORKFLOW: "workflows",
    Kind.TRAINING_DATA: "training_data",
    Kind.ARCHIVE: "archives",
}

_COMFYUI = {
    **_UNREAD,
    Kind.CHECKPOINT: "checkpoints",
    Kind.DIFFUSION_MODEL: "diffusion_models",
    Kind.LORA: "loras",
    Kind.VAE: "vae",
    Kind.TEXT_ENCODER: "text_encoders",
    Kind.CLIP_VISION: "clip_vision",
    Kind.EMBEDDING: "embeddings",
    Kind.HYPERNETWORK: "hypernetworks",
    Kind.AESTHETIC_GRADIENT: "aesthetic_embeddings",
    Kind.CONTROLNET: "controlnet",
    Kind.UPSCALER: "upscale_models",
    Kind.MOTION_MODULE: "animatediff_models",
    Kind.DETECTION: "ultralytics",
    Kind.VISION_LANGUAGE: "LLM",
    Kind.CONFIG: "configs",
}

_A1111 = {
    **{kind: f"models/{folder}" for kind, folder in _UNREAD.items()},
    Kind.CHECKPOINT: "models/Stable-diffusion",
    Kind.DIFFUSION_MODEL: "models/Stable-diffusion",
    Kind.LORA: "models/Lora",
    Kind.VAE: "models/VAE",
    Kind.TEXT_ENCODER: "models/text_encoder",
    Kind.CLIP_VISION: "models/clip_vision",
    Kind.EMBEDDING: "embeddings",
    Kind.HYPERNETWORK: "models/hypernetworks",
    Kind.AESTHETIC_GRADIENT: "models/aesthetic_embeddings",
    Kind.CONTROLNET: "models/ControlNet",
    Kind.UPSCALER: "models/ESRGAN",
    Kind.MOTION_MODULE: "models/animatediff",
    Kind.DETECTION: "models/adetailer",
    Kind.VISION_LANGUAGE: "models/LLM",
}

_INVOKEAI = {
    **{kind: f"autoimport/{folder}" for kind, folder in _UNREAD.items()},
    Kind.CHECKPOINT: "autoimport/main",
    Kind.DIFFUSION_MODEL: "autoimport/main",
    Kind.LORA: "autoimport/lora",
    Kind.VAE: "autoimport/vae",
    Kind.TEXT_ENCODER: "autoimport/text_encoder",
    Kind.CLIP_VISION: "autoimport/clip_vision",
    Kind.EMBEDDING: "autoimport/embedding",
    Kind.CONTROLNET: "autoimport/controlnet",
    Kind.UPSCALER: "autoimport/spandrel_image_to_image",
    Kind.VISION_LANGUAGE: "autoimport/llava_onevision",
}

LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("comfyui", _COMFYUI, other="other", config_beside=False),
        Layout("a1111", _A1111, other="models/other", config_beside=True),
        Layout("forge", _A1111, other="models/other", config_beside=True),
        Layout("invokeai", _INVOKEAI, other="autoimport/unknown", config_beside=True),
        Layout("flat", {}, other=".", config_beside=True),
    )
}
"""Every layout but `template`, by name."""

TEMPLATE = "template"


def place(library: Library, item: Placeable) -> PurePosixPath:
    """Where the file goes: folder and clean file name, relative to the base of the root.

    Another file may have that name already: see :func:`modelhub.placement.names.free_variant`.

    :raises ConfigError: the layout is unknown, or `library.template` or `library.folders` is wrong.
    """
    override = _override(library, item)
    if override is not None:
        return override / file_name(item)
    if library.layout == TEMPLATE:
        return parse_template(library.template).render(_values(item))
    return layout_named(library.layout).folder(item.kind) / file_name(item)


def file_name(item: Placeable) -> str:
    """The clean name of the file: its own, a config's with the stem of its companion."""
    name = clean_name(item.file_name, max_bytes=MODEL_FILE_BYTES)
    if item.kind is Kind.CONFIG and item.companion:
        stem, _ = split_name(clean_name(item.companion, max_bytes=MODEL_FILE_BYTES))
        return clean_name(stem + split_name(name)[1], max_bytes=MODEL_FILE_BYTES)
    return name


def layout_named(name: str) -> Layout:
    """The layout of that name.

    :raises ConfigError: there is none, or it is `template`, which has no fixed folders.
    """
    try:
        return LAYOUTS[name]
    except KeyError:
        known = ", ".join([*LAYOUTS, TEMPLATE])
        raise ConfigError(f"library.layout: unknown layout `{name}`; known: {known}") from None


def check_library(library: Library) -> None:
    """Check layout, template and folders, as `modelhub config check` does.

    :raises ConfigError: one of them is wrong; the message names the key.
    """
    if library.layout != TEMPLATE:
        layout_named(library.layout)
    parse_template(library.template)
    for model_type, folder in library.folders.items():
        _checked_folder(model_type, folder)


def detect_root(root: Path, layout: str) -> Path:
    """The folder under which the layout's folders are, for the root that the user named.

    - ``comfyui``: the checkout (it has `models` and `folder_paths.py` or `comfy`): its `models`.
    - ``a1111``, ``forge``: the `models` folder of a checkout: the checkout, since embeddings are
      beside `models`, not in it.
    - otherwise, and for every other layout: `root` itself.

    What it gives exists whenever `root` does.
    """
    if layout == "comfyui":
        is_checkout = any((root / mark).exists() for mark in ("folder_paths.py", "comfy"))
        if is_checkout and (root / "models").is_dir():
            return root / "models"
    elif layout in ("a1111", "forge"):
        checkout = root.parent
        is_checkout = any((checkout / mark).is_file() for mark in ("webui.py", "launch.py"))
        if is_checkout and root.name == "models" and root.is_dir():
            return checkout
    return root


def _values(item: Placeable) -> dict[str, str]:
    return {
        "type": item.model_type,
        "kind": item.kind.value,
        "base_model": item.base_model,
        "creator": item.creator,
        "model": item.model,
        "version": item.version,
        "model_id": "" if item.model_id is None else str(item.model_id),
        "version_id": "" if item.version_id is None else str(item.version_id),
        "file": file_name(item),
    }


def _override(library: Library, item: Placeable) -> PurePosixPath | None:
    """The folder of `library.folders` for the item: by its own type, else by its kind.

    A setting for `LORA` holds for LoCon and DoRA too, unless they have their own; one for
    `Checkpoint` does not hold for the VAE that comes along.
    """
    own_type = item.model_type if is_main_weights(item.file_type) else item.file_type
    layout = LAYOUTS.get(library.layout)
    kind = item.kind
    if kind is Kind.CONFIG and (layout is None or layout.config_beside):
        kind, own_type = Kind.CHECKPOINT, "Checkpoint"
    by_kind: PurePosixPath | None = None
    for model_type, folder in library.folders.items():
        checked = _checked_folder(model_type, folder)
        if model_type.casefold() == own_type.casefold():
            return checked
        if by_kind is None and kind_of_type(model_type) is kind:
            by_kind = checked
    return by_kind


def _checked_folder(model_type: str, folder: str) -> PurePosixPath:
    parts = folder.rstrip("/").split("/")
    for part in parts:
        if not part or clean_name(part) != part:
            raise ConfigError(
                f"library.folders.{model_type}: `{folder}` is no folder inside the root",
                hint="write it relative to the root, with single slashes and without `..`",
            )
    return PurePosixPath(*parts)
