"""Small models of flow matching of the true layouts, and the files that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from modelhub.demo.weights import flux, sd1, sd3
from modelhub.demo.weights.files import write_safetensors
from modelhub.demo.weights.tables import Table, Tensor
from modelhub.render.request import Recipe
from tests.render.pipelines import flux2_tables, krea2_tables, qwen21_tables, qwen_tables
from tests.render.pipelines.flow_tables import (
    LUMINA,
    Approximator,
    Aura,
    Refined,
    auraflow,
    chroma,
    language_model,
    refined,
)
from tests.render.pipelines.tokenizer_folder import write_tokenizer

VAE = 16
SD3 = sd3.checkpoint(sd3.TINY)
_CAPTION = flux.T5_TINY.width
T5 = flux.t5_encoder(flux.T5_TINY)
_PILE = [
    *T5,
    Tensor(
        "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight",
        (32, flux.T5_TINY.heads),
    ),
]


class Shelf:
    """Files of parts, each written once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, name: str, table: Table, metadata: dict[str, str] | None = None) -> str:
        """A safetensors file of that name."""
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            write_safetensors(path, table, 7, metadata or {})
        return str(path)

    @property
    def tokenizer(self) -> str:
        """A folder with the tokenizer of T5's kind."""
        return str(write_tokenizer(self.folder / "tokenizer"))

    @property
    def vae(self) -> str:
        """A VAE of 16 channels."""
        return self.file("ae", sd3.autoencoder(VAE))

    def flux(self, parts: Mapping[str, str] | None = None, *, guided: bool = True) -> Recipe:
        """Flux's transformer, and the parts that it needs in files of their own."""
        table = flux.transformer(replace(flux.TINY, guided=guided))
        return Recipe(
            model=self.file(f"flux {guided}", table),
            vae=self.vae,
            parts={
                "text_encoder": self.file("clip_l", sd3.text_encoder(sd3.TINY)),
                "text_encoder_2": self.file("t5xxl", T5),
                "tokenizer_2": self.tokenizer,
                **(parts or {}),
            },
        )

    def recipe(self, architecture: str) -> Recipe:
        """A small model of a kind, with all that it needs."""
        if architecture == "flux":
            return self.flux()
        if architecture == "sd3":
            return Recipe(model=self.file("sd3", SD3))
        table, text, named = _SMALL[architecture]
        vae = self.vae
        if architecture == "auraflow":
            vae = self.file("sdxl vae", sd1.autoencoder(sd1.Widths(vae=VAE)))
        elif architecture == "qwen21":
            vae = self.file("qwen 2.1 vae", qwen21_tables.autoencoder(8, 12))
        elif architecture in ("qwen", "krea2"):
            vae = self.file("wan vae", qwen_tables.autoencoder(8))
        elif architecture in ("flux2", "klein"):
            vae = self.file("flux2 vae", flux2_tables.autoencoder(VAE))
        return Recipe(
            model=self.file(architecture, table, {"modelspec.architecture": named}),
            vae=vae,
            parts={
                "text_encoder": self.file(f"text of {architecture}", text),
                "tokenizer": self.tokenizer,
            },
        )


_SMALL: dict[str, tuple[Table, Table, str]] = {
    "chroma": (
        chroma(flux.TINY, Approximator(inputs=16, width=32, layers=2)),
        T5,
        "chroma",
    ),
    "zimage": (
        refined(
            Refined(width=64, head=32, key_heads=2, inner=170, layers=1, caption=32, condition=64)
        ),
        language_model(32, 16, gemma=False),
        "z-image",
    ),
    "lumina": (
        refined(
            replace(LUMINA, width=96, head=24, key_heads=2, inner=512, layers=1, caption=64,
                    condition=96)
        ),
        language_model(64, 256, gemma=True),
        "lumina-2",
    ),
    "auraflow": (
        auraflow(Aura(width=256, caption=_CAPTION, inner=768, places=64, double=1, single=1)),
        _PILE,
        "auraflow",
    ),
    "qwen": (
        qwen_tables.transformer(qwen_tables.TINY),
        qwen_tables.text_encoder(qwen_tables.TINY.caption),
        "qwen-image",
    ),
    "qwen21": (
        qwen21_tables.transformer(qwen21_tables.TINY),
        language_model(qwen21_tables.TINY.caption, 16, gemma=False),
        "",
    ),
    "krea2": (
        krea2_tables.transformer(krea2_tables.TINY),
        language_model(krea2_tables.TINY.text, 16, gemma=False, layers=36),
        "",
    ),
    "flux2": (
        flux2_tables.transformer(flux2_tables.TINY),
        flux2_tables.mistral(32, 30),
        "flux-2-dev",
    ),
    "klein": (
        flux2_tables.transformer(replace(flux2_tables.TINY, guided=False)),
        language_model(32, 16, gemma=False, layers=28),
        "flux-2-klein-4b",
    ),
}  # fmt: skip
"""The transformer, the text encoder, and what the metadata say: the widths are nobody's."""
