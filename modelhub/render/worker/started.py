"""A renderer's process as its parent sees it: how it is started, spoken to and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing import Pipe
from pathlib import Path

import modelhub
from modelhub.errors import MissingExtra, RenderWorkerDied
from modelhub.render.worker.heap import keeping
from modelhub.render.worker.output import LastLines
from modelhub.render.worker.protocol import Begin, give_order

_NEEDED = ("torch", "diffusers", "transformers", "PIL")
_TO_END = 5.0
"""Seconds for a process whose connection was closed, and for the system to bury a dead one."""
_SHOWN_LINES = 6
_LEAVING: list[subprocess.Popen[bytes]] = []
"""Processes that were ended, and are still to be buried."""


def require_extra() -> None:
    """See to it that what rendering needs is installed; imports none of it.

    :raises MissingExtra: naming what is missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        names = ", ".join("pillow" if name == "PIL" else name for name in missing)
        raise MissingExtra(
            f"rendering needs packages that are not installed: {names}",
            hint="pip install 'modelhub[render]'",
        )


class StartedWorker:
    """One process, from its start to its end.

    Ctrl-C does not reach it: it has a group of its own. It ends when its connection does, so also
    when this process is killed.

    :param settings: how it is to behave.
    :raises MissingExtra: there is nothing that it could render with.
    """

    def __init__(self, settings: Begin) -> None:
        require_extra()
        _LEAVING[:] = [one for one in _LEAVING if one.poll() is None]
        self.connection, theirs = Pipe()
        reading, writing = os.pipe()
        package = str(Path(modelhub.__file__).parents[1])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            **keeping(os.environ),
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
        }
        descriptor = str(theirs.fileno())
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                # -P: the working folder, which may be one of downloads, is no place to import from.
                [sys.executable, "-P", "-m", "modelhub.render.worker", descriptor],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env=environment,
                process_group=0,
            )
        except BaseException:
            os.close(reading)
            self.connection.close()
            raise
        finally:
            os.close(writing)
            theirs.close()
        self._output = LastLines(reading)
        with suppress(OSError):  # it died at once: the first request tells
            give_order(self.connection, settings)

    @property
    def process_id(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def last_lines(self) -> tuple[str, ...]:
        """What it wrote last on its standard output and error."""
        return self._output.lines()

    def ended_by_itself(self) -> bool:
        """Whether it ended as it should, being idle; to be asked once its connection ended."""
        return self._return_code() == 0

    def death(self, doing: str) -> RenderWorkerDied:
        """The error that tells how it died; to be asked once its connection ended.

        :param doing: what it was at: "while it loaded the VAE".
        """
        code = self._return_code()
        lines = self._output.lines(_TO_END)
        last = "\n  ".join(lines[-_SHOWN_LINES:])
        return RenderWorkerDied(
            f"the render worker {_how(code)} {doing}" + (f":\n  {last}" if last else ""),
            hint=_hint(code),
            lines=lines,
        )

    def close(self) -> None:
        """End it: by closing its connection, and when that does not help, by force."""
        self.connection.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_TO_END)
        self.kill()

    def leave(self) -> None:
        """End it by force, and let it go: it answered all that it was asked, and keeps nothing.

        The system takes a moment for gigabytes of memory, which nobody needs to see.
        """
        self.connection.close()
        self._process.kill()
        _LEAVING.append(self._process)

    def terminate(self) -> None:
        """Begin to end it by force: who waits for its answers sees them end."""
        self._process.kill()

    def kill(self) -> None:
        """End it by force."""
        self.connection.close()
        self._process.kill()
        self._process.wait()
        self._output.lines(_TO_END)

    def _return_code(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_TO_END)
        return None


def _how(code: int | None) -> str:
    if code is None:
        return "closed its connection"
    if code >= 0:
        return f"ended with code {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def _hint(code: int | None) -> str:
    again = "the next render starts it anew"
    if code == -signal.SIGKILL:
        return (
            "most likely the system ran out of memory: make the image smaller, add "
            f"`--offload sequential`, or close other programs; {again}"
        )
    if code in (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGILL, -signal.SIGFPE):
        return (
            f"torch or a driver crashed; {again}; when it happens again, try `--device cpu`, "
            "and another version of torch or of the driver"
        )
    return again
