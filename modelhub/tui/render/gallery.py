"""What was rendered before: a line each, and a picture in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from modelhub.services.jobs.model import Job, JobKind
from modelhub.text import cell_width, clean, pad, plural, shorten
from modelhub.tui.library.columns import ago
from modelhub.tui.widgets.rows import Piece, Row

if TYPE_CHECKING:
    from modelhub.services.render import ShownRender

MUTED = "$foreground 65%"
GRID = "grid:"
"""Before the path of a grid, as the key of its line; a picture's is its number."""


def grids_of(jobs: Iterable[Job]) -> list[Path]:
    """The grids that these jobs drew, the latest first."""
    made = [job for job in jobs if job.kind is JobKind.RENDER and isinstance(job.result, Mapping)]
    made.sort(key=lambda job: job.ended or job.created, reverse=True)
    return [path for job in made for path in _paths(job, "grids")]


def made_by(job: Job) -> Path | None:
    """What a finished render is to be looked at by: its grid, else its last picture."""
    return next(iter([*_paths(job, "grids"), *reversed(list(_paths(job, "images")))]), None)


def _paths(job: Job, name: str) -> Iterator[Path]:
    found = (job.result or {}).get(name)
    if isinstance(found, Sequence) and not isinstance(found, str):
        for one in found:
            if isinstance(one, Mapping) and isinstance(one.get("path"), str):
                yield Path(one["path"])


def made_words(job: Job) -> Content:
    """What a finished render made, in a line."""
    pictures = list(_paths(job, "images"))
    grids = list(_paths(job, "grids"))
    text = plural(len(pictures), "picture")
    if grids:
        text += f", side by side in {', '.join(path.name for path in grids)}"
    elif len(pictures) == 1:
        text = pictures[0].name
    notices = (job.result or {}).get("notices")
    said = [str(one) for one in notices] if isinstance(notices, Sequence) else []
    lines = [Content.styled(f"✓ {clean(text)}", "bold $success")]
    lines += [Content.styled(clean(one), MUTED) for one in said[:2]]
    return Content("\n").join(lines)


def differences(jobs: Mapping[str, Job], path: Path) -> Content:
    """How much the pictures of a grid differ; nothing for another picture."""
    for job in jobs.values():
        found = (job.result or {}).get("grids") if job.kind is JobKind.RENDER else None
        for grid in found if isinstance(found, Sequence) else ():
            if isinstance(grid, Mapping) and grid.get("path") == str(path):
                apart = grid.get("differences") or ()
                lines = [f"{one.get('of', '')}: {one.get('sentence', '')}" for one in apart]
                return Content("\n".join(clean(line) for line in lines))
    return Content("")


def listing(grids: Iterable[Path], renders: Iterable[ShownRender]) -> list[Row]:
    """A line each, grids first."""
    rows = [Row(f"{GRID}{path}", partial(_grid, path)) for path in grids]
    return rows + [Row(str(one.row.id), partial(_picture, one)) for one in renders]


def _grid(path: Path, width: int) -> list[Piece]:
    name = shorten(clean(path.name), width - 9, middle=True)
    return [(" grid    ", "accent"), (name, "")]


def _picture(one: ShownRender, width: int) -> list[Piece]:
    head = f" {one.row.id:>5}  "
    tail = f" {ago(one.row.created_at):>6} "
    room = width - cell_width(head) - cell_width(tail)
    words = "  ".join(filter(None, (one.model, one.kept.label, one.kept.settings.prompt)))
    text = pad(shorten(clean(words), room), room)
    return [(head, "muted"), (text, "" if one.present else "muted"), (tail, "muted")]


def in_words(one: ShownRender) -> Content:
    """All that made a picture."""
    kept, settings = one.kept, one.kept.settings
    facts = [
        f"seed {settings.seed}",
        f"{settings.steps} steps",
        f"{settings.sampler} {settings.schedule or ''}".strip(),
        f"CFG {settings.cfg:g}" if settings.cfg is not None else "",
        f"{kept.width}×{kept.height}",
        f"{kept.weights} weights, {kept.arithmetic} arithmetic on {kept.device}",
    ]
    lines = [
        Content.assemble(
            (clean(one.model), "bold"), (f"  {clean(kept.label)}" if kept.label else "", "")
        ),
        Content.styled(clean(" · ".join(fact for fact in facts if fact)), MUTED),
    ]
    if settings.prompt:
        lines.append(Content(clean(settings.prompt)))
    if not one.present:
        lines.append(Content.styled(f"gone: {clean(one.path)}", "$warning"))
    return Content("\n").join(lines)
