"""What a pipeline will be made of: its parts, their settings, and where their tensors are.

Nothing here needs torch, and no tensor is read: what cannot be rendered is known at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from modelhub.convert.diffusers import Component, DiffusersFolder, to_diffusers
from modelhub.convert.options import ConvertOptions, Ema
from modelhub.convert.plan import make_plan
from modelhub.convert.planning import Plan
from modelhub.convert.readers import Source
from modelhub.errors import CannotRender, ConversionRefused, FormatError
from modelhub.formats.diffusers_names import parts_of_checkpoint
from modelhub.formats.identify import identify
from modelhub.formats.identity import Identity
from modelhub.render.pipelines.architectures import PIPELINES
from modelhub.render.pipelines.combining import combined
from modelhub.render.pipelines.files import RecipeFiles
from modelhub.render.pipelines.flow.drawing import flow_blueprint
from modelhub.render.pipelines.missing import STABLE_DIFFUSION, missing_parts, refusal
from modelhub.render.pipelines.plans import Blueprint, PartContent, PartPlan
from modelhub.render.pipelines.sources import content_of
from modelhub.render.pipelines.textwidth import require_text_width
from modelhub.render.request import Recipe

_SCHEDULER = "scheduler/scheduler_config.json"
_SAME_PICTURES = {"LatentConsistencyModelPipeline": "StableDiffusionPipeline"}
"""Pipelines that differ in their default settings alone from another, which takes more of them."""


@contextmanager
def blueprint_of(recipe: Recipe) -> Iterator[Blueprint]:
    """The pipeline that a recipe makes; its files are open within the context.

    :raises PartsMissing: a part is in none of its files.
    :raises CannotRender: diffusers has no pipeline for it that makes pictures of a text.
    :raises UnsafeFileError: a file is one that the scan calls dangerous.
    :raises FormatError, FileUnreadable: a file is damaged, or cannot be read.
    """
    with ExitStack() as opened:
        yield _draw(recipe, RecipeFiles(recipe, opened))


def _draw(recipe: Recipe, files: RecipeFiles) -> Blueprint:
    source = files.open(recipe.model)
    identity = identify(source.header, name=source.path.name)
    if identity.architecture in PIPELINES:
        return flow_blueprint(recipe, source, identity, files)
    _refuse_other_architectures(recipe, identity)
    plan, folder, parts = _planned(recipe, source, files)
    pipeline = str(folder.model_index.get("_class_name", ""))
    missing = missing_parts(plan.header, plan.identity, recipe, given=_names(folder))
    if missing:
        raise refusal(recipe, missing)
    require_text_width(parts)
    if not pipeline:
        raise CannotRender(
            f"{recipe.model}: this kind of model makes no picture of a text alone",
            hint="`modelhub inspect` shows what the file is",
        )
    configs = {path: json.loads(data) for path, data in folder.files.items() if _is_json(path)}
    return Blueprint(
        recipe=recipe,
        identity=plan.identity,
        pipeline_class=_SAME_PICTURES.get(pipeline, pipeline),
        settings={key: one for key, one in folder.model_index.items() if isinstance(one, bool)},
        parts=parts,
        scheduler=configs[_SCHEDULER],
        tokenizers={
            path.partition("/")[0]: one
            for path, one in configs.items()
            if path.endswith("/tokenizer_config.json")
        },
        notices=_of_rendering(plan, configs[_SCHEDULER]),
        sources=files.sources,
    )


def _refuse_other_architectures(recipe: Recipe, identity: Identity) -> None:
    """Say that a model is none of Stable Diffusion 1, 2 and XL, nor of those of flow matching."""
    architecture = identity.architecture
    if architecture in (None, *STABLE_DIFFUSION):
        return
    raise CannotRender(
        f"{recipe.model} is of the architecture {architecture}, for which there is no renderer",
        hint=f"these can be rendered: {', '.join((*STABLE_DIFFUSION, *PIPELINES))}",
    )


def _of_rendering(plan: Plan, scheduler: Mapping[str, Any]) -> tuple[str, ...]:
    """Without what a plan says of files that are written."""
    said = [one for one in plan.notices if not one.startswith(_OF_WRITING)]
    told = {"v-prediction"} & set(plan.identity.variants) or plan.identity.edition
    velocity = scheduler.get("prediction_type") == "v_prediction"
    if velocity and not told:
        said.append(
            "taken for a model that predicts the velocity, as those of 768 pixels do: nothing in "
            "the file tells it"
        )
    return tuple(said)


_OF_WRITING = ("tensors that share their values",)


def _is_json(path: str) -> bool:
    return path.endswith(".json") and not path.endswith("/vocab.json")


def _names(folder: DiffusersFolder) -> frozenset[str]:
    return frozenset(one.folder for one in folder.components)


def _planned(
    recipe: Recipe, source: Source, files: RecipeFiles
) -> tuple[Plan, DiffusersFolder, tuple[PartPlan, ...]]:
    options = ConvertOptions(ema=Ema.SWAP if recipe.ema else None)
    given = dict(recipe.parts)
    alone = _is_part_alone(source)
    if recipe.vae is not None and alone:
        given.setdefault("vae", recipe.vae)
    vae = files.open(recipe.vae) if recipe.vae is not None and not alone else None
    try:
        plan = make_plan(source, options, vae=vae)
        others = {
            name: make_plan(files.open(path), ConvertOptions()) for name, path in given.items()
        }
        if others or (alone and len(parts_of_checkpoint(plan.header.tensors)) == 1):
            plan = combined(plan, others, {"": recipe.model} | given)
        folder = to_diffusers(plan)
    except ConversionRefused as error:
        raise _cannot(recipe, source, error) from error
    except FormatError as error:
        raise error if error.path is not None else error.of(recipe.model) from error
    baked = vae is not None and all(
        one.name in plan.added for one in plan.tensors if one.name.startswith("first_stage_model.")
    )
    origins = {name: files.open(path) for name, path in given.items()}
    if vae is not None and baked:
        origins["vae"] = vae
    parts = tuple(
        _part(one, _content(one, origins.get(one.folder), source, vae, recipe))
        for one in folder.components
        if one.folder
    )
    return plan, folder, parts


def _is_part_alone(source: Source) -> bool:
    """Whether it is a diffusion model, and none of a checkpoint's prefixes is there."""
    parts = parts_of_checkpoint(source.tensors)
    return not any(one.folder == "unet" for one in parts)


def _cannot(recipe: Recipe, source: Source, error: ConversionRefused) -> CannotRender:
    """The error of a conversion in the words of who wanted a picture."""
    identity = identify(source.header, name=source.path.name)
    missing = missing_parts(source.header, identity, recipe)
    if missing:
        return refusal(recipe, missing)
    return CannotRender(error.message, hint=error.hint or "`modelhub inspect` shows what a file is")


def _content(
    component: Component, origin: Source | None, main: Source, vae: Source | None, recipe: Recipe
) -> PartContent:
    if origin is not None:
        sources: tuple[Source, ...] = (origin,)
    elif component.folder == "vae" and vae is not None:
        sources = (main, vae)
    else:
        sources = (main,)
    return PartContent(
        files=tuple(content_of(path) for one in sources for path in one.files),
        folder=component.folder,
        ema=recipe.ema and origin is None,
        config=json.dumps(component.config, sort_keys=True),
    )


def _part(component: Component, content: PartContent) -> PartPlan:
    return PartPlan(
        component.folder, _class_of(component), component.config, component.tensors, content
    )


_CLASSES = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}


def _class_of(component: Component) -> tuple[str, str]:
    if component.folder in _CLASSES:
        return "diffusers", _CLASSES[component.folder]
    return "transformers", str(component.config["architectures"][0])
