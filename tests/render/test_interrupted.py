"""A render that is stopped, or whose file is pulled away from under it, at every stage."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from modelhub.errors import Cancelled, SourceChanged
from modelhub.render.answers import Loading, Rendered, Stepped, Told
from modelhub.render.request import Request
from tests.render import tiny
from tests.render.conftest import Bench

Progress = Loading | Stepped | Told


def is_step(number: int) -> Callable[[Progress], bool]:
    return lambda progress: isinstance(progress, Stepped) and progress.done == number


def is_loading(part: str) -> Callable[[Progress], bool]:
    return lambda progress: isinstance(progress, Loading) and part in progress.what


def during(
    bench: Bench,
    request: Request,
    when: Callable[[Progress], bool],
    act: Callable[[], None],
    cancel: threading.Event | None = None,
) -> Rendered:
    """Render, and do something at the first moment that is meant."""
    done = False

    def listen(progress: Progress) -> None:
        nonlocal done
        if not done and when(progress):
            done = True
            act()

    image = bench.worker.render(request, listen, cancel or threading.Event())
    assert done, "the moment never came"
    return image


@pytest.fixture
def model(models: Path, tmp_path: Path) -> Path:
    """One of its own for each test: never loaded before."""
    return Path(shutil.copy(models / "sd1.safetensors", tmp_path / "model.safetensors"))


@pytest.mark.parametrize(
    "when",
    [is_loading("text"), is_loading("vae"), is_loading("unet"), is_step(1), is_step(3)],
    ids=["text encoder", "vae", "unet", "first step", "last step"],
)
def test_it_can_be_cancelled_at_every_stage_and_the_worker_goes_on(
    when: Callable[[Progress], bool], bench: Bench, model: Path, models: Path
) -> None:
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        during(bench, tiny.asked(model, steps=4), when, cancel.set, cancel)
    expected = bench.render(tiny.asked(models / "sd1.safetensors")).png
    assert bench.render(tiny.asked(model)).png == expected


def _overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(b"\x3f" * 4096)


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def _replaced(path: Path) -> None:
    path.with_name("other.safetensors").replace(path)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A model with other numbers, beside."""
    return tiny.write_sd1(tmp_path / "other.safetensors", seed=99)


@pytest.mark.parametrize("change", [_overwritten, _truncated, _replaced, Path.unlink])
@pytest.mark.parametrize("part", ["text", "vae", "unet"])
def test_a_file_that_changes_while_it_loads_gives_no_mixture_of_two(
    change: Callable[[Path], None], part: str, bench: Bench, model: Path, models: Path, other: Path
) -> None:
    """The worker reads on while this happens: it may have been done with the file, or not."""
    before = bench.render(tiny.asked(models / "sd1.safetensors")).png
    outcome: list[object] = []
    try:
        outcome.append(
            during(bench, tiny.asked(model), is_loading(part), lambda: change(model)).png
        )
    except SourceChanged as error:
        outcome.append(error.message.partition(" ")[0])
    assert outcome in ([before], [str(model)])


def test_a_file_that_is_replaced_after_it_was_rendered_is_read_anew(
    bench: Bench, model: Path, other: Path
) -> None:
    before = bench.render(tiny.asked(model)).png
    expected = bench.render(tiny.asked(other)).png
    status = model.stat()
    _replaced(model)
    os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert bench.render(tiny.asked(model)).png == expected != before
