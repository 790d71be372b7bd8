"""Torch, diffusers and transformers: imported late, offline, and told to be silent."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
import warnings
from collections.abc import Iterator
from typing import Any

from modelhub.errors import CannotRender, MissingExtra

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "YES",
}
_NAMES = ("torch", "diffusers", "transformers")


@functools.cache
def library(name: str) -> Any:
    """One of the libraries of the extra ``render``; no hub is asked, no bar is drawn.

    :raises MissingExtra: it is not installed.
    """
    if name not in _NAMES:
        raise ValueError(name)
    os.environ.update(_OFFLINE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(
            f"rendering needs {name}, which cannot be imported: {error}",
            hint="run `pip install 'modelhub[render]'`",
        ) from error
    _silence(name, found)
    return found


def class_in(name: str, wanted: str) -> Any:
    """A class of one of the libraries.

    :raises CannotRender: the version that is installed does not have it.
    """
    found = library(name)
    made = getattr(found, wanted, None)
    if made is None:
        raise CannotRender(
            f"{name} {found.__version__} does not have {wanted}, which this model needs",
            hint=f"a later version has it: `pip install -U {name}`",
        )
    return made


@contextlib.contextmanager
def imported_to_stay() -> Iterator[None]:
    """For the block that imports them: nothing looks for garbage in what is made there.

    Of hundreds of thousands of objects nearly all stay as long as the process; to look through
    them again and again takes a fifth of the time of the imports, and is spared later, too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _silence(name: str, found: Any) -> None:
    if name == "diffusers":
        found.utils.logging.set_verbosity_error()
        found.utils.logging.disable_progress_bar()
    elif name == "transformers":
        found.logging.set_verbosity_error()
        found.logging.disable_progress_bar()


def versions() -> dict[str, str]:
    """Of all three, as records keep them."""
    return {name: str(library(name).__version__) for name in _NAMES}
