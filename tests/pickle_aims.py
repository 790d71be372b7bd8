"""What a payload aims at, and a file that holds one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelhub.formats.scan import Verdict
from tests.pickle_opcodes import calls, text

DANGEROUS, SUSPICIOUS, SAFE = Verdict.DANGEROUS, Verdict.SUSPICIOUS, Verdict.SAFE


@dataclass(frozen=True)
class Aim:
    """What a payload would touch: a file that is not there, a port on loopback that listens."""

    canary: str
    port: int = 9

    @property
    def command(self) -> str:
        """For a shell."""
        return f"touch '{self.canary}'"

    @property
    def code(self) -> str:
        """For Python."""
        return f"open({self.canary!r}, 'w').close()"

    @property
    def system(self) -> bytes:
        """The opcodes of `os.system(command)`."""
        return calls("os", "system", text(self.command))


@dataclass(frozen=True)
class Trick:
    """One file.

    :param suffix: by which a user or a tool would take it for a model.
    :param runs: whether a test unpickles it for real, and finds the canary then.
    """

    name: str
    make: Callable[[Aim], bytes]
    verdict: Verdict = DANGEROUS
    suffix: str = ".pkl"
    runs: bool = False

    @property
    def file_name(self) -> str:
        """The name of a file that holds it."""
        return self.name.replace(" ", "-").replace("/", "_") + self.suffix
