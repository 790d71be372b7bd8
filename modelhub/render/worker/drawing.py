"""From an assembled pipeline and settings to the latents of one picture."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelhub.render.prompts import Embedding, can_embed, embed, parse_prompt, plain_text

if TYPE_CHECKING:
    import torch

    from modelhub.render.request import Settings

StepDone = Callable[[int, int, Any], None]
"""Called with the steps done, how many there are, and the latents."""


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What a pipeline is called with, in place of prompts or as prompts.

    :param notices: what became of the prompts that the user may not expect.
    """

    arguments: Mapping[str, Any]
    notices: tuple[str, ...] = ()


def conditioning(
    pipe: Any,
    settings: Settings,
    embeddings: Sequence[Embedding],
    before_chunk: Callable[[], None],
    device: Any,
) -> Conditioning:
    """The prompts as the pipeline takes them: as tensors, or as text without weights where its
    text encoders are not CLIP's.

    :param before_chunk: called now and then while prompts are encoded; may raise.
    :raises UsageError: the prompts are too long, or call an embedding that does not fit.
    """
    guided = (settings.cfg or 0.0) > 1.0
    if not can_embed(pipe):
        return _as_text(pipe, settings, guided)
    made = embed(
        pipe,
        settings.prompt,
        settings.negative,
        clip_skip=settings.clip_skip or 1,
        embeddings=embeddings,
        device=device,
        before_chunk=before_chunk,
    )
    arguments: dict[str, Any] = {"prompt_embeds": made.positive}
    if guided:
        arguments["negative_prompt_embeds"] = made.negative
    if made.pooled is not None:
        arguments["pooled_prompt_embeds"] = made.pooled
        if guided:
            arguments["negative_pooled_prompt_embeds"] = made.negative_pooled
    return Conditioning(arguments, made.notices)


def _as_text(pipe: Any, settings: Settings, guided: bool) -> Conditioning:
    from torch import no_grad

    taken = inspect.signature(pipe.__call__).parameters
    arguments: dict[str, Any] = {"prompt": plain_text(settings.prompt)}
    notices = []
    # What Flux calls guidance has no other side; true guidance would be a second setting.
    # Qwen-Image has the true one alone, and a negative prompt turns it on.
    true = taken.get("true_cfg_scale")
    # So does 2.1, though its makers leave it out.
    if true is not None and (true.default > 1.0 or "guidance_scale" not in taken):
        arguments["true_cfg_scale"] = settings.cfg or 1.0
        if guided:
            arguments["negative_prompt"] = plain_text(settings.negative) or " "
    elif guided and settings.negative.strip():
        if "negative_prompt" in taken and true is None:
            arguments["negative_prompt"] = plain_text(settings.negative)
        elif "negative_prompt_embeds" in taken and "negative_prompt" not in taken:
            # FLUX.2 klein takes it as numbers alone.
            with no_grad():
                encoded = pipe.encode_prompt(plain_text(settings.negative))
            arguments["negative_prompt_embeds"] = encoded[0]
        else:
            notices.append("this kind of model takes no negative prompt: it is left out")
    if "clip_skip" in taken and (settings.clip_skip or 1) > 1:
        # Diffusers counts from 0 there, A1111 from 1.
        arguments["clip_skip"] = (settings.clip_skip or 1) - 1
    if any(one.weight != 1.0 for one in parse_prompt(settings.prompt)):
        notices.append("this kind of model takes no weights in a prompt: they are left out")
    return Conditioning(arguments, tuple(notices))


_FROM_ZERO = ("Krea2Pipeline",)
"""Pipelines whose guidance is what is added to the picture of the prompt alone: 0 is none, as 1 is
elsewhere and in ComfyUI."""


def guidance(pipe: Any, cfg: float | None) -> dict[str, float | None]:
    """The argument that a pipeline takes for the guidance; empty where it takes none."""
    if "guidance_scale" not in inspect.signature(pipe.__call__).parameters:
        return {}
    if type(pipe).__name__ in _FROM_ZERO:
        return {"guidance_scale": max(0.0, (cfg or 1.0) - 1.0)}
    return {"guidance_scale": cfg}


def generator(seed: int) -> torch.Generator:
    """Where noise comes from: of the CPU, whatever computes, so that a seed is one picture."""
    import torch

    return torch.Generator("cpu").manual_seed(seed)


def stepping(
    steps: int, evaluations: Callable[[], int], done: StepDone
) -> Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]:
    """A callback for diffusers that counts in the steps which the user asked for; samplers of the
    second order compute twice a step.

    :param evaluations: how many times it will be called in all.
    """

    def ended(pipe: Any, number: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        total = max(evaluations(), number + 1)
        done(-(-(number + 1) * steps // total), steps, tensors.get("latents"))
        return tensors

    return ended
