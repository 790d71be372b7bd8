"""The pipeline of a model of flow matching: its parts, out of one file or of several."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelhub.convert.readers import Source
from modelhub.convert.values import Planned
from modelhub.errors import AddonMisfit, CannotRender, FormatError
from modelhub.formats.diffusers_config.shapes import PartShapes
from modelhub.formats.diffusers_config.text import tokenizer_configs
from modelhub.formats.identify import identify
from modelhub.formats.identity import Identity
from modelhub.render.pipelines.architectures import (
    MISTRAL,
    Needed,
    OtherPipeline,
    layout_of,
    pipeline_for,
)
from modelhub.render.pipelines.files import RecipeFiles
from modelhub.render.pipelines.flow import flux2, hidream, krea2, sana, wan
from modelhub.render.pipelines.flow.autoencoders import autoencoder_of
from modelhub.render.pipelines.flow.configs import (
    latent_channels,
    scheduler_config,
    text_widths,
    transformer_config,
)
from modelhub.render.pipelines.flow.encoders import encoder_of
from modelhub.render.pipelines.flow.names import rules_for
from modelhub.render.pipelines.flow.renaming import renamed
from modelhub.render.pipelines.flow.scaled import multiplied
from modelhub.render.pipelines.missing import missing_parts, refusal
from modelhub.render.pipelines.plans import Blueprint, PartContent, PartPlan
from modelhub.render.pipelines.sources import content_of
from modelhub.render.pipelines.tokenizerplaces import (
    tokenizer_beside,
    tokenizer_place,
    tokenizer_within,
)
from modelhub.render.request import Recipe

_TRANSFORMER = ("model.diffusion_model.", "diffusion_model.", "transformer/")
_WRAPPED = "transformer."
_PATCH = 2
_PATCHES = {"sana": 1}
"""Latents along the side of a patch, by the architecture; else two."""
_WANTS_PICTURE = {"inpainting", "control"}
_NOT_OF_A_TEXT = "makes no picture of a text alone, or not with a pipeline that is known here"
_REFUSED = {
    **dict.fromkeys(("next", "newbie", "radiance", "sprint", "e1"), _NOT_OF_A_TEXT),
    "layered": "takes a picture apart into layers: it makes none of a text alone",
}
"""Editions, and why they are not rendered."""
_LAYERS_READ = {**flux2.LAYERS_READ, "Krea2Pipeline": krea2.LAYERS_READ}
"""By the class of a pipeline, the layers of its text encoder that it reads."""
_PLAIN: Mapping[tuple[str, ...], str] = {(MISTRAL,): "mistral", (hidream.LLAMA,): "llama"}
"""By what a text encoder fits, which of those that no tensor tells apart it is."""
_SEEING = "Qwen3-VL"


def flow_blueprint(
    recipe: Recipe, source: Source, identity: Identity, files: RecipeFiles
) -> Blueprint:
    """The pipeline that a recipe makes around a transformer.

    :param source: of the recipe's model.
    :param identity: of the same: its architecture is one of
        :data:`~modelhub.render.pipelines.architectures.PIPELINES`.
    :raises PartsMissing: a part is in none of the files.
    :raises CannotRender: a file has no such part, or one that this cannot be made of.
    :raises AddonMisfit: parts are of different models.
    """
    pipeline = pipeline_for(identity)
    assert pipeline is not None
    _refuse(recipe, identity, pipeline)
    missing = missing_parts(source.header, identity, recipe)
    if missing:
        raise refusal(recipe, missing)
    return _Drawing(recipe, source, identity, pipeline, files).blueprint()


def _refuse(recipe: Recipe, identity: Identity, pipeline: OtherPipeline) -> None:
    why = _REFUSED.get(identity.edition or "")
    of_more = identity.architecture == "wan" and identity.edition not in wan.OF_A_TEXT_ALONE
    if why is None and (of_more or _WANTS_PICTURE & set(identity.variants)):
        why = _NOT_OF_A_TEXT
    if why is not None:
        raise CannotRender(
            f"{recipe.model} ({identity.architecture} {identity.edition or ''}) {why}",
            hint="`modelhub inspect` shows what the file is",
        )
    if recipe.ema:
        raise CannotRender(
            f"{recipe.model} has no averaged weights (EMA)", hint="render it without `--ema`"
        )
    for name in recipe.parts:
        if name not in pipeline.names:
            raise CannotRender(
                f"no part of this pipeline is called {name[:50]!r}",
                hint=f"its parts are {', '.join(pipeline.names)}",
            )


class _Drawing:
    """One pipeline while it is drawn."""

    def __init__(
        self,
        recipe: Recipe,
        source: Source,
        identity: Identity,
        pipeline: OtherPipeline,
        files: RecipeFiles,
    ) -> None:
        self._recipe = recipe
        self._source = source
        self._identity = identity
        self._files = files
        self._architecture = layout_of(identity)
        self._pipeline = pipeline
        self._given = dict(recipe.parts)
        if recipe.vae is not None:
            self._given["vae"] = recipe.vae
        self._notices: list[str] = list(source.header.notices)
        self._widths: dict[str, int] = {}
        self._side = 16

    def blueprint(self) -> Blueprint:
        """All of it."""
        transformer = self._transformer(self._source)
        second = list(self._second(transformer))
        parts = [transformer, *second, self._vae(transformer)]
        places = dict(self._places())
        parts += [
            self._encoder(one)
            for one in (*self._pipeline.parts, *self._pipeline.optional)
            if one.part.startswith("text_encoder") and self._is_used(one, places)
        ]
        self._check_widths(transformer)
        clip = {
            one.folder.replace("text_encoder", "tokenizer"): one.folder != "text_encoder"
            for one in parts
            if one.model_class[1].startswith("CLIPText")
        }
        return Blueprint(
            recipe=self._recipe,
            identity=self._identity,
            pipeline_class=self._pipeline.pipeline_class,
            settings=self._settings(both=bool(second)),
            parts=tuple(parts),
            scheduler=self._scheduler(transformer, both=bool(second)),
            tokenizers={
                name: tokenizer_configs(open_clip=large)["tokenizer_config.json"]
                for name, large in clip.items()
            },
            notices=tuple(self._notices),
            sources=self._files.sources,
            tokenizer_places={name: places[name] for name in places if self._reads(name, parts)},
            side=self._side,
            most_pixels=hidream.MOST_PIXELS if self._architecture == "hidream" else None,
        )

    def _settings(self, *, both: bool) -> dict[str, Any]:
        if self._architecture == "krea2":
            return krea2.krea2_settings(self._identity)
        return {"boundary_ratio": wan.BOUNDARY} if both else {}

    def _scheduler(self, transformer: PartPlan, *, both: bool) -> dict[str, Any]:
        if self._architecture == "wan":
            return wan.scheduler_config(self._identity, both=both)
        if self._architecture == "sana":
            return sana.scheduler_config(self._identity)
        if self._architecture == "hidream":
            return hidream.scheduler_config(self._identity)
        guided = bool(transformer.config.get("guidance_embeds", True))
        return scheduler_config(self._architecture, guided=guided)

    def _second(self, first: PartPlan) -> Iterator[PartPlan]:
        """Wan 2.2's other transformer; where there is none, what is to be said of that."""
        if self._architecture != "wan":
            return
        path = self._given.get(wan.SECOND)
        source = self._source if path is None else self._files.open(path)
        if path is not None:
            found = identify(source.header, name=source.path.name)
            wan.require_order(self._identity, found, path)
        elif not _under(source, (f"{wan.SECOND}/",)):
            notice = wan.notice_of_one(self._identity)
            self._notices += [] if notice is None else [notice]
            return
        second = self._transformer(source, wan.SECOND)
        if second.config != first.config:
            raise AddonMisfit(
                f"{source.path}, given as {wan.SECOND}, has other shapes than {self._recipe.model}",
                hint="give the low-noise file of the same model",
            )
        yield second

    def _transformer(self, source: Source, folder: str = "transformer") -> PartPlan:
        found = _under(source, (f"{folder}/", *_TRANSFORMER)) or _all_of(source)
        tensors = multiplied(str(source.path), found)
        rules = rules_for(self._architecture, tensors)
        try:
            width = _width(tensors)
            made = tuple(renamed(rules, tensors, width))
            config = transformer_config(self._architecture, _shapes(made))
            if self._architecture == "sana":
                config |= sana.sizes(self._identity)
        except FormatError as error:
            raise CannotRender(
                f"{source.path} ({folder}): {error.reason}",
                hint="the file is incomplete, or of another architecture: `modelhub inspect` "
                "shows it",
            ) from error
        model_class = ("diffusers", self._pipeline.transformer_class)
        return self._part(folder, model_class, config, made, source)

    def _vae(self, transformer: PartPlan) -> PartPlan:
        needed = next(one for one in self._pipeline.parts if one.part == "vae")
        source, tensors = self._tensors_of(needed)
        try:
            found = autoencoder_of(self._architecture, tensors, self._identity)
        except FormatError as error:
            raise self._no_such_part(needed, source, error) from error
        wanted = latent_channels(self._architecture, transformer.config)
        if found.channels != wanted:
            raise AddonMisfit(
                f"the VAE of {source.path} has {found.channels} channels of latents, "
                f"and {self._recipe.model} has {wanted}",
                hint=f"give {needed.words} with `--vae FILE`",
            )
        self._side = _PATCHES.get(self._architecture, _PATCH) * found.pixels
        model_class = ("diffusers", found.model_class)
        return self._part("vae", model_class, found.config, found.tensors, source)

    def _encoder(self, needed: Needed) -> PartPlan:
        source, tensors = self._tensors_of(needed)
        seeing = any(name.startswith(_SEEING) for name in needed.fits)
        if seeing and not any("visual." in name for name in tensors):
            self._notices.append(
                f"nothing in {source.path} tells that it is {needed.fits[0]}: a Qwen 3 that cannot "
                "see has tensors of the same names and shapes, and gives other pictures"
            )
        try:
            found = encoder_of(
                multiplied(str(source.path), tensors),
                projecting=self._architecture in ("sd3", "hidream"),
                large=needed.fits == ("OpenCLIP-bigG",),
                plain=_PLAIN.get(needed.fits, ""),
                seeing=seeing,
                read_to=max(_LAYERS_READ.get(self._pipeline.pipeline_class, (0,))),
                own_projection=self._architecture == "hidream",
            )
        except FormatError as error:
            raise self._no_such_part(needed, source, error) from error
        if self._architecture == "hidream" and found.model_class.startswith("CLIPText"):
            hidream.require_places(found.config, str(source.path))
        self._widths[needed.part] = found.width
        model_class = ("transformers", found.model_class)
        return self._part(needed.part, model_class, found.config, found.tensors, source)

    def _tensors_of(self, needed: Needed) -> tuple[Source, dict[str, Planned]]:
        """The file that a part is in, and its tensors without what a checkpoint puts before."""
        prefixes = (*needed.prefixes, f"{needed.part}/")
        path = self._given.get(needed.part)
        source = self._source if path is None else self._files.open(path)
        found = _under(source, prefixes)
        if path is not None and not found:
            found = _all_of(source)
        return source, _unwrapped(found)

    def _is_used(self, needed: Needed, places: Mapping[str, Path]) -> bool:
        """Whether a text encoder is part of it; of one that may be left out, why it is not."""
        if needed in self._pipeline.parts:
            return True
        there = needed.part in self._given or bool(
            _under(self._source, (*needed.prefixes, f"{needed.part}/"))
        )
        tokenizer = needed.part.replace("text_encoder", "tokenizer")
        if there and tokenizer in places:
            return True
        lacking = [] if there else [f"`--part {needed.part}=FILE`"]
        lacking += [] if tokenizer in places else [f"`--part {tokenizer}=FOLDER`"]
        self._notices.append(
            f"rendered without {needed.words}, which this model can do without: "
            f"{' and '.join(lacking)} would add it"
        )
        return False

    def _places(self) -> Iterator[tuple[str, Path]]:
        """The tokenizers that do not come with modelhub, as far as they are there."""
        paths = (self._recipe.model, *self._recipe.parts.values())
        for one in (*self._pipeline.parts, *self._pipeline.optional):
            if one.kind is not None:
                continue
            if one.part in self._recipe.parts:
                yield one.part, tokenizer_place(one.part, self._recipe.parts[one.part])
            elif (beside := tokenizer_beside(one.part, paths)) is not None:
                yield one.part, beside
            elif (within := tokenizer_within(one.part, self._recipe.parts)) is not None:
                yield one.part, within

    def _reads(self, tokenizer: str, parts: list[PartPlan]) -> bool:
        encoder = tokenizer.replace("tokenizer", "text_encoder")
        return any(one.folder == encoder for one in parts)

    def _check_widths(self, transformer: PartPlan) -> None:
        for names, wanted in text_widths(self._architecture, transformer.config).items():
            found = sum(self._widths.get(name, 0) for name in names)
            if found not in (0, wanted):
                raise AddonMisfit(
                    f"{' and '.join(names)} give {found:,} numbers, and {self._recipe.model} takes "
                    f"{wanted:,}",
                    hint="give the text encoders that the model was trained with",
                )

    def _part(
        self,
        folder: str,
        model_class: tuple[str, str],
        config: Mapping[str, Any],
        tensors: tuple[Planned, ...],
        source: Source,
    ) -> PartPlan:
        content = PartContent(
            files=tuple(content_of(path) for path in source.files),
            folder=folder,
            ema=False,
            config=json.dumps(config, sort_keys=True),
        )
        return PartPlan(folder, model_class, config, tensors, content)

    def _no_such_part(self, needed: Needed, source: Source, error: FormatError) -> CannotRender:
        return CannotRender(
            f"{source.path} does not have {needed.words}, or not all of it: {error.reason}",
            hint="`modelhub inspect` shows which parts a file has",
        )


def _under(source: Source, prefixes: tuple[str, ...]) -> dict[str, Planned]:
    """The tensors under the first of the prefixes that there are some of."""
    for prefix in prefixes:
        found = {
            (inner := name.removeprefix(prefix)): Planned(inner, values, values.dtype)
            for name, values in source.tensors.items()
            if name.startswith(prefix)
        }
        if found:
            return found
    return {}


def _all_of(source: Source) -> dict[str, Planned]:
    return {name: Planned(name, one, one.dtype) for name, one in source.tensors.items()}


def _unwrapped(tensors: dict[str, Planned]) -> dict[str, Planned]:
    """ComfyUI keeps a text encoder in a module of its own, under ``transformer.``."""
    if not any(name.startswith(_WRAPPED) for name in tensors) or any(
        name.startswith(f"{_WRAPPED}resblocks.") for name in tensors
    ):
        return tensors
    return {
        (inner := name.removeprefix(_WRAPPED)): Planned(inner, one.values, one.dtype)
        for name, one in tensors.items()
        if name.startswith(_WRAPPED)
    }


_WIDTHS = ("img_in.weight", "x_embedder.proj.weight", "x_embedder.weight", "init_x_linear.weight")


def _width(tensors: Mapping[str, Planned]) -> int:
    """Numbers of each token within an original layout; 0 where the layout is diffusers'."""
    shapes = [tensors[name].values.shape for name in _WIDTHS if name in tensors]
    return shapes[0][0] if shapes and shapes[0] else 0


def _shapes(tensors: tuple[Planned, ...]) -> PartShapes:
    return PartShapes({one.name: one.values.shape for one in tensors})
