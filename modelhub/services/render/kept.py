"""A finished picture on disk and in the catalog, and back: all that made it."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from modelhub.catalog import RenderRecord, decode_path, encode_path
from modelhub.config.paths import data_folder
from modelhub.convert.options import Precision
from modelhub.disk import disk_errors
from modelhub.errors import FolderNotWritable, ModelhubError, NameTaken
from modelhub.placement.names import clean_name
from modelhub.render.answers import Rendered
from modelhub.render.images.pictures import opened_picture
from modelhub.render.images.record import UsedFile, described_png, picture_record, used_files
from modelhub.render.request import DeviceWish, Recipe, Request, Settings, Weighted
from modelhub.services.render.hashes import FileHash
from modelhub.whole_files import create_file

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, RenderRow

VERSION = 1
_MOST_VARIANTS = 100_000
_LONGEST_STEM = 120
_WHEN_FULL = "free some space, or choose another folder with --out; finished pictures are kept"


class KeptFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that took part, as the catalog keeps it.

    :param role: ``model``, ``vae``, ``lora``, ``embedding``, ``refiner``, or ``part:NAME``.
    :param path: where it was, in the catalog's spelling.
    """

    role: str
    path: str
    sha256: str
    size: int
    autov3: str = ""
    weight: float | None = None

    @property
    def file(self) -> Path:
        """Where it was."""
        return decode_path(self.path)


class KeptRender(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that made a picture: the JSON of a row in ``renders``.

    :param settings: all of them, the defaults filled in.
    :param pixels_sha256: of the picture's size and its RGB values, without what the PNG says.
    :param file_sha256: of the PNG as it was written.
    :param again_of: the id of the render that this one repeats.
    """

    version: int = VERSION
    settings: Settings
    device_wish: DeviceWish = DeviceWish()
    files: tuple[KeptFile, ...]
    precision: Precision | None = None
    vae_precision: Precision | None = None
    ema: bool = False
    allow_unsafe: bool = False
    label: str = ""
    width: int
    height: int
    weights: str
    arithmetic: str
    device: str
    versions: dict[str, str]
    seconds_loading: float
    seconds_steps: float
    seconds_decoding: float
    peak_bytes: int
    faults: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    pixels_sha256: str
    file_sha256: str
    again_of: int | None = None

    def recipe(self, paths: dict[str, Path]) -> Recipe:
        """The recipe that it was made by.

        :param paths: where each file is now, by its SHA256.
        """
        of_role: dict[str, list[str]] = {}
        for one in self.files:
            of_role.setdefault(one.role, []).append(os.fspath(paths[one.sha256]))
        loras = [one for one in self.files if one.role == "lora"]
        return Recipe(
            model=of_role["model"][0],
            vae=next(iter(of_role.get("vae", ())), None),
            loras=tuple(
                Weighted(os.fspath(paths[one.sha256]), 1.0 if one.weight is None else one.weight)
                for one in loras
            ),
            embeddings=tuple(of_role.get("embedding", ())),
            refiner=next(iter(of_role.get("refiner", ())), None),
            parts={
                role.removeprefix("part:"): found[0]
                for role, found in of_role.items()
                if role.startswith("part:")
            },
            precision=self.precision,
            vae_precision=self.vae_precision,
            ema=self.ema,
            allow_unsafe=self.allow_unsafe,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A picture that is to be kept, with what is known of it."""

    request: Request
    rendered: Rendered
    hashes: dict[str, FileHash]
    label: str = ""
    again_of: int | None = None


def kept_render(row: RenderRow) -> KeptRender:
    """What a row says of how its picture was made.

    :raises ModelhubError: another program, or a later modelhub, wrote it.
    """
    try:
        kept = msgspec.convert(row.parameters, KeptRender)
    except msgspec.ValidationError as error:
        raise ModelhubError(f"render {row.id} has a record that cannot be read: {error}") from error
    if kept.version > VERSION:
        raise ModelhubError(f"a later modelhub made render {row.id}", hint="upgrade modelhub")
    return kept


def write_picture(one: Finished, folder: Path, stem: str) -> tuple[Path, KeptRender]:
    """Write the picture, whole, under a free name, with its text chunks.

    :raises DiskError: the folder cannot be written to, or the disk is full; nothing is left.
    """
    recipe = one.request.recipe
    record = picture_record(recipe, one.rendered, _named(recipe, one.hashes))
    png = described_png(one.rendered.png, record)
    path = write_new(folder, stem, png)
    return path, _kept(one, png)


def require_places(folder: Path, grid: Path | None) -> None:
    """See, before anything is rendered, that pictures can be written where they are to go.

    :raises NameTaken: there is a file where the grid should be.
    :raises DiskError: a folder cannot be made, or not be written to.
    """
    if grid is not None and os.path.lexists(grid):
        raise NameTaken(
            f"{grid} is there already, and nothing is replaced",
            hint="give another name with --grid",
        )
    for place in {folder} | ({grid.absolute().parent} if grid else set()):
        with disk_errors(place):
            place.mkdir(parents=True, exist_ok=True)
        if not os.access(place, os.W_OK | os.X_OK):
            raise FolderNotWritable(
                f"no permission to write to {place}", hint="choose another folder with --out"
            )


def write_new(folder: Path, stem: str, png: bytes) -> Path:
    """Write a PNG under the first free name: ``STEM.png``, ``STEM-2.png``, ...

    :raises DiskError: as :func:`write_picture`.
    """
    name = clean_name(stem, max_bytes=_LONGEST_STEM)
    with disk_errors(folder, when_full=_WHEN_FULL):
        folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        if number > _MOST_VARIANTS:
            break
        path = folder / f"{name}{f'-{number}' if number > 1 else ''}.png"
        if os.path.lexists(path):
            continue
        with disk_errors(path, when_full=_WHEN_FULL):
            try:
                create_file(path, png)
            except FileExistsError:
                continue
        return path
    raise NameTaken(f"{folder} has {_MOST_VARIANTS:,} pictures called {name}")


def record_picture(catalog: Catalog, path: Path, kept: KeptRender, tested_sha256: str) -> int:
    """Record a picture that is on disk; its id.

    :raises CatalogError: the catalog cannot be written to; the picture is there all the same.
    """
    parameters: dict[str, Any] = msgspec.to_builtins(kept)
    return catalog.record_render(
        RenderRecord(
            sha256=tested_sha256,
            file=path,
            parameters=parameters,
            prompt=kept.settings.prompt,
            negative_prompt=kept.settings.negative,
            seed=kept.settings.seed,
            also_used=tuple({one.sha256 for one in kept.files}),
        )
    )


def kept_files(recipe: Recipe, hashes: dict[str, FileHash]) -> tuple[KeptFile, ...]:
    """The files of a recipe with their hashes; a file in two parts is there twice."""
    roles: list[tuple[str, str, float | None]] = [("model", recipe.model, None)]
    roles += [("vae", recipe.vae, None)] if recipe.vae else []
    roles += [("lora", one.path, one.weight) for one in recipe.loras]
    roles += [("embedding", path, None) for path in recipe.embeddings]
    roles += [("refiner", recipe.refiner, None)] if recipe.refiner else []
    roles += [(f"part:{part}", path, None) for part, path in recipe.parts.items()]
    return tuple(
        KeptFile(
            role=role,
            path=encode_path(Path(path)),
            sha256=hashes[path].sha256,
            size=hashes[path].size,
            autov3=hashes[path].autov3,
            weight=weight,
        )
        for role, path, weight in roles
    )


def pixels_sha256(png: bytes) -> str:
    """The hash of a picture's size and its RGB values."""
    picture = opened_picture(png)
    size = f"{picture.width}x{picture.height}".encode()
    return hashlib.sha256(size + picture.tobytes()).hexdigest()


def day_folder(now: Callable[[], datetime] = datetime.now) -> Path:
    """Where the pictures of today are kept, by the local date."""
    return data_folder() / "renders" / f"{now():%Y-%m-%d}"


def _named(recipe: Recipe, hashes: dict[str, FileHash]) -> list[UsedFile]:
    """The files of a recipe as the picture names them, with their hashes."""
    return [
        replace(
            used,
            name=PurePath(encode_path(Path(path))).name,
            sha256=hashes[path].sha256,
            autov3=hashes[path].autov3,
        )
        for path, used in used_files(recipe).items()
    ]


def _kept(one: Finished, png: bytes) -> KeptRender:
    made, recipe = one.rendered, one.request.recipe
    return KeptRender(
        settings=made.settings,
        device_wish=one.request.wish,
        files=kept_files(recipe, one.hashes),
        precision=recipe.precision,
        vae_precision=recipe.vae_precision,
        ema=recipe.ema,
        allow_unsafe=recipe.allow_unsafe,
        label=one.label,
        width=made.width,
        height=made.height,
        weights=made.weights,
        arithmetic=made.arithmetic,
        device=made.device,
        versions=made.versions,
        seconds_loading=made.seconds_loading,
        seconds_steps=made.seconds_steps,
        seconds_decoding=made.seconds_decoding,
        peak_bytes=made.peak_bytes,
        faults=made.faults,
        notices=made.notices,
        pixels_sha256=pixels_sha256(made.png),
        file_sha256=hashlib.sha256(png).hexdigest(),
        again_of=one.again_of,
    )
