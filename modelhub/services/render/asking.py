"""From files and wishes to requests: the base of an add-on, the parts that lack, the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelhub.errors import CannotRender, UsageError
from modelhub.formats.identity import ModelKind
from modelhub.render.addons.fitting import needs_more_than_a_prompt, require_fit
from modelhub.render.addons.triggers import with_triggers
from modelhub.render.defaults import resolve
from modelhub.render.prompts.tags import LoraTag, without_tags
from modelhub.render.request import Recipe, Request, Settings, Weighted
from modelhub.services.render.bases import base_for
from modelhub.services.render.completing import Completing
from modelhub.services.render.files import ModelFile, ModelFiles
from modelhub.services.render.hashes import is_tokenizer
from modelhub.services.render.recommended import Recommended, recommended_by_page
from modelhub.services.render.wish import RenderWish

if TYPE_CHECKING:
    from modelhub.catalog import Catalog

MODELS = (ModelKind.CHECKPOINT, ModelKind.DIFFUSION_MODEL)
ADDONS = (ModelKind.LORA, ModelKind.EMBEDDING, ModelKind.VAE)
_OF_PAGE = "the model's page"
"""How :func:`modelhub.render.defaults.resolve` names that source."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A request that can be sent.

    :param files: of its recipe, by their paths.
    :param tokenizers: of its recipe: their folders or files.
    """

    request: Request
    files: dict[str, ModelFile]
    tokenizers: tuple[str, ...]
    tested: ModelFile


class Asking:
    """Makes the requests of one run.

    :param settings: of the wish, with a seed.
    :param tell: is told what the user should know: which base was taken, and why.
    :param roots: folders of models beside those of the catalog, to look for tokenizers around.
    """

    def __init__(
        self,
        wish: RenderWish,
        settings: Settings,
        catalog: Catalog,
        files: ModelFiles,
        tell: Callable[[str], None],
        roots: Sequence[Path] = (),
    ) -> None:
        self._wish = wish
        self._settings = settings
        self._catalog = catalog
        self._files = files
        self._tell = tell
        self._told: set[str] = set()
        self._completing = Completing(catalog, files, roots, self._tell_once)

    def request_for(self, tested: ModelFile, name: str) -> Request:
        """What is asked of the renderer to see what a file does, before anything is varied.

        :raises CannotRender: it is nothing that can be rendered, or no base fits it.
        :raises UsageError: wishes exclude each other.
        """
        wish = self._wish
        recipe = self._recipe(tested, self._page(tested))
        settings = self._settings
        recipe, settings = self._tags_applied(recipe, settings)
        return Request(
            id=name, recipe=recipe, settings=settings, wish=wish.device, preview=wish.preview
        )

    def ready(self, request: Request, tested: ModelFile) -> Ready:
        """One picture's request, complete: its files fit each other, no part lacks, and the words
        that its add-ons listen to are in its prompt.

        :raises AddonMisfit: an add-on is certainly for another base.
        :raises PartsMissing: the model lacks a part that no file of the catalog supplies.
        :raises UsageError: a setting makes no sense.
        """
        recipe, settings = self._tags_applied(request.recipe, request.settings)
        base = self._at(recipe.model)
        for path in _addons(recipe):
            addon = self._at(path)
            require_fit(addon.path, addon.identity, base.path, base.identity)
        recipe = self._completing.completed(recipe, base)
        if self._wish.triggers:
            settings = replace(settings, prompt=self._with_triggers(recipe, settings))
        request = replace(request, recipe=recipe, settings=settings)
        shown = self._tested(request, tested)
        request = replace(request, settings=self._filled(settings, base, shown))
        tokenizers = tuple(path for path in recipe.parts.values() if is_tokenizer(Path(path)))
        files = {path: self._at(path) for path in _paths(recipe) if path not in tokenizers}
        return Ready(request, files, tokenizers, shown)

    def _at(self, path: str) -> ModelFile:
        return self._files.at(Path(path))

    def _tested(self, request: Request, tested: ModelFile) -> ModelFile:
        """Which file a picture is of: where files are compared, each has its own."""
        recipe = request.recipe
        if str(tested.path) in _paths(recipe):
            return tested
        of_kind = {
            ModelKind.LORA: [one.path for one in recipe.loras],
            ModelKind.VAE: [recipe.vae] if recipe.vae else [],
        }
        candidates = of_kind.get(tested.identity.kind or ModelKind.OTHER, [])
        return self._at(candidates[0] if candidates else recipe.model)

    def _page(self, tested: ModelFile) -> Recommended:
        """What the page of a file recommends, if that is wanted."""
        if not self._wish.recommended:
            return Recommended()
        return recommended_by_page(self._catalog, tested.version_id)

    def _filled(self, settings: Settings, base: ModelFile, tested: ModelFile) -> Settings:
        page = self._page(tested).meta or self._page(base).meta
        found = resolve(settings, base.identity, page)
        for text in found.notices:
            self._tell_once(text)
        taken = [
            f"{name.replace('_', ' ')} {getattr(found.settings, name)}"
            for name, source in (found.reasons or {}).items()
            if source == _OF_PAGE
        ]
        if taken:
            self._tell_once(f"as the page of {tested.path.name} recommends: {', '.join(taken)}")
        return found.settings

    def _recipe(self, tested: ModelFile, page: Recommended) -> Recipe:
        wish, kind, path = self._wish, tested.identity.kind, str(tested.path)
        loras = tuple(
            Weighted(str(self._files.path_of(text)), weight) for text, weight in wish.loras
        )
        embeddings = tuple(str(self._files.path_of(text)) for text in wish.embeddings)
        vae = str(self._files.path_of(wish.vae)) if wish.vae else None
        if kind in MODELS:
            model = path
            if wish.on is not None:
                raise UsageError(
                    f"--on is for LoRAs, embeddings and VAEs, and {tested.path.name} is a model",
                    hint="give both as files to compare them: --compare file",
                )
        else:
            model = str(self._base(tested).path)
        if kind is ModelKind.LORA and path not in (one.path for one in loras):
            loras = (Weighted(path, 1.0 if page.weight is None else page.weight), *loras)
        elif kind is ModelKind.EMBEDDING and path not in embeddings:
            embeddings = (path, *embeddings)
        elif kind is ModelKind.VAE:
            if vae not in (None, path):
                raise UsageError(f"--vae, and {tested.path.name} is a VAE itself: choose one")
            vae = path
        return Recipe(
            model=model,
            vae=vae,
            loras=loras,
            embeddings=embeddings,
            refiner=str(self._files.path_of(wish.refiner)) if wish.refiner else None,
            parts={part: str(self._files.path_of(text)) for part, text in wish.parts.items()},
            precision=wish.precision,
            vae_precision=wish.vae_precision,
            ema=wish.ema,
            allow_unsafe=wish.allow_unsafe,
        )

    def _base(self, addon: ModelFile) -> ModelFile:
        if (reason := needs_more_than_a_prompt(addon.identity)) is not None:
            raise CannotRender(f"{addon.path} cannot be rendered: {reason}", hint="")
        if addon.identity.kind not in ADDONS:
            what = addon.identity.kind.value if addon.identity.kind else "no model that is known"
            raise CannotRender(
                f"{addon.path} cannot be rendered: it is {what}",
                hint="checkpoints, LoRAs, embeddings and VAEs can be; `modelhub inspect` says "
                "what a file is",
            )
        if self._wish.on is not None:
            base = self._files.named(self._wish.on)
            if base.identity.kind not in (*MODELS, None):
                raise UsageError(f"--on {base.path}: it is no checkpoint")
            return base
        base, why = base_for(self._catalog, self._files, addon)
        self._tell_once(why)
        return base

    def _tags_applied(self, recipe: Recipe, settings: Settings) -> tuple[Recipe, Settings]:
        """``<lora:name:0.8>`` out of the prompt, and the LoRA into the recipe."""
        tagged = without_tags(settings.prompt)
        for text in tagged.notices:
            self._tell_once(text)
        if not tagged.loras:
            return recipe, replace(settings, prompt=tagged.prompt)
        used = {one.path for one in recipe.loras}
        added = [one for tag in tagged.loras if (one := self._tagged(tag)).path not in used]
        recipe = replace(recipe, loras=(*recipe.loras, *added))
        return recipe, replace(settings, prompt=tagged.prompt)

    def _tagged(self, tag: LoraTag) -> Weighted:
        if tag.text_weight != tag.weight:
            self._tell_once(f"<lora:{tag.name}>: the UNet's weight {tag.weight:g} counts for both")
        return Weighted(str(self._files.path_of(tag.name)), tag.weight)

    def _with_triggers(self, recipe: Recipe, settings: Settings) -> str:
        prompt = settings.prompt
        for one in recipe.loras:
            if one.weight != 0 or len(recipe.loras) == 1:
                prompt = with_triggers(prompt, self._at(one.path).trigger_words)
        for path in recipe.embeddings:
            name = Path(path).stem
            if name.casefold() not in settings.negative.casefold():
                prompt = with_triggers(prompt, [name])
        if prompt != settings.prompt:
            added = prompt.removesuffix(settings.prompt).strip(" ,")
            self._tell_once(f"trigger words put into the prompt: {added}")
        return prompt

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._tell(text)


def _addons(recipe: Recipe) -> list[str]:
    vae = [recipe.vae] if recipe.vae else []
    return [*(one.path for one in recipe.loras), *recipe.embeddings, *vae]


def _paths(recipe: Recipe) -> list[str]:
    more = [recipe.refiner] if recipe.refiner else []
    return [recipe.model, *_addons(recipe), *more, *recipe.parts.values()]
