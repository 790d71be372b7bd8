"""A recipe's pipeline: its parts out of the cache or out of files, put together."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from modelhub.errors import Cancelled, SourceChanged
from modelhub.formats.identity import Identity
from modelhub.render.answers import Loading, Told
from modelhub.render.devices import Device, host_memory, refreshed
from modelhub.render.memory import Fit, Placement, choose_fit, estimate
from modelhub.render.pipelines.arithmetic import Arithmetic, arithmetic_of_parts
from modelhub.render.pipelines.blueprint import blueprint_of
from modelhub.render.pipelines.cache import Part, PartKey, PartsCache
from modelhub.render.pipelines.libraries import class_in, library
from modelhub.render.pipelines.modules import filled_module
from modelhub.render.pipelines.placing import TakingTurns, place_module, set_switches
from modelhub.render.pipelines.plans import DENOISERS, Blueprint, PartPlan
from modelhub.render.pipelines.reading import Tensors, read_tensors, rounded, torch_type
from modelhub.render.pipelines.tokenizers import clip_tokenizer, tokenizer_at
from modelhub.render.pipelines.unseeing import as_asked
from modelhub.render.request import Recipe

Listen: TypeAlias = Callable[[Loading | Told], None]
_SECONDS_BETWEEN = 0.05
_MOST_NAMED = 3


@dataclass(slots=True, eq=False)
class Assembled:
    """A pipeline that is ready to be called.

    :param pipe: of diffusers; its scheduler may be replaced, its parts must not be written into.
    :param parts: by their names: ``unet``, ``vae``, ``text_encoder``, ...
    :param arithmetic: of each part.
    :param scheduler: the settings of the scheduler that the model was trained for.
    :param notices: what the user should know of the files.
    :param seconds: that it took.
    """

    recipe: Recipe
    identity: Identity
    pipe: Any
    pipeline_class: str
    parts: Mapping[str, Part]
    arithmetic: Mapping[str, Arithmetic]
    scheduler: Mapping[str, Any]
    device: Device
    fit: Fit
    notices: tuple[str, ...]
    seconds: float
    keys: Mapping[str, PartKey]
    turns: TakingTurns | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        """Of the tensors of all parts."""
        return sum(one.nbytes for one in {id(part): part for part in self.parts.values()}.values())

    @property
    def weights(self) -> str:
        """The label of the diffusion model's weights: ``fp16``."""
        return self._main.weights

    @property
    def computed(self) -> str:
        """The type that it is computed in: ``fp32``."""
        return self._main.computed.value

    @property
    def label(self) -> str:
        """Both, for a picture: ``fp16 weights, fp32 arithmetic``."""
        return self._main.words

    @property
    def words(self) -> str:
        """Where and how it computes, in one line."""
        how = ", ".join(word for word in (self.label, self.fit.words) if word)
        return f"{self.device.words}: {how}"

    @property
    def _main(self) -> Arithmetic:
        return next(
            (self.arithmetic[name] for name in DENOISERS if name in self.arithmetic),
            next(iter(self.arithmetic.values())),
        )

    def close(self) -> None:
        """Take off what it put on its parts, which other pipelines may use."""
        if self.turns is not None:
            self.turns.end()
            self.turns = None


def assemble(
    recipe: Recipe,
    device: Device,
    listen: Listen,
    cancel: threading.Event,
    cache: PartsCache,
    *,
    size: tuple[int, int] = (512, 512),
    offload: str | None = None,
    fit: Fit | None = None,
) -> Assembled:
    """Make the pipeline of a recipe; add-ons (LoRA, embeddings) are put on it by others.

    Told meanwhile, with an empty `id`: the bytes that are read, part by part, and what the user
    should know.

    :param size: of the picture in pixels, for the estimate of memory.
    :param offload: ``none``, ``model`` or ``sequential``.
    :param fit: a step of the ladder to take, instead of the first whose estimate fits.
    :raises PartsMissing, CannotRender, UnsafeFileError: as
        :func:`modelhub.render.pipelines.blueprint.blueprint_of`.
    :raises UsageError: no picture of that size can be made.
    :raises NotEnoughMemory: no step of the ladder fits.
    :raises SourceChanged: a file was written to while it was read; nothing of it was kept.
    :raises Cancelled: `cancel` was set.
    """
    started = time.monotonic()
    library("torch")
    try:
        with blueprint_of(recipe) as blueprint:
            blueprint.check_size(*size)
            making = _Making(blueprint, device, listen, cancel, cache, size)
            chosen = fit or making.fitting(offload)
            parts = making.parts(chosen)
            blueprint.check_unchanged()
            making.keep()
    except SourceChanged as error:
        hint = "render it again once nothing writes to it"
        raise SourceChanged(error.message, hint=hint) from error
    return making.finished(parts, chosen, started)


class _Making:
    """One pipeline while it is made."""

    def __init__(
        self,
        blueprint: Blueprint,
        device: Device,
        listen: Listen,
        cancel: threading.Event,
        cache: PartsCache,
        size: tuple[int, int],
    ) -> None:
        self._blueprint = blueprint
        self._device = device
        self._listen = listen
        self._cancel = cancel
        self._cache = cache
        self._arithmetic = arithmetic_of_parts(
            {one.folder: one.dtypes for one in blueprint.parts}, blueprint.recipe, device
        )
        self._keys: dict[str, PartKey] = {}
        self._made: dict[PartKey, Part] = {}
        self._weights: dict[str, Tensors] = {}
        sized = {
            one.folder: (one, self._arithmetic[one.folder].bytes_each) for one in blueprint.parts
        }
        self._estimate = estimate(sized, width=size[0], height=size[1])

    def fitting(self, offload: str | None) -> Fit:
        """The first step of the ladder that fits, if everything else is dropped."""
        room = replace(self._device, free=self._device.free + self._cache.nbytes)
        return choose_fit(self._estimate, room, offload)

    def parts(self, fit: Fit) -> dict[str, Part]:
        """All parts, those of the cache first."""
        found: dict[str, Part] = {}
        for one in self._blueprint.parts:
            key = self._key(one, fit)
            self._keys[one.folder] = key
            kept = self._cache.part(key)
            if kept is not None:
                found[one.folder] = kept
        missing = [one for one in self._blueprint.parts if one.folder not in found]
        self._make_way(missing)
        self._make_room(missing, fit)
        for one in missing:
            if self._cancel.is_set():
                raise Cancelled("cancelled while the model was loaded", hint="")
            found[one.folder] = self._made[self._keys[one.folder]] = self._make(one, fit)
        return {one.folder: found[one.folder] for one in self._blueprint.parts}

    def _key(self, plan: PartPlan, fit: Fit) -> PartKey:
        arithmetic = self._arithmetic[plan.folder]
        return PartKey(
            plan.content,
            arithmetic.rounding,
            arithmetic.computed,
            self._device.torch_name,
            fit.placement,
            fit.eight_bit,
        )

    def _make_way(self, missing: list[PartPlan]) -> None:
        """On a processor, the next diffusion model of an architecture takes the memory of the last.

        To make one of its file's pages again takes seconds, and its picture a minute; memory that
        is new to the process may take longer, and is missing where those pages are kept.
        """
        if not self._device.is_cpu:
            return
        for one in missing:
            if one.folder in DENOISERS and self._cache.exact(one.content) is None:
                self._cache.make_way(one.content, using=self._keys.values())

    def _make_room(self, missing: list[PartPlan], fit: Fit) -> None:
        """For what is missing; of the memory that is free, some is for the picture."""
        needed = sum(one.parameters * self._arithmetic[one.folder].bytes_each for one in missing)
        free = None
        if missing:
            free = max(0, refreshed(self._device).free - self._estimate.beside(fit))
        contents = [one.content for one in missing]
        self._cache.make_room(needed, using=self._keys.values(), made_of=contents, free=free)

    def _make(self, plan: PartPlan, fit: Fit) -> Part:
        arithmetic = self._arithmetic[plan.folder]
        where = f"{self._blueprint.recipe.model} ({plan.folder})"
        tensors = self._tensors(plan, arithmetic)
        resident = fit.placement is Placement.RESIDENT
        home = self._device.torch_name if resident else "cpu"
        tensors.tensors = {name: one.to(home) for name, one in tensors.tensors.items()}
        module = filled_module(plan.model_class, plan.config, tensors.tensors, where=where)
        module.to(home)
        place_module(plan.folder, module, fit, self._device.torch_name, arithmetic)
        exact = arithmetic.exact and resident and not fit.eight_bit
        notices = _of_numbers(plan.folder, tensors, arithmetic)
        return Part(plan.folder, plan.model_class, module, tensors.tensors, exact, notices)

    def _tensors(self, plan: PartPlan, arithmetic: Arithmetic) -> Tensors:
        """Out of memory if the file's numbers are there, else out of the file."""
        dtype = torch_type(arithmetic.computed.value)
        exact = self._cache.exact(plan.content)
        if exact is None and arithmetic.rounding is not None and self._may_keep(plan):
            self._weights[plan.folder] = read = self._read(plan, None, None)
            exact = read.tensors
        if exact is None:
            return self._read(plan, arithmetic, dtype)
        if arithmetic.rounding is None and all(one.dtype == dtype for one in exact.values()):
            return Tensors(dict(exact))
        return rounded(exact, arithmetic.rounding, dtype, cancel=self._cancel)

    def _may_keep(self, plan: PartPlan) -> bool:
        """Whether there is room for the file's numbers beside those that are made of them."""
        total = sum(
            one.nbytes + one.parameters * self._arithmetic[one.folder].bytes_each
            for one in self._blueprint.parts
        )
        fits = self._cache.has_room(total, using=self._keys.values())
        free = self._device.free if self._device.is_cpu else host_memory()[1]
        return fits and plan.nbytes + total <= free

    def _read(self, plan: PartPlan, arithmetic: Arithmetic | None, dtype: Any) -> Tensors:
        told = _Bytes(plan.folder, plan.nbytes, self._listen)
        return read_tensors(
            plan.tensors,
            dtype=dtype,
            rounding=None if arithmetic is None else arithmetic.rounding,
            advanced=told.advance,
            cancel=self._cancel,
        )

    def keep(self) -> None:
        """Put what was made into the cache, now that the files are known to be unchanged."""
        for one in self._blueprint.parts:
            if one.folder in self._weights:
                self._cache.keep_weights(one.content, self._weights[one.folder].tensors)
        for key, part in self._made.items():
            self._made[key] = self._cache.keep(key, part)

    def finished(self, parts: Mapping[str, Part], fit: Fit, started: float) -> Assembled:
        """The pipeline, of the parts as the cache has them."""
        parts = {name: self._made.get(self._keys[name], part) for name, part in parts.items()}
        modules = {name: one.module for name, one in parts.items()}
        set_switches(modules, fit)
        turns = None
        if fit.placement is Placement.PARTS:
            turns = TakingTurns(modules, self._device.torch_name)
        notices = (*self._blueprint.notices, *(n for one in parts.values() for n in one.notices))
        assembled = Assembled(
            recipe=self._blueprint.recipe,
            identity=self._blueprint.identity,
            pipe=pipeline_of(self._blueprint, modules, self._device),
            pipeline_class=self._blueprint.pipeline_class,
            parts=parts,
            arithmetic=self._arithmetic,
            scheduler=self._blueprint.scheduler,
            device=self._device,
            fit=fit,
            notices=notices,
            seconds=time.monotonic() - started,
            keys=dict(self._keys),
            turns=turns,
        )
        for one in notices:
            self._listen(Told(id="", text=one, warning=True))
        self._listen(Told(id="", text=assembled.words))
        return assembled


def pipeline_of(blueprint: Blueprint, modules: Mapping[str, Any], device: Device) -> Any:
    """The pipeline of diffusers around modules; what it has no use for is None."""
    diffusers = library("diffusers")
    kind = _computing_on(class_in("diffusers", blueprint.pipeline_class), device)
    scheduler = dict(blueprint.scheduler)
    given: dict[str, Any] = {
        **modules,
        **{name: clip_tokenizer(one) for name, one in blueprint.tokenizers.items()},
        **{
            name: tokenizer_at(place, blueprint.pipeline_class)
            for name, place in blueprint.tokenizer_places.items()
        },
        **blueprint.settings,
        "scheduler": getattr(diffusers, scheduler["_class_name"]).from_config(scheduler),
        "add_watermarker": False,
    }
    given = as_asked(blueprint.pipeline_class, given)
    arguments = {}
    for name, one in inspect.signature(kind.__init__).parameters.items():
        if name in given:
            arguments[name] = given[name]
        elif name != "self" and one.default is inspect.Parameter.empty:
            arguments[name] = None
    pipe = kind(**arguments)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _computing_on(kind: type[Any], device: Device) -> type[Any]:
    """The class, with that device to compute on, wherever its parts are at the moment."""
    target = library("torch").device(device.torch_name)
    execution = property(lambda _: target)
    return type(kind.__name__, (kind,), {"_execution_device": execution})


class _Bytes:
    """Tells what was read of one part, a few times a second."""

    def __init__(self, what: str, total: int, listen: Listen) -> None:
        self._what, self._total, self._listen = what, total, listen
        self._done, self._told = 0, 0.0

    def advance(self, count: int) -> None:
        """So many bytes more."""
        self._done += count
        now = time.monotonic()
        if self._done >= self._total or now - self._told >= _SECONDS_BETWEEN:
            self._told = now
            self._listen(Loading(id="", what=self._what, done=self._done, total=self._total))


def _of_numbers(folder: str, tensors: Tensors, arithmetic: Arithmetic) -> tuple[str, ...]:
    said = []
    own = sorted(tensors.broken - tensors.overflowed)
    if own:
        said.append(
            f"the {folder} has values that are no numbers (NaN or infinite) in {len(own):,} "
            f"tensors ({_some(own)}): the picture may come out black"
        )
    if tensors.overflowed:
        names = sorted(tensors.overflowed)
        said.append(
            f"the {folder} has values too large for {arithmetic.weights} in {len(names):,} "
            f"tensors ({_some(names)}): the picture may come out black"
        )
    return tuple(said)


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:_MOST_NAMED])
    return f"{shown}, ..." if len(names) > _MOST_NAMED else shown
