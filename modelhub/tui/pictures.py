"""Pictures in a terminal: how this one can show them, and files made small enough to be shown.

textual-image asks the terminal what it can when it is imported. That must not happen here: the
answer would come in between the user's keys, and asking costs a tenth of a second at every start.
So its questions are kept from the terminal, and the environment tells instead.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import warnings
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.errors import FileUnreadable, FormatError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 89_000_000
"""Of a picture that is read at all: above 89,478,485 Pillow warns."""
MOST_BYTES = 256 << 20
EDGE = 1_024
"""Pixels of the longer edge of what is given to the terminal."""
_lock = threading.Lock()


class Way(StrEnum):
    """How a terminal shows pictures."""

    KITTY = "kitty"
    SIXEL = "sixel"
    BLOCKS = "blocks"


def way_of(environ: Mapping[str, str]) -> Way:
    """What the terminal of this environment is known to show."""
    if environ.get("TEXTUAL_DRIVER"):
        return Way.BLOCKS  # a browser: what else is said is of the terminal that serves it
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if environ.get("TMUX") or term.startswith(("screen", "tmux")):
        return Way.BLOCKS
    if environ.get("KITTY_WINDOW_ID") or "kitty" in term or "ghostty" in term:
        return Way.KITTY
    if program in ("WezTerm", "iTerm.app", "mintty") or term.startswith(
        ("foot", "mlterm", "contour", "yaft")
    ):
        return Way.SIXEL
    return Way.BLOCKS


def widget_class(environ: Mapping[str, str] | None = None) -> Any:
    """The widget of textual-image for this terminal; its `image` takes a Pillow image.

    For a worker thread at first, since the import takes a tenth of a second.
    """
    way = way_of(os.environ if environ is None else environ)
    with _lock:
        widgets = _imported()
    match way:
        case Way.KITTY:
            return widgets.TGPImage
        case Way.SIXEL:
            return widgets.SixelImage
        case Way.BLOCKS:
            return widgets.HalfcellImage


def _imported() -> Any:
    module = sys.modules.get("textual_image.widget")
    if module is not None:
        return module
    ours = sys.__stdout__
    # Not a terminal, so it asks nothing; Textual writes to standard error.
    sys.__stdout__ = io.StringIO()  # type: ignore[misc, assignment]
    try:
        import textual_image.widget as module
    finally:
        sys.__stdout__ = ours  # type: ignore[misc]
    _measure_cells()
    return module


def _measure_cells() -> None:
    """How many pixels a cell has, where the terminal says so without being asked."""
    import fcntl
    import struct
    import termios

    from textual_image._terminal import CellSize, get_cell_size

    try:
        answer = fcntl.ioctl(sys.__stderr__ or 2, termios.TIOCGWINSZ, b"\0" * 8)
    except (OSError, ValueError):
        return
    rows, columns, width, height = struct.unpack("HHHH", answer)
    if rows and columns and width // columns and height // rows:
        get_cell_size._result = CellSize(width // columns, height // rows)  # type: ignore[attr-defined]


def small_picture(source: Path | bytes, edge: int = EDGE) -> Image:
    """The picture of a file, or of its bytes, in RGB and at most `edge` pixels wide and high.

    For a worker thread. Of a moving picture, the first frame.

    :raises FileUnreadable: there is no such file, or it cannot be read.
    :raises FormatError: it is no picture, is damaged, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    name = source if isinstance(source, Path) else None
    data = _read(source) if isinstance(source, Path) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise FormatError("the picture has too many pixels", path=name, hint="")
                picture.draft("RGB", (edge, edge))
                picture.thumbnail((edge, edge))
                return picture.convert("RGB")
    except UnidentifiedImageError as error:
        raise FormatError("this is no picture that can be shown", path=name, hint="") from error
    except (OSError, SyntaxError, ValueError, MemoryError, EOFError) as error:
        raise FormatError(f"the picture cannot be read: {error}", path=name, hint="") from error


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise FormatError("the picture is too large to be shown", path=path, hint="")
        return path.read_bytes()
    except OSError as error:
        raise FileUnreadable(f"cannot read {path}: {error.strerror}") from error
