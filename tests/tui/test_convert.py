"""The Convert screen on tiny models of true layout: the plan, its change, the run, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Static

from modelhub.errors import UsageError
from modelhub.services.jobs import JobState
from modelhub.tui.convert.wish import USUAL, request_of
from modelhub.tui.screens.convert import ConvertScreen, PlanPane
from modelhub.tui.widgets.filepicker import FilePicker
from modelhub.tui.widgets.form import Form
from modelhub.tui.widgets.rows import Rows
from tests.tui.desk import LARGE, Desk, Sitting
from tests.tui.stock import told
from tests.tui.tinyshelf import stock

pytestmark = pytest.mark.anyio


def plan(sitting: Sitting) -> str:
    """All of the plan, on screen or not."""
    return str(sitting.one(PlanPane).query_one(Static).content)


async def planned(sitting: Sitting, *words: str) -> None:
    await sitting.until(lambda: all(word in plan(sitting) for word in words))


async def on_field(sitting: Sitting, name: str) -> Form:
    form = sitting.one(Form)
    form.focus()
    form.go_to(name)
    await sitting.until(lambda: form.has_focus and form.key == name)
    return form


async def test_without_files_it_says_how_to_choose_some(desk: Desk) -> None:
    async with desk.open("convert") as sitting:
        await sitting.sees("no file chosen", "f chooses files")
        await sitting.press("r")
        await told(sitting, "choose files first")
        assert sitting.jobs() == []


async def test_files_of_the_catalog_are_found_marked_and_taken(desk: Desk) -> None:
    files = stock(desk)
    async with desk.open("convert") as sitting:
        await sitting.press("f")
        await sitting.until(lambda: isinstance(sitting.app.screen, FilePicker))
        await sitting.sees("garden.safetensors", "ink.safetensors")
        await sitting.write("type:checkpoint")
        await sitting.until(lambda: "ink.safetensors" not in sitting.text())
        rows = sitting.one(Rows)
        await sitting.until(lambda: len(rows.keys) == 2)
        await sitting.press("tab", "tab", "enter")
        front = sitting.app.screen
        assert isinstance(front, ConvertScreen)
        await sitting.until(lambda: set(front.sources) == {files["ckpt"], files["model"]})
        await planned(sitting, "1 file:", "garden", "old mix")


async def test_the_plan_follows_the_form_and_is_then_carried_out(desk: Desk) -> None:
    files = stock(desk)
    async with desk.open("library") as sitting:
        await sitting.app.open_convert([files["ckpt"]])
        await planned(sitting, "becomes", "old mix.safetensors")
        await on_field(sitting, "dtype")
        await sitting.press("l", "l")
        await planned(sitting, "old mix-fp16.safetensors", "F32 → F16", "(-50%)")
        await sitting.press("r")
        job = await sitting.job(JobState.DONE, JobState.FAILED)
        assert job.state is JobState.DONE, job.error
        made = files["ckpt"].with_name("old mix-fp16.safetensors")
        assert made.is_file()
        assert made.stat().st_size < files["ckpt"].stat().st_size
        assert files["ckpt"].is_file()
        await sitting.until(
            lambda: made.name in str(sitting.app.screen.query_one("#outcome", Static).content)
        )


async def test_a_dangerous_pickle_is_refused_with_the_reason(desk: Desk) -> None:
    files = stock(desk)
    async with desk.open("convert", LARGE) as sitting:
        await sitting.app.open_convert([files["danger"], files["model"]])
        await planned(sitting, "1 file refused", "dangerous", "posix.system")
        await on_field(sitting, "allow_unsafe")
        await sitting.press("space")
        await sitting.until(lambda: "refused" not in plan(sitting))
        await planned(sitting, "too good", "scan", "dangerous")


async def test_values_beyond_fp16_are_named_before_anything_is_written(desk: Desk) -> None:
    from tests.render.tiny import UNET_TENSOR, patched

    files = stock(desk)

    def enlarge(numbers: object) -> None:
        numbers[:3] = 70_000.0  # type: ignore[index]

    patched(files["model"], UNET_TENSOR, enlarge)
    async with desk.open("convert", LARGE) as sitting:
        await sitting.app.open_convert([files["model"]])
        await on_field(sitting, "dtype")
        await sitting.press("l", "l")
        await planned(sitting, "1 tensor with values beyond", UNET_TENSOR, "70000")


async def test_a_vae_is_picked_among_the_vaes_and_baked_in(desk: Desk) -> None:
    files = stock(desk)
    async with desk.open("convert") as sitting:
        await sitting.app.open_convert([files["model"]])
        await planned(sitting, "garden")
        await on_field(sitting, "vae")
        await sitting.press("enter")
        await sitting.until(lambda: isinstance(sitting.app.screen, FilePicker))
        await sitting.sees("clear.safetensors")
        assert "garden.safetensors   " not in sitting.text()
        await sitting.press("enter")
        await planned(sitting, "garden-vae-clear.safetensors")
        await sitting.press("backspace")
        await sitting.until(lambda: "vae-clear" not in plan(sitting))


async def test_a_text_field_is_asked_for_in_one_line_and_checked(desk: Desk) -> None:
    files = stock(desk)
    async with desk.open("convert") as sitting:
        await sitting.app.open_convert([files["lora"]])
        form = await on_field(sitting, "rank")
        await sitting.press("enter")
        await sitting.write("many")
        await sitting.press("enter")
        await planned(sitting, "rank", "many", "no number")
        await sitting.until(lambda: form.has_focus)
        await sitting.press("enter", "ctrl+a", "ctrl+k", "2", "enter")
        await planned(sitting, "ink-rank2.safetensors")


async def test_a_file_that_vanished_is_told_in_the_plan(desk: Desk) -> None:
    files = stock(desk)
    async with desk.open("convert") as sitting:
        await sitting.app.open_convert([files["model"]])
        await planned(sitting, "garden")
        files["model"].unlink()
        await sitting.press("p")
        await planned(sitting, "there is no file")


async def test_a_source_is_deleted_only_when_that_is_confirmed(desk: Desk) -> None:
    files = stock(desk)
    async with desk.open("convert") as sitting:
        await sitting.app.open_convert([files["ckpt"]])
        await on_field(sitting, "delete_source")
        await sitting.press("space")
        await planned(sitting, "becomes")
        await sitting.press("r")
        await sitting.sees("Delete 1 source file")
        await sitting.write("no")
        await sitting.press("enter")
        assert sitting.jobs() == []
        await sitting.press("r")
        await sitting.sees("Delete 1 source file")
        await sitting.write("yes")
        await sitting.press("enter")
        job = await sitting.job(JobState.DONE, JobState.FAILED)
        assert job.state is JobState.DONE, job.error
        assert not files["ckpt"].exists()
        assert files["ckpt"].with_suffix(".safetensors").is_file()


def test_wishes_that_exclude_each_other_are_refused() -> None:
    values = dict.fromkeys(
        ("target", "dtype", "unet_dtype", "vae_dtype", "text_dtype", "overflow", "ema", "prune",
         "fix", "vae", "extract", "merge", "merge_weight", "lora_base", "lora_keys", "rank",
         "keep_energy", "output", "allow_unsafe", "delete_source"), "",
    ) | USUAL  # fmt: skip
    request = request_of(values | {"dtype": "fp16", "output": "~/made/"})
    assert request.output == Path("~/made").expanduser()
    assert request.output_is_folder
    with pytest.raises(UsageError):
        request_of(values | {"vae": "/a.safetensors", "extract": "vae"})
    with pytest.raises(UsageError):
        request_of(values | {"keep_energy": "0.5"})
