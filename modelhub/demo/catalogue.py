"""The models that the demo hub publishes.

78056 and 107842 are models of Civitai with their names and ids there; all files are the demo's
own, tiny and random, and so are their sizes and hashes. All other ids are made up.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from modelhub.demo import recipes
from modelhub.demo.published import (
    PublishedFile,
    PublishedImage,
    PublishedModel,
    PublishedVersion,
)
from modelhub.demo.recipes import kept

SAKUSHIMIX, SAKUSHIMIX_FINAL = 78056, 133274
ANIVERSE, ANIVERSE_NEW, ANIVERSE_OLD = 107842, 428028, 116002
LORA, LORA_VERSION = 910001, 910101
VAE, VAE_VERSION = 910002, 910102
EMBEDDING, EMBEDDING_VERSION = 910003, 910103
MALICIOUS, MALICIOUS_VERSION = 910004, 910104
LOGIN_REQUIRED, LOGIN_REQUIRED_VERSION = 910005, 910105
EARLY_ACCESS, EARLY_ACCESS_VERSION = 910006, 910106
ARCHIVED, ARCHIVED_VERSION = 910007, 910107
NO_FILES, NO_FILES_VERSION = 910008, 910108
DOWNLOADS_DISABLED, DOWNLOADS_DISABLED_VERSION = 910009, 910109
NASTY_NAMES, NASTY_NAMES_VERSION = 910010, 910110

HOSTILE_NAMES = (
    "../../../outside.safetensors",
    "..\\..\\outside.safetensors",
    "/etc/absolute.safetensors",
    "🦄 sparkle ✨.safetensors",
    "long" * 75 + ".safetensors",
    "CON.safetensors",
    "trailing dots... .safetensors. . .",
    "\u202egnp.srosnetefas.safetensors",
    "two\nlines.safetensors",
    "nul\0byte.safetensors",
    ".hidden.safetensors",
    "",
)


def demo_models(folder: Path | None) -> list[PublishedModel]:
    """All demo models, as they are published; their files are made when first asked for.

    :param folder: keep the files there, and use those that are there already.
    """
    return [
        _sakushimix(folder),
        _aniverse(folder),
        _lora(folder),
        _vae(folder),
        _embedding(),
        _malicious(),
        *_restricted(),
        _nasty_names(),
    ]


def _day(year: int, month: int, day: int) -> dt.datetime:
    return dt.datetime(year, month, day, 9, 30, tzinfo=dt.UTC)


def _sakushimix(folder: Path | None) -> PublishedModel:
    name = "sakushimixFinished_sakushimixFinal.safetensors"
    title = "SakushiMix (finished) - SakushiMix Final"
    return PublishedModel(
        id=SAKUSHIMIX,
        name="SakushiMix (finished)",
        checkpoint_type="Merge",
        creator="demo-sakushi",
        tags=["anime", "base model", "illustration"],
        supports_generation=True,
        description=(
            "<p>A <strong>demo file</strong> of the true layout: its weights are random.</p>"
            "<ul><li>Sampler: <em>DPM++ 2M Karras</em></li><li>Clip skip: 2</li></ul>"
            '<p>See <a target="_blank" rel="ugc" href="https://civitai.com/models/78056">the real '
            "one</a>.</p><script>alert('never run')</script>"
        ),
        versions=[
            PublishedVersion(
                id=SAKUSHIMIX_FINAL,
                name="SakushiMix Final",
                description="<p>The last one.</p>",
                published_at=_day(2023, 7, 31),
                downloads=15_204,
                thumbs_up=1_630,
                files=[
                    PublishedFile(
                        id=97_301,
                        name=name,
                        content=kept(folder, "sakushimix-fp16", recipes.checkpoint(133_274, title)),
                    ),
                    PublishedFile(
                        id=97_302,
                        name=name,
                        size="full",
                        fp="fp32",
                        content=kept(
                            folder, "sakushimix-fp32", recipes.checkpoint(133_274, title, "F32")
                        ),
                    ),
                ],
                images=[
                    PublishedImage(id=1_970_001, seed=1, prompt="1girl, garden, morning light"),
                    PublishedImage(id=1_970_002, seed=2, width=768, height=512, nsfw_level=2),
                    PublishedImage(id=1_970_003, seed=3, nsfw_level=8),
                ],
            )
        ],
    )


def _aniverse(folder: Path | None) -> PublishedModel:
    def version(
        number: int, file: int, name: str, file_name: str, day: dt.datetime
    ) -> PublishedVersion:
        return PublishedVersion(
            id=number,
            name=name,
            published_at=day,
            downloads=9_000 + number // 100,
            thumbs_up=800,
            files=[
                PublishedFile(
                    id=file,
                    name=file_name,
                    content=kept(
                        folder,
                        f"aniverse-{number}",
                        recipes.checkpoint(number, f"AniVerse - {name}"),
                    ),
                )
            ],
            images=[
                PublishedImage(id=file * 10 + 1, seed=number, prompt="city at night, rain"),
                PublishedImage(id=file * 10 + 2, seed=number + 1, nsfw_level=4),
            ],
        )

    new = version(ANIVERSE_NEW, 341_001, "V2.0", "aniverse_v20.safetensors", _day(2024, 4, 6))
    new.vae_version_id = VAE_VERSION
    old = version(ANIVERSE_OLD, 341_002, "V1.0", "aniverse_v10.safetensors", _day(2023, 7, 12))
    return PublishedModel(
        id=ANIVERSE,
        name="AniVerse",
        checkpoint_type="Trained",
        creator="demo-aniverse",
        tags=["anime", "semi-realistic", "base model"],
        description="<p>Random weights under a known name.</p>",
        supports_generation=True,
        versions=[new, old],
    )


def _lora(folder: Path | None) -> PublishedModel:
    content = recipes.lora(910_101, "Ink Wash Lines", "inkwash")
    return PublishedModel(
        id=LORA,
        name="Ink Wash Lines",
        type="LORA",
        creator="demo-brush",
        tags=["style", "ink"],
        description="<p>Use <code>inkwash style</code> at <strong>0.8</strong>.</p>",
        versions=[
            PublishedVersion(
                id=LORA_VERSION,
                name="v1.0",
                trained_words=["inkwash style", "thin lines, rice paper"],
                published_at=_day(2024, 9, 2),
                downloads=4_120,
                thumbs_up=512,
                files=[
                    PublishedFile(
                        id=911_101,
                        name="ink-wash-lines.safetensors",
                        size=None,
                        fp=None,
                        content=kept(folder, "lora", content),
                    )
                ],
                images=[PublishedImage(id=1_970_010, seed=10, prompt="inkwash style, a heron")],
            )
        ],
    )


def _vae(folder: Path | None) -> PublishedModel:
    return PublishedModel(
        id=VAE,
        name="Clear Colours VAE",
        type="VAE",
        creator="demo-brush",
        tags=["vae"],
        versions=[
            PublishedVersion(
                id=VAE_VERSION,
                name="v1",
                published_at=_day(2023, 5, 20),
                downloads=22_000,
                thumbs_up=900,
                files=[
                    PublishedFile(
                        id=911_102,
                        name="clearColoursVAE_v1.safetensors",
                        content=kept(folder, "vae", recipes.autoencoder(910_102, "Clear Colours")),
                    )
                ],
                images=[PublishedImage(id=1_970_011, seed=11)],
            )
        ],
    )


def _embedding() -> PublishedModel:
    return PublishedModel(
        id=EMBEDDING,
        name="Demo Negative",
        type="TextualInversion",
        creator=None,
        tags=["negative", "tool"],
        versions=[
            PublishedVersion(
                id=EMBEDDING_VERSION,
                name="v1",
                trained_words=["demoneg"],
                published_at=_day(2023, 3, 1),
                downloads=3_010,
                thumbs_up=77,
                files=[
                    PublishedFile(
                        id=911_103,
                        name="demoneg.safetensors",
                        type="Negative",
                        size=None,
                        fp="fp32",
                        content=recipes.embedding(910_103),
                    ),
                    PublishedFile(
                        id=911_113,
                        name="demoneg.pt",
                        type="Negative",
                        format="PickleTensor",
                        size=None,
                        fp="fp32",
                        content=recipes.pickled_embedding(910_103),
                    ),
                ],
                images=[PublishedImage(id=1_970_012, seed=12)],
            )
        ],
    )


def _malicious() -> PublishedModel:
    return PublishedModel(
        id=MALICIOUS,
        name="Too Good To Be True",
        creator="demo-stranger",
        tags=["danger"],
        description="<p>A checkpoint that runs a command when it is loaded. Never load it.</p>",
        versions=[
            PublishedVersion(
                id=MALICIOUS_VERSION,
                name="v1",
                published_at=_day(2023, 2, 2),
                downloads=3,
                files=[
                    PublishedFile(
                        id=911_104,
                        name="tooGoodToBeTrue_v1.ckpt",
                        format="PickleTensor",
                        pickle_scan="Danger",
                        pickle_message="**Detected Pickle imports (1)**\n```\nposix.system\n```",
                        content=recipes.malicious_checkpoint(910_104),
                    )
                ],
            )
        ],
    )


def _small(number: int, model: int, name: str, **version: object) -> PublishedModel:
    """A model of one version with one small file, both of which are special in `version`."""
    body = PublishedVersion(
        id=number,
        name="v1",
        files=[
            PublishedFile(
                id=number + 1_000,
                name=f"{name.title().replace(' ', '')}_v1.safetensors",
                content=recipes.embedding(number),
            )
        ],
        images=[PublishedImage(id=1_960_000 + number % 1_000, seed=number)],
    )
    for field, value in version.items():
        setattr(body, field, value)
    return PublishedModel(
        id=model, name=name, type="TextualInversion", creator="demo-gate", versions=[body]
    )


def _restricted() -> list[PublishedModel]:
    soon = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=14)
    archived = _small(ARCHIVED_VERSION, ARCHIVED, "Archived demo")
    archived.mode = "Archived"
    return [
        _small(LOGIN_REQUIRED_VERSION, LOGIN_REQUIRED, "Login required demo", login_required=True),
        _small(EARLY_ACCESS_VERSION, EARLY_ACCESS, "Early access demo", early_access_until=soon),
        archived,
        _small(NO_FILES_VERSION, NO_FILES, "No files demo", files=[]),
        _small(
            DOWNLOADS_DISABLED_VERSION,
            DOWNLOADS_DISABLED,
            "Downloads disabled demo",
            usage_control="Generation",
        ),
    ]


def _nasty_names() -> PublishedModel:
    hostile = [
        PublishedFile(
            id=912_000 + index,
            name=name,
            content=recipes.embedding(912_000 + index, vectors=1 + index),
            disposition=("both", "plain", "extended")[index % 3],
        )
        for index, name in enumerate(HOSTILE_NAMES)
    ]
    return PublishedModel(
        id=NASTY_NAMES,
        name="Names / that \\ hurt: \u202e<b>CON</b>\n🦄",
        type="TextualInversion",
        creator="../demo",
        tags=["hostile", "../tag"],
        description="<p>Every file has a name that must not reach the disk as it is.</p>",
        versions=[
            PublishedVersion(
                id=NASTY_NAMES_VERSION,
                name="v1/..",
                trained_words=["<lora:evil:1>", "two\nlines"],
                files=hostile,
                images=[PublishedImage(id=1_970_020, seed=20)],
            )
        ],
    )
