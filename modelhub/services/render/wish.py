"""What a user can ask of one run of `render`, before any file has been looked at."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from modelhub.convert.options import Precision
from modelhub.render.defaults import RANDOM
from modelhub.render.request import DeviceWish, Settings

_SEEDS = 32
"""Bits of a seed that is drawn: what other programs take too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderWish:
    """What to make of the files. Files are texts as the user typed them: paths or catalog names.

    :param settings: None where the user said nothing; a seed of -1 is any.
    :param loras: besides the files themselves, each with its weight.
    :param vae: in the place of the baked one.
    :param on: the checkpoint that LoRAs, embeddings and VAEs are tried on; None: one that fits is
        taken from the catalog.
    :param parts: for what the model lacks: ``{"text_encoder": FILE}``.
    :param compare: ``--compare`` as typed: ``dtype``, ``lora-weight=0,0.5,1``.
    :param grid: where the grid is written to; None: beside the pictures.
    :param out: the folder of the pictures; None: by day, in modelhub's data folder.
    :param triggers: put the trigger words of LoRAs and embeddings into the prompt.
    :param recommended: what the model's page recommends, in the place of the architecture's usual.
    """

    settings: Settings = field(default_factory=Settings)
    loras: tuple[tuple[str, float], ...] = ()
    embeddings: tuple[str, ...] = ()
    vae: str | None = None
    on: str | None = None
    refiner: str | None = None
    parts: dict[str, str] = field(default_factory=dict)
    precision: Precision | None = None
    vae_precision: Precision | None = None
    ema: bool = False
    compare: tuple[str, ...] = ()
    grid: Path | None = None
    out: Path | None = None
    device: DeviceWish = field(default_factory=DeviceWish)
    triggers: bool = True
    recommended: bool = True
    preview: bool = False
    allow_unsafe: bool = False

    def seeded(self) -> Settings:
        """The settings with a seed: all pictures of a run have the same."""
        if self.settings.seed != RANDOM:
            return self.settings
        return replace(self.settings, seed=secrets.randbits(_SEEDS))
