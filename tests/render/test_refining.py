"""SDXL and its refiner, tiny ones, through real pipelines of diffusers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from modelhub.errors import CannotRender, UsageError
from modelhub.render.refining import Stages, refined, stages
from tests.render.quiet import quiet_torch  # noqa: F401 (a fixture)

from .addons.models import Models

pytestmark = pytest.mark.filterwarnings("ignore")

STEPS = 10
PROMPT = {"prompt": "a photo of a cat", "guidance_scale": 3.0}


@pytest.fixture(scope="module", name="pipes")
def _pipes(tmp_path_factory: pytest.TempPathFactory, torch: Any) -> tuple[Any, Any, Any]:
    """The base, the refiner, and SD 1."""
    models = Models(tmp_path_factory.mktemp("refining"))
    base, refiner, other = (models.pipeline(name) for name in ("sdxl", "refiner", "sd1"))
    assert type(refiner).__name__ == "StableDiffusionXLImg2ImgPipeline"
    return base, refiner, other


def scheduler(name: str) -> Any:
    made = getattr(import_module("diffusers"), name)
    return made(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def in_two_stages(pipes: tuple[Any, Any, Any], share: float, **options: Any) -> Any:
    import torch

    return refined(
        pipes[0],
        pipes[1],
        steps=STEPS,
        share=share,
        base_arguments={**PROMPT, "height": 64, "width": 64},
        refiner_arguments=PROMPT,
        generator=torch.Generator().manual_seed(5),
        **options,
    )


@pytest.mark.parametrize(
    ("name", "share", "expected"),
    [
        ("EulerDiscreteScheduler", 0.8, Stages(8, 2)),
        ("DPMSolverMultistepScheduler", 0.8, Stages(9, 1)),
        ("HeunDiscreteScheduler", 0.8, Stages(15, 5)),
    ],
)
def test_each_stage_makes_as_many_steps_as_is_said_beforehand(
    name: str, share: float, expected: Stages, pipes: tuple[Any, Any, Any]
) -> None:
    base, refiner, _ = pipes
    base.scheduler = scheduler(name)
    own = refiner.scheduler
    seen: list[tuple[Any, int]] = []

    def on_step(pipe: Any, step: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append((pipe, step))
        return tensors

    latents = in_two_stages(pipes, share, on_step=on_step)
    assert stages(scheduler(name), STEPS, share) == expected
    assert [step for _, step in seen] == list(range(expected.total))
    assert [pipe for pipe, _ in seen] == [base] * expected.base + [refiner] * expected.refiner
    assert latents.shape == (1, 4, 8, 8)
    assert latents.isfinite().all()
    assert refiner.scheduler is own


def test_the_refiner_goes_on_from_the_latents_of_the_base(
    torch: Any, pipes: tuple[Any, Any, Any]
) -> None:
    """The same as the two calls that the documentation of diffusers has."""
    base, refiner, _ = pipes
    base.scheduler = scheduler("EulerDiscreteScheduler")
    ours = in_two_stages(pipes, 0.8)
    again = in_two_stages(pipes, 0.8)
    noise = torch.Generator().manual_seed(5)
    common = {**PROMPT, "num_inference_steps": STEPS, "output_type": "latent", "generator": noise}
    begun = base(**common, height=64, width=64, denoising_end=0.8).images
    refiner.scheduler = scheduler("EulerDiscreteScheduler")
    theirs = refiner(**common, image=begun, denoising_start=0.8).images
    assert torch.equal(ours, theirs)
    assert torch.equal(ours, again)
    assert not torch.equal(ours, begun)


def test_an_error_in_a_step_gives_the_refiner_its_scheduler_back(
    pipes: tuple[Any, Any, Any],
) -> None:
    base, refiner, _ = pipes
    base.scheduler = scheduler("EulerDiscreteScheduler")
    own = refiner.scheduler

    def stop(pipe: Any, step: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if pipe is refiner:
            raise KeyboardInterrupt
        return tensors

    with pytest.raises(KeyboardInterrupt):
        in_two_stages(pipes, 0.8, on_step=stop)
    assert refiner.scheduler is own


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_a_share_beyond_the_steps_is_refused(share: float, pipes: tuple[Any, Any, Any]) -> None:
    with pytest.raises(UsageError, match="cannot take over"):
        in_two_stages(pipes, share)


@pytest.mark.parametrize(("share", "idle"), [(0.9999, "the refiner"), (0.0001, "the base")])
def test_a_share_that_leaves_a_stage_without_steps_is_refused(
    share: float, idle: str, pipes: tuple[Any, Any, Any]
) -> None:
    with pytest.raises(UsageError, match=f"no step is left for {idle}"):
        stages(scheduler("EulerDiscreteScheduler"), 4, share)


def test_only_sdxl_has_a_refiner(pipes: tuple[Any, Any, Any]) -> None:
    base, refiner, other = pipes
    with pytest.raises(CannotRender, match="only SDXL"):
        in_two_stages((other, refiner, None), 0.8)
    with pytest.raises(CannotRender, match="only SDXL"):
        in_two_stages((base, other, None), 0.8)


def test_a_base_is_no_refiner(pipes: tuple[Any, Any, Any]) -> None:
    base, _, _ = pipes
    with pytest.raises(CannotRender, match="none: it has the text encoders of a base"):
        in_two_stages((base, base, None), 0.8)
