"""Small models of Wan, and the files that go with them."""

from __future__ import annotations

from dataclasses import replace

from modelhub.demo.weights.tables import Table
from modelhub.render.request import Recipe
from tests.render.pipelines import qwen_tables, wan_tables
from tests.render.pipelines.flow_models import Shelf
from tests.render.pipelines.wan_tables import TINY, Widths

OF_5B = replace(TINY, taken=48, given=48)


def recipe(shelf: Shelf, name: str = "wan", widths: Widths = TINY, **parts: str) -> Recipe:
    """A transformer in a file of that name, and all that it needs beside it."""
    vae = shelf.file("wan vae", qwen_tables.autoencoder(8))
    if widths.given == 48:
        vae = shelf.file("wan2.2 vae", wan_tables.autoencoder_of_2_2())
    text = shelf.file("umt5", wan_tables.text_encoder())
    return Recipe(
        model=shelf.file(name, wan_tables.transformer(widths)),
        vae=vae,
        parts={"text_encoder": text, "tokenizer": shelf.tokenizer, **parts},
    )


def both(shelf: Shelf) -> Recipe:
    """Both transformers of 2.2's 14B."""
    low = shelf.file("wan2.2 low noise", _other(wan_tables.transformer(TINY)))
    return recipe(shelf, "wan2.2 high noise", transformer_2=low)


def _other(table: Table) -> Table:
    """The same tensors in another order: their numbers are others."""
    return table[::-1]
