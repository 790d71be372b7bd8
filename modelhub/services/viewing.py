"""Files shown by the program that the system has for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from modelhub.errors import ModelhubError, UnknownFile


def open_in_viewer(path: Path) -> None:
    """Show a file in the system's program for it, and do not wait for that.

    :raises UnknownFile: there is no such file.
    :raises ModelhubError: there is no such program.
    """
    if not path.is_file():
        raise UnknownFile(f"there is no file {path}", hint="it was moved or deleted meanwhile")
    name = "open" if sys.platform == "darwin" else "xdg-open"
    program = shutil.which(name)
    if program is None:
        raise ModelhubError(
            f"there is no {name} here, which would know how to show a picture",
            hint=f"the file is {path}",
        )
    try:
        viewer = subprocess.Popen(  # noqa: S603 -- the system's own program, and a path, without a shell
            [program, os.fspath(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise ModelhubError(f"{program} cannot be started: {error.strerror}") from error
    # Somebody has to take note of its end, else it stays in the list of processes until ours.
    threading.Thread(target=viewer.wait, name="viewer", daemon=True).start()
