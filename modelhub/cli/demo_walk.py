"""The walk of `modelhub demo`: the main job by real commands, against a hub of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelhub.errors import MissingExtra, ModelhubError, UnsafeFileError

if TYPE_CHECKING:
    from modelhub.cli.context import App
    from modelhub.demo.hub import DemoHub

_FOREIGN = ("MODELHUB_", "CIVITAI_")


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the walk.

    :param says: what it shows, in a line before it.
    :param exit_code: how it must end, or the walk has failed.
    :param by_hand: what the user would do to the library without modelhub, given the hub and the
        library; the command is then only shown.
    :param renders: left out where the extra `render` is not installed.
    """

    says: str
    command: str
    exit_code: int = 0
    by_hand: Callable[[DemoHub, Path], None] | None = None
    renders: bool = False


def _copy_a_download(hub: DemoHub, library: Path) -> None:
    folder = library / "embeddings"
    folder.mkdir(exist_ok=True)
    shutil.copy(hub.stored(_EMBEDDING_FILE).path, folder / "download (3).safetensors")


def _rename_the_lora(hub: DemoHub, library: Path) -> None:
    lora = next(library.glob("loras/*.safetensors"))
    (library / "loras" / "mine").mkdir(exist_ok=True)
    lora.rename(library / "loras" / "mine" / "renamed.safetensors")


def _copy_the_malicious_file(hub: DemoHub, library: Path) -> None:
    shutil.copy(hub.stored(_MALICIOUS_FILE).path, library / "checkpoints" / "too_good.ckpt")


_EMBEDDING_FILE = 911_103
_MALICIOUS_FILE = 911_104


STEPS = (
    Step(
        "Pull a checkpoint by its id, and another by the link that you would paste.",
        "modelhub pull 78056 'https://civitai.com/models/107842?modelVersionId=428028'",
    ),
    Step("What is it? Its tensors tell, before any download.", "modelhub inspect 910001"),
    Step("A LoRA and a VAE: each goes where ComfyUI looks for it.", "modelhub pull 910001 910002"),
    Step("The same again costs nothing.", "modelhub pull 78056"),
    Step(
        "A file that Civitai's scan calls dangerous is refused.",
        "modelhub pull 910004",
        UnsafeFileError.exit_code,
    ),
    Step("Tags and ratings are yours: they hang on the content.", "modelhub tag ink-wash style"),
    Step("", "modelhub rate sakushimix 5"),
    Step("What is here?", "modelhub list"),
    Step("Search by words and fields.", "modelhub list 'type:lora tag:style inkwash'"),
    Step(
        "A file comes by another way, under a name that says nothing.",
        "cp ~/Downloads/'download (3).safetensors' embeddings/",
        by_hand=_copy_a_download,
    ),
    Step(
        "Another is renamed behind modelhub's back.",
        "mkdir loras/mine; mv loras/ink*.safetensors loras/mine/renamed.safetensors",
        by_hand=_rename_the_lora,
    ),
    Step("Indexing identifies the one by its tensors, and follows the other.", "modelhub index"),
    Step("Civitai knows the new one by its hash.", "modelhub match"),
    Step("It has a name now; and the tag is still on the LoRA.", "modelhub list"),
    Step("Read it all again: is it still what was published?", "modelhub verify"),
    Step("Everything about one file.", "modelhub show sakushimix"),
    Step(
        "A pickle from a stranger.",
        "cp ~/Downloads/too_good.ckpt checkpoints/",
        by_hand=_copy_the_malicious_file,
    ),
    Step("Indexing reads it, and runs none of it.", "modelhub index"),
    Step(
        "What would it do, if something loaded it?",
        "modelhub scan too_good",
        UnsafeFileError.exit_code,
    ),
    Step(
        "It is not converted either, unless you insist.",
        "modelhub convert too_good",
        UnsafeFileError.exit_code,
    ),
    Step(
        "What would an fp32 copy with an fp16 VAE be?",
        "modelhub convert sakushimix --dtype fp32 --vae-dtype fp16 --plan",
    ),
    Step("A VAE of its own, out of the checkpoint.", "modelhub convert sakushimix --extract-vae"),
    Step(
        "It knows what it was made from, and has your rating.",
        "modelhub show sakushimixFinished_sakushimixFinal.vae",
    ),
    Step("The same checkpoint in fp32 is published too.", "modelhub pull 78056 --fp fp32"),
    Step(
        "Would fp16 do? The weights are random, and so are the pictures; the figures are not.",
        "modelhub render 'sakushimixFinished_sakushimixFinal (133274)' --steps 4 --size 128x128 "
        "--prompt 'a lighthouse at night' --compare dtype",
        renders=True,
    ),
    Step(
        "What does the LoRA do? It is tried on the checkpoint that it was trained on.",
        "modelhub render renamed.safetensors --steps 4 --size 128x128 "
        "--prompt 'a lighthouse at night' --compare lora-weight",
        renders=True,
    ),
    Step(
        "Each picture is on record, and `--again` makes the very same.",
        "modelhub renders",
        renders=True,
    ),
)


def walk(app: App, folder: Path) -> None:
    """Start a hub, run :data:`STEPS` on a library in `folder`, and say what to try next.

    :raises ModelhubError: a command ended otherwise than it must.
    """
    from modelhub.demo.hub import DemoHub

    library = folder / "ComfyUI" / "models"
    library.mkdir(parents=True, exist_ok=True)
    with DemoHub(folder=folder / "published") as hub:
        environ = _environment(folder, library, hub.url)
        app.echo(f"A demo hub answers at {hub.url}; the library is {library}.")
        can_render = _can_render(app)
        for step in STEPS:
            if step.renders and not can_render:
                continue
            _announce(app, step)
            if step.by_hand is not None:
                step.by_hand(hub, library)
            else:
                _run(app, step, environ)
            if app.cancel.is_set():
                return
    app.echo()
    for line in _what_next(folder):
        app.echo(line)


def _can_render(app: App) -> bool:
    """Whether test images can be made here; says what they need, if not."""
    from modelhub.render.worker.started import require_extra

    try:
        require_extra()
    except MissingExtra as error:
        app.echo(f"Test images are left out: {error.message} ({error.hint}).")
        return False
    return True


def _announce(app: App, step: Step) -> None:
    app.echo()
    if step.says:
        click.secho(f"# {step.says}", fg="cyan", color=app.color)
    click.secho(f"$ {step.command}", bold=True, color=app.color)
    sys.stdout.flush()


def _run(app: App, step: Step, environ: dict[str, str]) -> None:
    arguments = shlex.split(step.command)[1:]
    done = subprocess.run(  # noqa: S603 -- our own program, with the arguments written above
        [sys.executable, "-m", "modelhub", *arguments], env=environ, check=False
    )
    if done.returncode != step.exit_code and not app.cancel.is_set():
        raise ModelhubError(
            f"`{step.command}` ended with {done.returncode}, not {step.exit_code}",
            hint="this is a bug in modelhub: please report what stands above",
        )


def _environment(folder: Path, library: Path, hub_url: str) -> dict[str, str]:
    """This environment without the user's own modelhub: the demo touches none of it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return environ | {
        "MODELHUB_HOME": str(folder / "home"),
        "MODELHUB_CIVITAI_URL": hub_url,
        "MODELHUB_LIBRARY_ROOT": str(library),
        "MODELHUB_DOWNLOAD_MIN_FREE": "64MiB",
        "MODELHUB_CIVITAI_REQUESTS_PER_SECOND": "50",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }


def _what_next(folder: Path) -> list[str]:
    program = shlex.quote(_program())
    home = shlex.quote(str(folder / "home"))
    return [
        "Done. Try next:",
        f"  MODELHUB_HOME={home} {program} show aniverse     # this demo library",
        f"  {program} demo serve --port 8765                 # the hub, to try faults by hand",
        f"  {program} login                                  # your Civitai key, if you have one",
        f"  {program} pull 78056                             # the real one, into your library",
        f"  {program} --help",
        f"The demo's files are in {folder}; delete it when you like.",
    ]


def _program() -> str:
    """How the user would type `modelhub` where this one is not on the PATH."""

    beside = Path(sys.executable).with_name("modelhub")
    if shutil.which("modelhub") or not beside.exists():
        return "modelhub"
    return os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside)
