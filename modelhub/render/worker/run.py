"""What the process does with a request: it renders, with less memory when there is not enough."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from modelhub.errors import NotEnoughMemory
from modelhub.formats.identify import identify
from modelhub.formats.reading import read_model
from modelhub.render.answers import Loading, Rendered, Stepped, Told
from modelhub.render.defaults import resolve
from modelhub.render.devices import Device, choose, host_memory
from modelhub.render.memory import AS_IS, Fit
from modelhub.render.pipelines.cache import PartsCache
from modelhub.render.pipelines.libraries import imported_to_stay, library
from modelhub.render.prompts import read_embedding
from modelhub.render.request import Recipe, Request
from modelhub.render.worker.attempt import Attempt, Task
from modelhub.render.worker.heap import give_back_if_short
from modelhub.render.worker.room import next_fit_for
from modelhub.render.worker.shortage import free_leftovers, is_out_of_memory
from modelhub.render.worker.stopping import stop_if
from modelhub.render.worker.voice import Voice

_KEPT_SHARE = 2
"""Of this machine's memory half is kept warm where nothing else was said, as far as it is free."""
_COMMON = {
    "diffusers": ("StableDiffusionPipeline", "UNet2DConditionModel", "AutoencoderKL"),
    "transformers": ("CLIPTextModel", "CLIPTokenizer"),
}
"""Classes that nearly every render needs; both libraries import theirs when they are asked for."""


class Renderer:
    """Renders, and keeps parts of pipelines for the next.

    :param memory: bytes of them at most; 0: half of this machine's.
    :raises MissingExtra: torch or another package cannot be imported.
    """

    def __init__(self, memory: int) -> None:
        with imported_to_stay():
            torch = library("torch")
            for name, classes in _COMMON.items():
                for one in classes:
                    getattr(library(name), one)
        # The same picture twice from the same seed is worth more than a faster convolution.
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        self._cache = PartsCache(memory or host_memory()[0] // _KEPT_SHARE)

    def render(
        self,
        request: Request,
        tell: Callable[[Loading | Stepped | Told], None],
        cancel: threading.Event,
    ) -> Rendered:
        """Make one image.

        :raises Cancelled: `cancel` was set.
        :raises NotEnoughMemory: it does not fit, whatever is done.
        :raises ModelhubError: a file or a setting is the obstacle.
        """
        stop_if(cancel)
        give_back_if_short()
        voice = Voice(request.id, tell)
        device = choose(request.wish.device)
        task = self._task(request, voice, cancel)
        fit: Fit | None = None
        while True:
            attempt = Attempt(task, device, fit, self._cache)
            try:
                return attempt.rendered()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            finally:
                attempt.close()
            # Outside of the handler: the error's traceback holds what is to be given back.
            fit = self._step_down(request.recipe, attempt.fit or AS_IS, device, voice)

    def _task(self, request: Request, voice: Voice, cancel: threading.Event) -> Task:
        model = Path(request.recipe.model)
        identity = identify(read_model(model), name=model.name)
        resolved = resolve(request.settings, identity)
        for notice in resolved.notices:
            voice.say(notice)
        embeddings = tuple(read_embedding(Path(path)) for path in request.recipe.embeddings)
        return Task(request, resolved.settings, embeddings, voice, cancel)

    def _step_down(self, recipe: Recipe, tried: Fit, device: Device, voice: Voice) -> Fit:
        less = next_fit_for(recipe, tried, device)
        self._cache.clear()
        free_leftovers(device.torch_name)
        if less is None:
            how = f" with {tried.words}" if tried.words else ""
            raise NotEnoughMemory(f"{device.words} ran out of memory even{how}")
        voice.say(f"out of memory; once more with {less.words}", warning=True)
        return less
