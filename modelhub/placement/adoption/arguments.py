"""Where the web UI was told to look: the folders in its `COMMANDLINE_ARGS`.

Source: `modules/cmd_args.py` and `extensions-builtin/Lora/preload.py` of
AUTOMATIC1111/stable-diffusion-webui, and Forge's `modules_forge/shared.py`. They are read from
`webui-user.sh` or `webui-user.bat`, as text: nothing in them is run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from modelhub.placement.adoption.extra_paths import expanded, normal

OPTIONS = frozenset(
    (
        *("--ckpt-dir", "--vae-dir", "--lora-dir", "--lyco-dir", "--embeddings-dir"),
        *("--hypernetwork-dir", "--controlnet-dir", "--text-encoder-dir"),
        *("--esrgan-models-path", "--realesrgan-models-path", "--swinir-models-path"),
        "--dat-models-path",
    )
)
"""Those that name a folder with models."""
_FILES = ("webui-user.sh", "webui-user.bat")
_MAX_BYTES = 64 << 10
_ASSIGNED = re.compile(r"^\s*(?:export\s+|set\s+)?COMMANDLINE_ARGS\s*=(.*)$", re.MULTILINE)


def folders_of_arguments(checkout: Path) -> list[tuple[str, Path]]:
    """The options that name folders, with those, absolute; a damaged file names none."""
    found: dict[Path, str] = {}
    for name in _FILES:
        for option, value in _options(checkout / name):
            found.setdefault(normal(checkout / expanded(value)), option)
    return [(option, folder) for folder, option in found.items()]


def _options(file: Path) -> Iterator[tuple[str, str]]:
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return
    for assigned in _ASSIGNED.findall(content.replace("\r", "")):
        words = _words(assigned.strip().strip("\"'"), posix=file.suffix == ".sh")
        for option, value in zip(words, [*words[1:], ""], strict=True):
            name, equals, inline = option.partition("=")
            chosen = inline if equals else value
            if name in OPTIONS and chosen and not chosen.startswith("-"):
                yield name, chosen


def _words(text: str, *, posix: bool) -> list[str]:
    try:
        words = shlex.split(text.replace('\\"', '"'), posix=posix)
    except ValueError:
        return []
    return [word.strip("\"'") for word in words]
