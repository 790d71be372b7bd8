"""Which VAE of a library goes with which Wan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.render.pipelines import qwen_tables, wan_tables
from tests.render.pipelines.flow_models import Shelf
from tests.render.pipelines.wan_tables import TINY

from .conftest import Studio

pytestmark = pytest.mark.filterwarnings("ignore")


def test_wan_takes_the_vae_of_its_own_channels_from_the_library(studio: Studio) -> None:
    shelf = Shelf(studio.root)
    # Of those that could be taken, the smaller one comes first.
    small = [replace(one, shape=(1,) * len(one.shape)) for one in wan_tables.autoencoder_of_2_2()]
    shelf.file("wan2.2_vae", small)
    wanted = shelf.file("wan_2.1_vae", qwen_tables.autoencoder(8))
    parts = {
        "text_encoder": shelf.file("umt5", wan_tables.text_encoder()),
        "tokenizer": shelf.tokenizer,
    }
    model = shelf.file("wan", wan_tables.transformer(TINY))
    studio.index()
    wishes: dict[str, Any] = {"parts": parts, "sampler": None}
    image = studio.one(model, **wishes)
    used = {one.role: one.file for one in image.kept.files}
    assert used["vae"] == Path(wanted)
