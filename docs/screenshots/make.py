"""The pictures of the guide to the terminal UI, made from the program itself on a demo hub.

    python docs/screenshots/make.py

Writes SVG files beside itself. They name no font that would have to be fetched.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelhub.demo.hub import DemoHub

FOLDER = Path(__file__).parent
PULLED = ("78056", "107842@116002", "910001", "910002", "910003", "910010")
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_CLIP_NUMBERS = re.compile(r"terminal-\d+")


@dataclass(frozen=True)
class Shot:
    """A picture: which screen, what is done and then pressed there, how large, in which colours."""

    name: str
    section: str
    keys: Sequence[str] = ()
    size: tuple[int, int] = (130, 36)
    theme: str = "modelhub-dark"
    before: Callable[[Any, Any], Awaitable[None]] | None = None


async def ask_for_jobs(app: Any, pilot: Any) -> None:
    """One that ends well, and one that fails and says what to do."""
    from modelhub.services.jobs import JobKind, JobRequest

    asked = (
        (JobKind.VERIFY, {"query": "type:checkpoint"}, "verify 2 files"),
        (JobKind.DOWNLOAD, {"reference": "910005"}, "910005"),
    )
    for kind, arguments, title in asked:
        request = JobRequest(kind=kind, arguments=arguments, title=title)
        await asyncio.to_thread(app.session.jobs.enqueue, request)
    await _ended(app, pilot)


async def plan_a_conversion(app: Any, pilot: Any) -> None:
    """Half the precision of a checkpoint, and what that saves."""
    from modelhub.tui.screens.convert import ConvertScreen

    await app.open_convert(_files(app, "type:checkpoint fp:fp32"))
    screen = app.screen
    assert isinstance(screen, ConvertScreen)
    screen.form.go_to("dtype")
    await pilot.press("l", "l")
    while not screen.outcomes:
        await pilot.pause(0.1)


async def compare_precisions(app: Any, pilot: Any) -> None:
    """A real comparison, of few steps."""
    from modelhub.tui.screens.render import RenderScreen

    await app.open_render(_files(app, "aniverse")[:1])
    screen = app.screen
    assert isinstance(screen, RenderScreen)
    screen.form.fill({"prompt": "a garden by the sea", "steps": "8", "size": "128x128"})
    screen.form.fill({"seed": "5", "axis": "dtype", "axis_values": "fp32,fp16,bf16"})
    await pilot.press("r")
    await _ended(app, pilot)


def _files(app: Any, query: str) -> list[Path]:
    found = [row.file for row in app.session.catalog.list_files(query)]
    assert found, query
    return found


async def _ended(app: Any, pilot: Any) -> None:
    """Wait until there are jobs, and all have ended."""
    while not app.board.jobs or not all(job.state.ended for job in app.board.jobs.values()):
        await pilot.pause(0.1)


SHOTS = (
    Shot("library", "library", ("down",), (150, 36)),
    Shot("library-light", "library", ("slash", *"type:lora"), (80, 24), "modelhub-light"),
    Shot("browse", "browse", ("wait", "enter", "wait")),
    Shot("jobs", "jobs", before=ask_for_jobs),
    Shot("convert", "convert", before=plan_a_conversion),
    Shot("render", "render", before=compare_precisions),
    Shot("settings", "settings", ("down", "down"), (100, 28)),
    Shot("help", "library", ("question_mark",), (100, 36)),
)


def prepare(hub: DemoHub, home: Path) -> None:
    """A library with a few models, tags and a rating; and the environment that names it."""
    for name in [one for one in os.environ if one.startswith(("MODELHUB_", "CIVITAI_"))]:
        del os.environ[name]
    os.environ |= {
        "MODELHUB_HOME": str(home),
        "MODELHUB_CIVITAI_URL": hub.url,
        "MODELHUB_CIVITAI_REQUESTS_PER_SECOND": "100",
        "MODELHUB_DOWNLOAD_MIN_FREE": "0",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "TERM": "xterm-256color",
        "HOME": str(home),
    }
    for arguments in (
        ("pull", *PULLED),
        ("pull", "--fp", "fp32", "78056"),
        ("tag", "--query", "type:lora", "favourite"),
        ("rate", "--query", "type:checkpoint", "4"),
        ("note", "ink-wash-lines", "weight 0.8, with the clear VAE"),
    ):
        subprocess.run([sys.executable, "-m", "modelhub", "-q", *arguments], check=False)


async def shoot(shot: Shot) -> str:
    """The picture."""
    from modelhub.tui.app import ModelhubApp
    from modelhub.tui.session import Session

    session = Session()
    session.remembered.section = shot.section
    session.remembered.guided = True
    app = ModelhubApp(session)
    app.theme = shot.theme
    try:
        async with app.run_test(size=shot.size) as pilot:
            await _settled(app, pilot)
            if shot.before is not None:
                await shot.before(app, pilot)
                await _settled(app, pilot)
            for key in shot.keys:
                if key == "wait":
                    await _settled(app, pilot)
                else:
                    await pilot.press({":": "colon"}.get(key, key))
            await _settled(app, pilot)
            return app.export_screenshot(title="modelhub")
    finally:
        session.close()


async def _settled(app: Any, pilot: Any) -> None:
    """Wait until the workers are done."""
    for _ in range(30):
        await pilot.pause(0.1)
        if not any(worker.is_running for worker in app.workers):
            break
    await pilot.pause(0.5)


def plain(svg: str, folder: Path) -> str:
    """Without fonts from elsewhere, random names and the folder that it was made in."""
    svg = _FONT_FACE.sub("", svg).replace("Fira Code", "DejaVu Sans Mono")
    return _CLIP_NUMBERS.sub("terminal", svg).replace(str(folder), "~")


def main() -> None:
    with tempfile.TemporaryDirectory() as name, DemoHub() as hub:
        home = Path(name)
        prepare(hub, home)
        for shot in SHOTS:
            file = FOLDER / f"{shot.name}.svg"
            file.write_text(plain(asyncio.run(shoot(shot)), home), encoding="utf-8")
            print(f"{file.name}: {file.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
