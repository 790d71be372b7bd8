"""Images made for real by the process: on the CPU, of tiny models of the true layout."""

from __future__ import annotations

import io
import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from modelhub.convert.options import Precision
from modelhub.errors import (
    Cancelled,
    ModelhubError,
    NoSuchDevice,
    RenderWorkerDied,
    UsageError,
)
from modelhub.render.answers import Loading, Rendered, Stepped
from modelhub.render.client import Progress, RenderWorker
from modelhub.render.request import DeviceWish, Recipe, Request, Weighted
from tests.render.worker.changing import with_changed
from tests.render.worker.conftest import Bench


def pixels(made: Rendered) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(made.png)))


def test_an_image_comes_with_all_that_made_it(bench: Bench, checkpoint: str) -> None:
    made = bench.render(Recipe(model=checkpoint), width=96)
    picture = Image.open(io.BytesIO(made.png))
    assert (picture.size, picture.mode) == ((96, 64), "RGB")
    assert (made.width, made.height) == (96, 64)
    assert len(np.unique(pixels(made))) > 50
    assert picture.info == {}
    settings = made.settings
    assert (settings.steps, settings.seed, settings.width, settings.height) == (3, 5, 96, 64)
    assert None not in (settings.cfg, settings.sampler, settings.schedule, settings.clip_skip)
    assert made.versions.keys() == {"torch", "diffusers", "transformers"}
    assert made.device.startswith("cpu (")
    assert (made.weights, made.arithmetic) == ("fp32", "fp32")
    assert made.seconds_steps > 0
    assert made.seconds_decoding > 0
    assert 100 << 20 < made.peak_bytes < 16 << 30
    assert made.faults == ()


def test_a_seed_is_one_image_to_the_bit_and_another_seed_another(
    bench: Bench, checkpoint: str
) -> None:
    recipe = Recipe(model=checkpoint)
    first, again = bench.render(recipe), bench.render(recipe)
    assert first.png == again.png
    assert bench.render(recipe, seed=6).png != first.png


def test_bytes_are_told_while_it_loads_and_nothing_is_loaded_twice(bench: Bench) -> None:
    path = with_changed(bench.folder / "fresh.safetensors", seed=11)
    first = bench.render(Recipe(model=path))
    by_part = {one.what: one for one in bench.loaded}
    assert by_part.keys() >= {"unet", "vae", "text_encoder"}
    assert all(one.done == one.total > 0 for one in by_part.values())
    assert first.seconds_loading > 0
    again = bench.render(Recipe(model=path))
    assert bench.loaded == []
    assert again.seconds_loading == 0
    assert again.png == first.png


@pytest.mark.parametrize("sampler", ["Euler", "Heun", "DPM++ 2M"])
def test_steps_are_counted_as_they_were_asked_for(
    bench: Bench, checkpoint: str, sampler: str
) -> None:
    bench.render(Recipe(model=checkpoint), steps=4, sampler=sampler)
    assert [one.done for one in bench.steps] == sorted(one.done for one in bench.steps)
    assert {one.done for one in bench.steps} == {0, 1, 2, 3, 4}
    assert {one.total for one in bench.steps} == {4}
    assert all(one.preview == b"" for one in bench.steps)


def test_previews_come_when_they_are_wanted_and_change_nothing(
    bench: Bench, checkpoint: str
) -> None:
    plain = bench.render(Recipe(model=checkpoint))
    made = bench.render(Recipe(model=checkpoint), preview=True)
    shown = [one.preview for one in bench.steps if one.done]
    assert len(set(shown)) == 3
    assert all(Image.open(io.BytesIO(one)).size == (8, 8) for one in shown)
    assert made.png == plain.png


def test_a_precision_is_shown_by_rounded_weights_and_said_so(bench: Bench, checkpoint: str) -> None:
    whole = bench.render(Recipe(model=checkpoint))
    half = bench.render(Recipe(model=checkpoint, precision=Precision.BF16))
    assert (half.weights, half.arithmetic) == ("bf16", "fp32")
    assert any("bf16 weights, fp32 arithmetic" in one for one in half.notices)
    difference = np.abs(pixels(half).astype(int) - pixels(whole))
    assert difference.max() > 0
    assert difference.mean() < 16


def test_a_lora_changes_the_image_and_is_gone_without_a_trace(
    bench: Bench, checkpoint: str, lora: str
) -> None:
    plain = Recipe(model=checkpoint)
    without = bench.render(plain)
    strong = bench.render(Recipe(model=checkpoint, loras=(Weighted(lora, 1.0),)))
    idle = bench.render(Recipe(model=checkpoint, loras=(Weighted(lora, 0.0),)))
    assert strong.png != without.png
    assert idle.png == without.png
    assert bench.render(plain).png == without.png


def test_cancelling_between_steps_leaves_the_process_warm(bench: Bench, checkpoint: str) -> None:
    bench.render(Recipe(model=checkpoint))
    number, cancel = bench.worker.process_id, threading.Event()

    def listen(progress: Progress) -> None:
        if isinstance(progress, Stepped) and progress.done == 2:
            cancel.set()

    with pytest.raises(Cancelled):
        bench.render(Recipe(model=checkpoint), steps=500, listen=listen, cancel=cancel)
    assert bench.steps[-1].done < 10
    bench.render(Recipe(model=checkpoint))
    assert bench.worker.process_id == number
    assert bench.loaded == []


@pytest.mark.parametrize("done", [0, 3])
def test_cancelling_before_the_first_step_or_while_it_decodes_gives_no_image(
    bench: Bench, checkpoint: str, done: int
) -> None:
    number, cancel = bench.worker.process_id, threading.Event()

    def listen(progress: Progress) -> None:
        if isinstance(progress, Stepped) and progress.done == done:
            cancel.set()

    with pytest.raises(Cancelled):
        bench.render(Recipe(model=checkpoint), listen=listen, cancel=cancel)
    assert bench.worker.process_id == number


def test_cancelling_while_it_loads_leaves_nothing_half_loaded(bench: Bench) -> None:
    path = with_changed(bench.folder / "cancelled.safetensors", seed=12)
    number, cancel = bench.worker.process_id, threading.Event()

    def listen(progress: Progress) -> None:
        if isinstance(progress, Loading):
            cancel.set()

    with pytest.raises(Cancelled):
        bench.render(Recipe(model=path), listen=listen, cancel=cancel)
    made = bench.render(Recipe(model=path))
    assert {one.what for one in bench.loaded} >= {"unet", "vae"}
    assert made.faults == ()
    assert bench.worker.process_id == number


def test_a_vae_that_overflows_fp16_is_told_and_mended(bench: Bench) -> None:
    # As in SDXL's VAE, no number of fp16 is so large; the product with the next layer is harmless.
    path = with_changed(
        bench.folder / "overflows.safetensors",
        {
            "first_stage_model.decoder.norm_out.weight": 1e5,
            "first_stage_model.decoder.norm_out.bias": 1e5,
            "first_stage_model.decoder.conv_out.weight": 1e-5,
        },
    )
    whole = bench.render(Recipe(model=path))
    assert whole.faults == ()
    half = Recipe(model=path, precision=Precision.FP16)
    broken = bench.render(half, fix_black=False)
    assert "nan" in broken.faults
    assert not pixels(broken).any()
    assert any("VAE" in one.text and one.warning for one in bench.told)
    mended = bench.render(half)
    assert mended.faults == ()
    assert len(np.unique(pixels(mended))) > 50
    assert any("VAE in fp32" in one for one in mended.notices)
    assert mended.weights == "fp16"


def test_weights_that_are_no_numbers_are_told_and_not_blamed_on_the_vae(bench: Bench) -> None:
    path = with_changed(
        bench.folder / "nan.safetensors", {"model.diffusion_model.out.2.bias": float("nan")}
    )
    made = bench.render(Recipe(model=path, precision=Precision.FP16))
    assert "nan" in made.faults
    assert any("unet has values that are no numbers" in one for one in made.notices)
    assert any("diffusion model, not the VAE" in one for one in made.notices)
    assert not any("once more" in one for one in made.notices)


def test_too_little_memory_falls_back_a_step_and_says_so(
    bench: Bench, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("no limits for other processes on this system")
    # Of a process that keeps nothing: what it had freed would do for a picture beyond the limit.
    monkeypatch.setenv(
        "GLIBC_TUNABLES", "glibc.malloc.mmap_max=65536:glibc.malloc.trim_threshold=0"
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with RenderWorker() as worker:
        alone = Bench(worker, bench.folder, bench.network)
        recipe = Recipe(model=checkpoint)
        alone.render(recipe)
        number = worker.process_id
        assert number is not None
        before = resource.prlimit(number, resource.RLIMIT_AS)
        status = Path(f"/proc/{number}/status").read_text()
        in_use = next(
            int(line.split()[1]) for line in status.splitlines() if line.startswith("VmSize")
        )
        resource.prlimit(number, resource.RLIMIT_AS, (in_use << 10, before[1]))
        try:
            with pytest.raises(ModelhubError) as caught:
                alone.render(recipe, width=256, height=256, steps=1)
        finally:
            resource.prlimit(number, resource.RLIMIT_AS, before)
        told = [one.text for one in alone.told if one.warning]
        assert any("out of memory; once more with attention slicing" in one for one in told)
        assert type(caught.value).__name__ == "NotEnoughMemory"
        assert worker.process_id == number
        assert alone.render(recipe).faults == ()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"steps": 0}, "0 steps"),
        ({"width": 100}, "divisible by 8"),
        ({"sampler": "Eulr"}, "Eulr"),
        ({"cfg": float("inf")}, "CFG"),
        ({"cfg": float("nan")}, "CFG"),
        ({"refiner_from": float("nan")}, "refiner"),
    ],
)
def test_settings_of_which_no_image_comes_are_refused(
    bench: Bench, checkpoint: str, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        bench.render(Recipe(model=checkpoint), **more)


@pytest.mark.parametrize("weight", [float("nan"), float("-inf")])
def test_a_lora_weight_that_is_no_number_is_refused_here(
    bench: Bench, checkpoint: str, lora: str, weight: float
) -> None:
    with pytest.raises(UsageError, match=r"lora\.safetensors"):
        bench.render(Recipe(model=checkpoint, loras=(Weighted(lora, weight),)))


def test_files_that_are_none_fail_by_name_and_the_next_render_works(
    bench: Bench, checkpoint: str
) -> None:
    number = bench.worker.process_id
    rubbish = bench.folder / "rubbish.safetensors"
    rubbish.write_bytes(os.urandom(4096))
    for path in (rubbish, bench.folder / "missing.safetensors", bench.folder):
        with pytest.raises(ModelhubError, match=path.name) as caught:
            bench.render(Recipe(model=str(path)))
        assert type(caught.value).__name__ != "RenderFailed"
    assert bench.render(Recipe(model=checkpoint)).faults == ()
    assert bench.worker.process_id == number


def test_a_device_that_is_not_there_is_refused(bench: Bench, checkpoint: str) -> None:
    request = Request(
        id="d",
        recipe=Recipe(model=checkpoint),
        settings=bench.request(Recipe(model=checkpoint)).settings,
        wish=DeviceWish(device="xpu:7"),
    )
    with pytest.raises(NoSuchDevice, match="xpu:7"):
        bench.worker.render(request, lambda progress: None, threading.Event())


def test_the_process_tells_what_there_is_to_compute_on(bench: Bench) -> None:
    found = bench.worker.devices()
    assert found.names[-1] == "cpu"
    assert found.words[-1].startswith("cpu (")
    assert len(found.names) == len(found.words)


def test_a_crash_in_a_step_ends_the_process_alone_and_is_told(
    bench: Bench, checkpoint: str
) -> None:
    bench.render(Recipe(model=checkpoint))
    number = bench.worker.process_id
    assert number is not None

    def listen(progress: Progress) -> None:
        if isinstance(progress, Stepped) and progress.done == 2:
            os.kill(number, signal.SIGSEGV)

    with pytest.raises(RenderWorkerDied, match=r"SIGSEGV at step \d+ of 500") as caught:
        bench.render(Recipe(model=checkpoint), steps=500, listen=listen)
    assert any("Segmentation fault" in line for line in caught.value.lines)
    assert bench.worker.process_id is None


def test_a_listener_that_fails_is_heard_and_the_next_render_works(
    bench: Bench, checkpoint: str
) -> None:
    def listen(progress: Progress) -> None:
        raise RuntimeError("the screen is gone")

    with pytest.raises(RuntimeError, match="the screen is gone"):
        bench.render(Recipe(model=checkpoint), listen=listen)
    assert bench.render(Recipe(model=checkpoint)).faults == ()


def test_nobody_was_asked_over_the_network(bench: Bench, checkpoint: str) -> None:
    bench.render(Recipe(model=checkpoint))
    assert bench.network.read_text() == ""
