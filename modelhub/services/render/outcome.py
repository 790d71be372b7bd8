"""What came of one run of `render`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from modelhub.errors import ModelhubError
from modelhub.services.render.kept import KeptRender


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedImage:
    """A picture that is on disk.

    :param id: in the catalog; None where it could not be recorded.
    :param label: what is varied, as the grid has it; empty for a single picture.
    :param tested: the file that it is of.
    """

    path: Path
    id: int | None
    label: str
    tested: Path
    kept: KeptRender
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedImage:
    """A picture that was not made, and why."""

    label: str
    tested: Path
    error: ModelhubError


Image = RenderedImage | FailedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """How much two pictures of a grid differ.

    :param of: the labels of both, and of their row where there are several.
    :param psnr: in dB; None for equal pictures, of which it is infinite.
    :param sentence: ``no visible difference (PSNR 52.1 dB, SSIM 0.9991, at most 3 of 255)``.
    """

    of: str
    verdict: str
    psnr: float | None
    ssim: float
    max_difference: int
    mean_difference: float
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A labelled grid that is on disk.

    :param rows: their labels; empty where there is one row. `columns` the same.
    """

    path: Path
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    differences: tuple[Apart, ...] = ()


@dataclass(slots=True)
class RenderReport:
    """All pictures of a run in the order in which they were asked for, and its grids.

    :param stopped: whether the user stopped it; what was finished is kept.
    """

    images: list[Image] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    stopped: bool = False

    @property
    def made(self) -> list[RenderedImage]:
        """The pictures that are there."""
        return [one for one in self.images if isinstance(one, RenderedImage)]

    @property
    def failed(self) -> list[FailedImage]:
        """Those that are not."""
        return [one for one in self.images if isinstance(one, FailedImage)]
