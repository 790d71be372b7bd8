"""Which tool a folder belongs to, and where its models are.

Told by names alone. Sources: for ComfyUI and the web UIs, those that
:mod:`modelhub.placement.layouts` names; `modules_forge` is Forge's own folder; for Stability
Matrix, `StabilityMatrix.Core/Models/SharedFolderType.cs` (the folders in `Models`) and
`Models/Settings/LibrarySettings.cs` (`Data` beside a portable program); for InvokeAI,
`invokeai/app/services/config/config_default.py` (`models_dir`, `db_dir`).
A person may point at the tool's folder, at the models in it, at the folder around it (portable
packages), or at a file that names folders.
"""

from __future__ import annotations

import os
from pathlib import Path

from modelhub.errors import NotAFolder, RootMissing, UsageError
from modelhub.placement.adoption.arguments import folders_of_arguments
from modelhub.placement.adoption.extra_paths import (
    ExtraFolder,
    expanded,
    normal,
    read_extra_paths,
)
from modelhub.placement.adoption.mappings import Mappings, scalar
from modelhub.placement.adoption.model import Detected, Place, Tool

EXTRA_PATHS = ("extra_model_paths.yaml", "extra_model_paths.yml", "extra_models_config.yaml")
"""The last one is that of ComfyUI's desktop program."""

_COMFYUI_KINDS = frozenset(
    (
        *("checkpoints", "loras", "diffusion_models", "unet", "text_encoders", "clip", "vae"),
        *("clip_vision", "vae_approx", "embeddings", "controlnet", "upscale_models"),
        *("style_models", "hypernetworks", "gligen", "photomaker"),
    )
)
_COMFYUI_MAIN = frozenset(("checkpoints", "loras", "diffusion_models", "unet"))
_MATRIX_KINDS = frozenset(
    (
        *("StableDiffusion", "Lora", "LyCORIS", "VAE", "Embeddings", "ControlNet", "ESRGAN"),
        *("DiffusionModels", "TextEncoders", "Hypernetwork", "ApproxVAE", "ClipVision"),
    )
)
_PORTABLE = ("ComfyUI", "webui", "stable-diffusion-webui", "stable-diffusion-webui-forge")
"""What portable packages call the folder of the program itself."""


def detect(path: Path) -> Detected:
    """What `path` is, and the folders with models that belong to it.

    :raises RootMissing: there is nothing.
    :raises NotAFolder: it is a file, and none that names folders.
    :raises UsageError: it is a file that names folders, and a damaged one.
    """
    whole = normal(Path(os.path.expanduser(path)))  # noqa: PTH111 -- pathlib's raises
    if whole.is_dir():
        return _folder(whole) or _inner(whole) or _plain(whole)
    if not whole.exists():
        raise RootMissing(f"there is no {whole}", hint="check the spelling, or mount its disk")
    if whole.suffix.lower() in (".yaml", ".yml") and whole.is_file():
        places, notices = _extra(whole)
        return Detected(path=whole, tool=Tool.COMFYUI, places=places, notices=notices)
    raise NotAFolder(
        f"{whole} is a file", hint="point at a folder, or at an extra_model_paths.yaml"
    )


def _folder(path: Path, *, follow: bool = True) -> Detected | None:
    """The tool whose folder it is; `follow` reads where else its models are."""
    found = (look(path) for look in (_stability_matrix, _invokeai))
    detected = next((one for one in found if one is not None), None)
    return detected or _comfyui(path, follow=follow) or _web_ui(path)


def _inner(path: Path) -> Detected | None:
    """The tool in a portable package."""
    for name in _PORTABLE:
        inner = path / name
        found = _folder(inner) if inner.is_dir() else None
        if found is not None:
            return Detected(path=path, tool=found.tool, places=found.places, notices=found.notices)
    return None


def _plain(path: Path) -> Detected:
    place = Place(folder=path, layout=None, origin="the folder itself")
    return Detected(path=path, tool=Tool.PLAIN, places=(place,))


def _comfyui(path: Path, *, follow: bool) -> Detected | None:
    checkout = next((one for one in (path, path.parent) if _is_comfyui(one)), None)
    if checkout is not None and path in (checkout, checkout / "models"):
        places: list[Place] = [_place(checkout / "models", "comfyui", Tool.COMFYUI)]
        notices: list[str] = []
        for name in EXTRA_PATHS if follow else ():
            if (checkout / name).is_file():
                extra, said = _extra(checkout / name)
                places += extra
                notices += said
        return _detected(path, Tool.COMFYUI, places, notices)
    names = _folders_in(path)
    if len(names & _COMFYUI_KINDS) >= 2 and names & _COMFYUI_MAIN:
        return _detected(path, Tool.COMFYUI, [_place(path, "comfyui", Tool.COMFYUI)])
    if "models" in names and (path / "models").is_dir():
        inner = _folders_in(path / "models")
        if len(inner & _COMFYUI_KINDS) >= 2 and inner & _COMFYUI_MAIN:
            # What ComfyUI's desktop program makes: models without the program itself.
            return _detected(path, Tool.COMFYUI, [_place(path / "models", "comfyui", Tool.COMFYUI)])
    return None


def _is_comfyui(path: Path) -> bool:
    marked = (path / "folder_paths.py").is_file() or (path / "comfy").is_dir()
    return marked and (path / "models").is_dir()


def _web_ui(path: Path) -> Detected | None:
    checkout = path
    if (path / "Stable-diffusion").is_dir():
        checkout = path.parent
        if path.name != "models":
            place = _place(path, "flat", Tool.A1111)
            return _detected(path, Tool.A1111, [place])
    elif not (path / "models" / "Stable-diffusion").is_dir():
        return None
    is_forge = (checkout / "modules_forge").is_dir()
    tool, layout = (Tool.FORGE, "forge") if is_forge else (Tool.A1111, "a1111")
    places = [_place(checkout / "models", layout, tool)]
    # Beside `models`, and the only folder there that holds some.
    if (checkout / "embeddings").is_dir():
        places.append(_place(checkout / "embeddings", "flat", tool))
    for option, folder in folders_of_arguments(checkout):
        places.append(Place(folder=folder, layout="flat", origin=f"{tool}: {option}"))
    return _detected(path, tool, places)


def _invokeai(path: Path) -> Detected | None:
    root = next(
        (
            one
            for one in (path, path.parent)
            if (one / "invokeai.yaml").is_file() or (one / "databases" / "invokeai.db").is_file()
        ),
        None,
    )
    if root is None or path not in (root, root / "models"):
        return None
    folders, notices = _invokeai_folders(root)
    places = [_place(folder, "invokeai", Tool.INVOKEAI) for folder in folders]
    notices.append("InvokeAI keeps track of its files itself: they are indexed where they are")
    return _detected(path, Tool.INVOKEAI, places, notices)


def _invokeai_folders(root: Path) -> tuple[list[Path], list[str]]:
    """Its models, where the settings or else the usual place is, and what it imports from."""
    models, notices = root / "models", []
    settings = root / "invokeai.yaml"
    if settings.is_file():
        try:
            chosen = scalar(dict(Mappings(settings).pairs()).get("models_dir")).strip()
            models = normal(root / expanded(chosen)) if chosen else models
        except UsageError as error:
            notices.append(f"{error.message}; its usual folders were taken")
    autoimport = root / "autoimport"
    return [models, *([autoimport] if autoimport.is_dir() else [])], notices


def _stability_matrix(path: Path) -> Detected | None:
    for data in (path, path / "Data", path.parent):
        models = data / "Models"
        marked = (data / "Packages").is_dir() or (data / "settings.json").is_file()
        if models.is_dir() and marked and path in (data, data.parent, models):
            return _detected(path, Tool.STABILITY_MATRIX, [_matrix_place(models)], _packages(data))
    names = _folders_in(path)
    if "StableDiffusion" in names and len(names & _MATRIX_KINDS) >= 2:
        return _detected(path, Tool.STABILITY_MATRIX, [_matrix_place(path)])
    return None


def _matrix_place(models: Path) -> Place:
    return Place(folder=models, layout=None, origin=Tool.STABILITY_MATRIX)


def _packages(data: Path) -> list[str]:
    """A word on the programs that Stability Matrix installed: they may have models of their own."""
    names = sorted(_folders_in(data / "Packages"))
    if not names:
        return []
    return [
        f"models in {data / 'Packages'} itself ({', '.join(names[:5])}) are adopted by pointing "
        "at each package"
    ]


def _extra(path: Path) -> tuple[tuple[Place, ...], tuple[str, ...]]:
    """The places that a file of extra paths names: a tool's folder as that tool's, whole."""
    folders = read_extra_paths(path)
    places: dict[Path, Place] = {}
    notices: list[str] = []
    for base in dict.fromkeys(one.base for one in folders if one.base is not None):
        found = _folder(base, follow=False) if base.is_dir() else None
        if found is not None:
            places |= {place.folder: place for place in found.places}
            notices += found.notices
    for one in folders:
        if one.folder == Path(one.folder.anchor):
            notices.append(f"{path.name}: {one.section} {one.kind} names a whole disk: left out")
        elif not any(_is_within(one.folder, known) for known in places):
            places[one.folder] = _named(path, one)
    return tuple(places.values()), tuple(notices)


def _named(path: Path, extra: ExtraFolder) -> Place:
    origin = f"{path.name}: {extra.section} {extra.kind}"
    return Place(folder=extra.folder, layout="flat", origin=origin)


def _is_within(path: Path, folder: Path) -> bool:
    return path == folder or path.is_relative_to(folder)


def _place(folder: Path, layout: str, tool: Tool) -> Place:
    return Place(folder=folder, layout=layout, origin=str(tool))


def _detected(
    path: Path, tool: Tool, places: list[Place], notices: list[str] | None = None
) -> Detected:
    unique = {place.folder: place for place in reversed(places)}
    ordered = tuple(reversed(unique.values()))
    return Detected(path=path, tool=tool, places=ordered, notices=tuple(notices or ()))


def _folders_in(path: Path) -> set[str]:
    """The names of the folders in `path`; none where it cannot be read."""
    try:
        with os.scandir(path) as entries:
            return {entry.name for entry in entries if entry.is_dir()}
    except OSError:
        return set()
