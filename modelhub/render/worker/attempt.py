"""One try at one image: assembling, prompts, steps, decoding."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from modelhub.convert.options import Precision
from modelhub.errors import CannotRender
from modelhub.render.addons import apply_to
from modelhub.render.answers import Rendered
from modelhub.render.images.faults import BLACK, NAN, explained, faults_of
from modelhub.render.pipelines.assembling import Assembled, assemble
from modelhub.render.pipelines.blank import blank_inputs, set_size
from modelhub.render.pipelines.libraries import versions
from modelhub.render.refining import DEFAULT_SHARE, refined, stages
from modelhub.render.samplers import make_scheduler, sampling
from modelhub.render.worker.decoding import decode, finished, png_of, unpacked
from modelhub.render.worker.drawing import Conditioning, conditioning, generator, guidance, stepping
from modelhub.render.worker.previews import preview
from modelhub.render.worker.room import fit_for_all, with_loras
from modelhub.render.worker.stopping import stop_if, stoppable
from modelhub.render.worker.usage import forget_peak, peak_bytes

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from modelhub.render.devices import Device
    from modelhub.render.memory import Fit
    from modelhub.render.pipelines.arithmetic import Arithmetic
    from modelhub.render.pipelines.cache import PartsCache
    from modelhub.render.prompts import Embedding
    from modelhub.render.request import Recipe, Request, Settings, Weighted
    from modelhub.render.worker.voice import Voice


@dataclass(frozen=True, slots=True)
class Task:
    """A request made definite.

    :param settings: of which none is open.
    """

    request: Request
    settings: Settings
    embeddings: tuple[Embedding, ...]
    voice: Voice
    cancel: threading.Event


class Attempt:
    """Makes the image with one way to use the memory; to be closed.

    :param fit: that way; None: the first that is thought to suffice.
    :ivar fit: the one taken, once it is known.
    """

    def __init__(self, task: Task, device: Device, fit: Fit | None, cache: PartsCache) -> None:
        self._task = task
        self._settings = task.settings
        self._device = device
        self._cache = cache
        self._open: list[Assembled] = []
        self._loading = 0.0
        self.fit = fit

    def close(self) -> None:
        """Let go of the pipelines; their parts stay in the cache."""
        for one in self._open:
            one.close()
        self._open.clear()

    def rendered(self) -> Rendered:
        """Make it.

        :raises Cancelled, ModelhubError: as :meth:`modelhub.render.worker.run.Renderer.render`.
        :raises Exception: torch's own, when memory runs out.
        """
        recipe = self._task.request.recipe
        device = self._device.torch_name
        forget_peak(device)
        refining = _refining(recipe)
        if self.fit is None and (recipe.loras or refining is not None):
            self.fit = self._fit_for_all(recipe, refining)
        assembled = self._ready(recipe)
        # Its LoRAs, none, are its own only once the base has read its prompt: they may share a
        # text encoder.
        refiner = None if refining is None else self._assembled(refining)
        began = time.monotonic()
        latents = self._latents(assembled, refiner)
        self._settle(latents)
        stepped = time.monotonic()
        pixels, faults = self._picture(assembled, latents)
        return Rendered(
            id=self._task.request.id,
            png=png_of(pixels),
            width=pixels.shape[1],
            height=pixels.shape[0],
            settings=self._settings,
            weights=assembled.weights,
            arithmetic=assembled.computed,
            device=self._device.words,
            versions=versions(),
            seconds_loading=self._loading,
            seconds_steps=stepped - began,
            seconds_decoding=time.monotonic() - stepped,
            peak_bytes=peak_bytes(device),
            faults=faults,
            notices=tuple(self._task.voice.notices),
        )

    def _ready(self, recipe: Recipe) -> Assembled:
        """The pipeline with its add-ons."""
        assembled = self._assembled(recipe)
        if self._overflows(assembled):
            self._let_go(assembled)
            assembled = self._assembled(_with_whole_vae(recipe))
        self._put_on(assembled, recipe.loras)
        return assembled

    def _fit_for_all(self, recipe: Recipe, refining: Recipe | None) -> Fit:
        size = self._settings.width or 0, self._settings.height or 0
        offload, warm = self._task.request.wish.offload, self._cache.nbytes
        chosen = fit_for_all(recipe, refining, self._device, size, offload=offload, warm=warm)
        fit = with_loras(chosen, recipe)
        if fit != chosen:
            self._task.voice.say(
                "LoRAs cannot be used with sequential offload: the parts take turns instead"
            )
        return fit

    def _overflows(self, assembled: Assembled) -> bool:
        """Whether nobody asked for the VAE's fp16, in which its authors say that it overflows."""
        recipe, vae = assembled.recipe, assembled.arithmetic.get("vae")
        if vae is None or recipe.vae_precision is not None or vae.computed is not Precision.FP16:
            return False
        return bool(getattr(assembled.pipe.vae.config, "force_upcast", False))

    def _assembled(self, recipe: Recipe) -> Assembled:
        voice, settings = self._task.voice, self._settings
        voice.has_loaded = False
        assembled = assemble(
            recipe,
            self._device,
            voice.pass_on,
            self._task.cancel,
            self._cache,
            size=(settings.width or 0, settings.height or 0),
            offload=self._task.request.wish.offload,
            fit=self.fit,
        )
        self._open.append(assembled)
        self.fit = assembled.fit
        if voice.has_loaded:
            self._loading += assembled.seconds
        return assembled

    def _let_go(self, assembled: Assembled) -> None:
        assembled.close()
        self._open.remove(assembled)

    def _put_on(self, assembled: Assembled, loras: Sequence[Weighted]) -> None:
        voice = self._task.voice
        voice.has_loaded = False
        began = time.monotonic()
        applied = apply_to(
            assembled, loras, progress=voice.loading("LoRAs"), cancel=self._task.cancel
        )
        for notice in applied.notices:
            voice.say(notice, warning=True)
        if voice.has_loaded:
            self._loading += time.monotonic() - began

    def _latents(self, assembled: Assembled, refiner: Assembled | None) -> torch.Tensor:
        settings, pipe = self._settings, assembled.pipe
        chosen = sampling(settings.sampler or "", settings.schedule)
        pipe.scheduler = make_scheduler(chosen, assembled.scheduler)
        set_size(pipe, settings.width or 0, settings.height or 0)
        pipes = [pipe] if refiner is None else [pipe, refiner.pipe]
        with stoppable(_modules(pipes), self._task.cancel):
            conditioned = self._conditioned(assembled)
            arguments = {
                **conditioned.arguments,
                **blank_inputs(assembled.pipeline_class, settings.width or 0, settings.height or 0),
                **guidance(pipe, settings.cfg),
            }
            self._task.voice.step(0, settings.steps or 1)
            if refiner is not None:
                return self._refined(assembled, refiner, arguments)
            # The pictures, or the frames of a video.
            latents: torch.Tensor = pipe(
                **arguments,
                num_inference_steps=settings.steps,
                generator=generator(settings.seed),
                output_type="latent",
                callback_on_step_end=self._stepping(pipe, lambda: pipe.num_timesteps),
            )[0]
            return latents

    def _conditioned(self, assembled: Assembled) -> Conditioning:
        made = conditioning(
            assembled.pipe,
            self._settings,
            self._task.embeddings,
            lambda: stop_if(self._task.cancel),
            self._device.torch_name,
        )
        for notice in made.notices:
            self._task.voice.say(notice)
        return made

    def _refined(
        self, base: Assembled, refiner: Assembled, arguments: Mapping[str, Any]
    ) -> torch.Tensor:
        steps = self._settings.steps or 1
        share = self._settings.refiner_from
        share = DEFAULT_SHARE if share is None else share
        chosen = sampling(self._settings.sampler or "", self._settings.schedule)
        total = stages(make_scheduler(chosen, base.scheduler), steps, share).total
        self._put_on(refiner, ())
        return refined(
            base.pipe,
            refiner.pipe,
            steps=steps,
            share=share,
            base_arguments=arguments,
            refiner_arguments={
                **self._conditioned(refiner).arguments,
                "guidance_scale": self._settings.cfg,
            },
            generator=generator(self._settings.seed),
            on_step=self._stepping(base.pipe, lambda: total),
        )

    def _stepping(self, pipe: Any, evaluations: Callable[[], int]) -> Any:
        wanted = self._task.request.preview
        settings = self._settings

        def done(number: int, total: int, latents: Any) -> None:
            stop_if(self._task.cancel)
            picture = b""
            if wanted and latents is not None:
                flat = unpacked(pipe, latents, settings.width or 0, settings.height or 0)
                picture = preview(flat, float(getattr(pipe.vae.config, "scaling_factor", 1.0)))
            self._task.voice.step(number, total, picture)

        return stepping(settings.steps or 1, evaluations, done)

    def _settle(self, latents: torch.Tensor) -> None:
        """Wait for the device, so that what it computes is counted where it belongs."""
        if not self._device.is_cpu:
            latents.flatten()[0].item()

    def _picture(
        self, assembled: Assembled, latents: torch.Tensor
    ) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        """The picture, and what is still wrong with it after the VAE was given a second chance."""
        stop_if(self._task.cancel)
        pixels = self._decoded(assembled, latents)
        faults = faults_of(pixels)
        if not faults:
            return pixels, faults
        sound = bool(latents.isfinite().all())
        self._task.voice.say(_told_of(assembled, faults, sound), warning=True)
        if sound and self._task.request.fix_black and _may_be_the_vae(assembled, faults):
            self._task.voice.say("decoded once more with the VAE in fp32", warning=True)
            recipe = _with_whole_vae(assembled.recipe)
            self._let_go(assembled)
            whole = self._assembled(recipe)
            pixels = self._decoded(whole, latents)
            faults = faults_of(pixels)
        return pixels, faults

    def _decoded(self, assembled: Assembled, latents: torch.Tensor) -> NDArray[np.float32]:
        settings, pipe = self._settings, assembled.pipe
        if getattr(pipe, "vae", None) is None:
            raise CannotRender(f"{assembled.recipe.model} has no VAE to decode the image with")
        flat = finished(pipe, latents, settings.width or 0, settings.height or 0)
        with stoppable([pipe.vae], self._task.cancel):
            return decode(pipe.vae, flat)


def _modules(pipes: list[Any]) -> list[Any]:
    """Of all pipelines, each module once."""
    from torch import nn

    parts = [one for pipe in pipes for one in pipe.components.values()]
    return list({id(one): one for one in parts if isinstance(one, nn.Module)}.values())


def _told_of(assembled: Assembled, faults: tuple[str, ...], sound: bool) -> str:
    """The likely cause and what to do.

    :param sound: the latents were numbers, so that the VAE may be the cause.
    """
    model, vae = assembled.arithmetic.get("unet"), assembled.arithmetic["vae"]
    if not sound:
        in_half = model is not None and _in_half(model)
        return (
            "the diffusion model, not the VAE, gave numbers that are none (NaN); "
            + ("try --dtype fp32, or bf16; " if in_half else "")
            + "check the file with `modelhub verify`, and try without add-ons"
        )
    told = explained(
        faults,
        vae_arithmetic=vae.weights if _in_half(vae) else Precision.FP32.value,
        arithmetic=assembled.weights,
    )
    return "" if told is None else f"{told.cause}; {told.fix}"


def _may_be_the_vae(assembled: Assembled, faults: tuple[str, ...]) -> bool:
    return (NAN in faults or BLACK in faults) and _in_half(assembled.arithmetic["vae"])


def _in_half(arithmetic: Arithmetic) -> bool:
    """Whether numbers are computed in, or were rounded to, less than fp32."""
    return arithmetic.computed is not Precision.FP32 or arithmetic.rounding is not None


def _refining(recipe: Recipe) -> Recipe | None:
    """What the refiner of a recipe is made of."""
    if recipe.refiner is None:
        return None
    return msgspec.structs.replace(
        recipe, model=recipe.refiner, loras=(), embeddings=(), parts={}, refiner=None, ema=False
    )


def _with_whole_vae(recipe: Recipe) -> Recipe:
    return msgspec.structs.replace(recipe, vae_precision=Precision.FP32)
