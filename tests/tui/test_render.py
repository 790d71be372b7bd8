"""The Render screen: the form, refusals, one real comparison, and what was made before."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.errors import UsageError
from modelhub.services.jobs import Job, JobKind, JobState
from modelhub.tui.render.gallerylist import Gallery
from modelhub.tui.render.wish import FIELDS, USUAL, wish_of
from modelhub.tui.screens.jobs import JobDetails
from modelhub.tui.screens.render import RenderScreen
from modelhub.tui.widgets.filepicker import FilePicker
from modelhub.tui.widgets.form import Field, Form
from modelhub.tui.widgets.picture import Picture
from tests.tui.desk import LARGE, PATIENCE, Desk, Sitting
from tests.tui.stock import told
from tests.tui.tinyshelf import stock

pytestmark = [
    pytest.mark.anyio,
    # Of textual-image, which reads pixels the old way.
    pytest.mark.filterwarnings("ignore:Image.Image.getdata:DeprecationWarning"),
]
EMPTY = {one.name: "" for one in FIELDS if isinstance(one, Field)} | USUAL


def viewer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of the system's, that notes what it is to show; the note."""
    note = folder / "shown.txt"
    for name in ("xdg-open", "open"):
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nprintf %s "$1" > "{note}"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")
    return note


def front(sitting: Sitting) -> RenderScreen:
    screen = sitting.app.screen
    assert isinstance(screen, RenderScreen)
    return screen


async def test_it_says_what_to_do_and_refuses_to_render_nothing(desk: Desk) -> None:
    async with desk.open("render") as sitting:
        await sitting.sees("f chooses files", "nothing was rendered yet")
        await sitting.press("r")
        await sitting.sees("choose what is to be rendered")
        assert sitting.jobs() == []


async def test_loras_are_picked_among_the_loras(desk: Desk) -> None:
    files = stock(desk)
    async with desk.open("render") as sitting:
        form = sitting.one(Form)
        form.go_to("loras")
        await sitting.press("enter")
        await sitting.until(lambda: isinstance(sitting.app.screen, FilePicker))
        await sitting.sees("ink.safetensors")
        await sitting.press("enter")
        await sitting.until(lambda: form.values["loras"] == str(files["lora"]))
        await sitting.sees("ink.safetensors")


async def test_precisions_are_compared_and_the_grid_is_shown_opened_and_remembered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = viewer(desk.folder, monkeypatch)
    files = stock(desk)
    async with desk.open("library", LARGE) as sitting:
        await sitting.app.open_render([files["model"]])
        form = sitting.one(Form)
        form.fill({"steps": "1", "size": "64x64", "sampler": "Euler", "axis": "dtype"})
        form.fill({"axis_values": "fp16,fp32", "seed": "5"})
        form.go_to("prompt")
        await sitting.press("enter")
        await sitting.write("a garden")
        await sitting.press("enter")
        await sitting.until(lambda: form.values["prompt"] == "a garden")
        await sitting.press("r")
        job = await sitting.job(JobState.DONE, JobState.FAILED)
        assert job.state is JobState.DONE, job.error
        assert job.result is not None
        grid = Path(job.result["grids"][0]["path"])
        await sitting.sees("2 pictures, side by side", grid.name, "PSNR")
        gallery = sitting.one(Gallery)
        await sitting.until(lambda: len(gallery.keys) == 3)
        picture = sitting.one(Picture)
        await sitting.until(lambda: picture._source == grid and picture._image is not None)
        await sitting.press("o")
        await sitting.until(lambda: note.exists() and note.read_text() == str(grid))
        await _previous(sitting, form, gallery)


async def _previous(sitting: Sitting, form: Form, gallery: Gallery) -> None:
    """The gallery: looked at, taken the settings of, deleted from."""
    form.fill({"prompt": "something else", "seed": "1"})
    await sitting.press("tab", "j")
    await sitting.until(lambda: gallery.current is not None)
    one = gallery.current
    assert one is not None
    await sitting.sees("a garden", "seed 5", "1 steps")
    await sitting.press("e")
    await sitting.until(lambda: form.values["prompt"] == "a garden")
    assert form.values["seed"] == "5"
    assert Path(form.values["files"]).name == "garden.safetensors"
    await sitting.press("tab", "d")
    await sitting.sees("Delete render")
    await sitting.write("yes")
    await sitting.press("enter")
    await sitting.until(lambda: str(one.row.id) not in gallery.keys)
    assert not one.path.exists()


async def test_a_picture_that_the_daemon_makes_is_shown_as_it_comes(desk: Desk) -> None:
    files = stock(desk)
    with daemon(desk):
        async with desk.open("jobs", LARGE) as sitting:
            await sitting.sees("done by the daemon")
            await sitting.app.open_render([files["model"]])
            form = sitting.one(Form)
            form.fill({"steps": "150", "size": "64x64", "sampler": "Euler", "seed": "5"})
            await sitting.press("r")
            picture = sitting.one(Picture)
            await sitting.until(lambda: isinstance(picture._source, bytes))
            await sitting.press("3")
            shown = sitting.one(JobDetails).query_one(Picture)
            await sitting.until(lambda: shown.display and isinstance(shown._source, bytes))
            await sitting.press("x")
            await sitting.job(JobState.CANCELLED, JobState.DONE)
            await sitting.until(lambda: not shown.display)


@contextlib.contextmanager
def daemon(desk: Desk) -> Iterator[None]:
    """`modelhub daemon`, ended with the block."""
    environ = {**desk.environ, "MODELHUB_DAEMON_WATCH": "false"}
    command = [sys.executable, "-m", "modelhub", "daemon", "run", "--quiet"]
    with subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)
    assert process.returncode == 0


async def test_what_cannot_be_rendered_is_told_with_the_reason(desk: Desk) -> None:
    files = stock(desk)
    async with desk.open("render") as sitting:
        await sitting.app.open_render([files["model"]])
        files["model"].unlink()
        await sitting.press("r")
        job: Job = await sitting.job(JobState.FAILED)
        assert job.kind is JobKind.RENDER
        await sitting.sees("✗", "No such file")


async def test_without_a_viewer_it_says_where_the_picture_is(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    shown = tmp_path / "there.png"
    shown.write_bytes(b"a picture")
    async with desk.open("render") as sitting:
        sitting.one(Gallery).open_file(shown)
        await told(sitting, "would know how to show a picture", str(shown))
        sitting.one(Gallery).open_file(tmp_path / "gone.png")
        await told(sitting, "there is no file")


async def test_the_picture_is_zoomed_and_the_rest_comes_back(desk: Desk) -> None:
    async with desk.open("render") as sitting:
        await sitting.press("z")
        assert not sitting.one(Form).display
        await sitting.press("escape")
        assert sitting.one(Form).display
        assert front(sitting).form.has_focus


def test_the_form_becomes_a_wish() -> None:
    given = {
        "files": "/a.safetensors\n/b.safetensors",
        "loras": "/l.safetensors",
        "weight": "0.8",
        "size": "512x768",
        "axis": "steps",
        "axis_values": "10,20",
        "rows": "file",
    }
    files, wish = wish_of(EMPTY | given)
    assert files == ["/a.safetensors", "/b.safetensors"]
    assert wish.loras == (("/l.safetensors", 0.8),)
    assert (wish.settings.width, wish.settings.height) == (512, 768)
    assert wish.compare == ("steps=10,20", "file")


@pytest.mark.parametrize(
    "wrong", [{"size": "large"}, {"steps": "0"}, {"cfg": "warm"}, {"weight": "99"}]
)
def test_what_is_no_number_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        wish_of(EMPTY | {"files": "/a.safetensors"} | wrong)
