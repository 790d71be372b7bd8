"""What a picture says of how it was made: the chunk ``modelhub``, and ``parameters`` for others.

Both name files, never folders: a picture is shown to others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

import msgspec

from modelhub import __version__
from modelhub.errors import FormatError, UsageError
from modelhub.render.answers import Rendered
from modelhub.render.images.infotext import (
    Infotext,
    parse_infotext,
    plain_name,
    written_infotext,
)
from modelhub.render.images.png_text import png_with, read_png_text
from modelhub.render.request import Recipe, Settings
from modelhub.render.samplers import sampling

PARAMETERS = "parameters"
RECORD = "modelhub"
RECORD_VERSION = 1


class UsedFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that took part.

    :param role: ``model``, ``vae``, ``lora``, ``embedding``, ``refiner``, or the name of the part
        that it gave: ``text_encoder``.
    :param name: of the file, without its folder.
    :param sha256: in hex; empty where it is not known.
    :param autov3: of a safetensors file, 12 digits: by this A1111 names LoRAs and embeddings.
    :param weight: of a LoRA.
    """

    role: str
    name: str
    sha256: str = ""
    autov3: str = ""
    weight: float | None = None

    @property
    def stem(self) -> str:
        """The name without its ending, as it may stand in ``parameters``."""
        return plain_name(PurePath(self.name).stem)

    @property
    def autov2(self) -> str:
        """The first 10 digits of its SHA256, in lower case as A1111 writes them."""
        return self.sha256[:10].lower()

    @property
    def addon_hash(self) -> str:
        """By which A1111 names an add-on: the AutoV3, else the start of the SHA256; 12 digits."""
        return (self.autov3 or self.sha256)[:12].lower()


class PictureRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that made a picture, as the chunk ``modelhub`` holds it.

    :param version: of this format; what a later one adds, an earlier reader leaves out.
    :param settings: all of them, the defaults filled in.
    :param precision: that was asked for; empty: as stored. `vae_precision` the same.
    :param weights: in which type the weights were; `arithmetic`: in which was computed.
    :param versions: of torch, diffusers, transformers.
    """

    version: int = RECORD_VERSION
    program: str = f"modelhub {__version__}"
    settings: Settings
    width: int
    height: int
    files: tuple[UsedFile, ...]
    precision: str = ""
    vae_precision: str = ""
    ema: bool = False
    weights: str = ""
    arithmetic: str = ""
    device: str = ""
    versions: dict[str, str] = {}
    faults: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    def of_role(self, role: str) -> tuple[UsedFile, ...]:
        """The files that took this part."""
        return tuple(one for one in self.files if one.role == role)


def picture_record(recipe: Recipe, rendered: Rendered, files: Sequence[UsedFile]) -> PictureRecord:
    """The record of a finished picture.

    :param files: of the recipe, with their hashes; see :func:`used_files`.
    """
    return PictureRecord(
        settings=rendered.settings,
        width=rendered.width,
        height=rendered.height,
        files=tuple(files),
        precision=recipe.precision.value if recipe.precision else "",
        vae_precision=recipe.vae_precision.value if recipe.vae_precision else "",
        ema=recipe.ema,
        weights=rendered.weights,
        arithmetic=rendered.arithmetic,
        device=rendered.device,
        versions=rendered.versions,
        faults=rendered.faults,
        notices=rendered.notices,
    )


def used_files(recipe: Recipe) -> dict[str, UsedFile]:
    """The files of a recipe by their path, without hashes yet: `msgspec.structs.replace` adds them.

    A file in two parts (a checkpoint that is its own refiner) is there once, by its first.
    """
    parts: list[tuple[str, str, float | None]] = [("model", recipe.model, None)]
    if recipe.vae is not None:
        parts.append(("vae", recipe.vae, None))
    parts += [("lora", one.path, one.weight) for one in recipe.loras]
    parts += [("embedding", path, None) for path in recipe.embeddings]
    if recipe.refiner is not None:
        parts.append(("refiner", recipe.refiner, None))
    parts += [(role, path, None) for role, path in recipe.parts.items()]
    found: dict[str, UsedFile] = {}
    for role, path, weight in parts:
        found.setdefault(path, UsedFile(role=role, name=Path(path).name, weight=weight))
    return found


def a1111_parameters(record: PictureRecord) -> str:
    """The text of the chunk ``parameters``, as A1111, Civitai and others read it."""
    settings = record.settings
    sampler, schedule = _sampling_names(settings)
    cfg, switch = settings.cfg, settings.refiner_from
    model = record.of_role("model")
    vae = record.of_role("vae")
    refiner = record.of_role("refiner")
    fields = {
        "Steps": str(settings.steps or 0),
        "Sampler": plain_name(sampler),
        "Schedule type": plain_name(schedule),
        "CFG scale": "" if cfg is None else f"{cfg:g}",
        "Seed": str(settings.seed),
        "Size": f"{record.width}x{record.height}",
        "Model hash": model[0].autov2 if model else "",
        "Model": model[0].stem if model else "",
        "VAE hash": vae[0].autov2 if vae else "",
        "VAE": plain_name(vae[0].name) if vae else "",
        "Clip skip": str(settings.clip_skip) if (settings.clip_skip or 1) > 1 else "",
        # The starting noise is made on the CPU, whatever computes: A1111 calls this choice RNG.
        "RNG": "CPU",
        "Lora hashes": _hashes(record.of_role("lora")),
        "TI hashes": _hashes(record.of_role("embedding")),
        "Refiner": f"{refiner[0].stem} [{refiner[0].autov2}]" if refiner else "",
        "Refiner switch at": "" if switch is None or not refiner else f"{switch:g}",
        "Version": record.program,
    }
    return written_infotext(Infotext(_prompt(record), settings.negative, fields))


def described_png(png: bytes, record: PictureRecord) -> bytes:
    """The picture with both chunks: what is kept on disk.

    :raises FormatError: it is no PNG.
    """
    own = msgspec.json.encode(record).decode()
    return png_with(png, {PARAMETERS: a1111_parameters(record), RECORD: own})


def read_parameters(path: Path) -> Infotext | None:
    """What the ``parameters`` of any program's PNG say; None without them.

    :raises FormatError: it is no PNG, or damaged.
    :raises FileUnreadable: it cannot be read.
    """
    text = read_png_text(path).get(PARAMETERS)
    return None if text is None else parse_infotext(text)


def read_record(path: Path) -> PictureRecord | None:
    """Our own record of a PNG; None of a picture that modelhub did not make.

    :raises FormatError: it is no PNG, or the record is damaged or of a later, other format.
    :raises FileUnreadable: it cannot be read.
    """
    text = read_png_text(path).get(RECORD)
    if text is None:
        return None
    try:
        record = msgspec.json.decode(text.encode(), type=PictureRecord)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise FormatError(
            f"the record of how it was made is damaged: {error}", path=path
        ) from error
    if record.version > RECORD_VERSION:
        raise FormatError(
            f"the record is of format {record.version}, this modelhub reads {RECORD_VERSION}",
            path=path,
            hint="upgrade modelhub",
        )
    return record


def _prompt(record: PictureRecord) -> str:
    """The prompt with the LoRAs in it, as A1111 users write them."""
    tags = [
        f"<lora:{one.stem}:{1.0 if one.weight is None else one.weight:g}>"
        for one in record.of_role("lora")
    ]
    return " ".join([record.settings.prompt.strip(), *tags]).strip()


def _sampling_names(settings: Settings) -> tuple[str, str]:
    """Sampler and schedule as A1111 calls them; those that it lacks as they were asked for."""
    asked = settings.sampler or "", settings.schedule or ""
    try:
        found = sampling(asked[0], asked[1] or None)
    except UsageError:
        return asked
    return found.sampler.name, found.schedule.label


def _hashes(files: Sequence[UsedFile]) -> str:
    return ", ".join(f"{one.stem}: {one.addon_hash}" for one in files if one.addon_hash)
