"""Diffusers folders: each part a verified safetensors file, with its configuration beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from threading import Event
from typing import TYPE_CHECKING

from modelhub.convert.options import Overflow
from modelhub.convert.planning import Plan
from modelhub.convert.values import Planned
from modelhub.convert.writers.output import WHEN_FULL, taken
from modelhub.convert.writers.overflow import find_overflows, kept_wider
from modelhub.convert.writers.safetensors import write_safetensors
from modelhub.convert.writers.unfinished_folder import new_folder
from modelhub.convert.writers.written import Phase, Progress, Written
from modelhub.disk import disk_errors, require_space
from modelhub.errors import FP16Overflow, UsageError
from modelhub.whole_files import create_file

if TYPE_CHECKING:
    from modelhub.convert.diffusers.folder import Component, DiffusersFolder


def write_diffusers(
    folder: DiffusersFolder,
    target: Path,
    *,
    overflow: Overflow = Overflow.STOP,
    progress: Progress | None = None,
    cancel: Event | None = None,
    unchanged: Callable[[], None] = lambda: None,
) -> Written:
    """Write a folder of parts to the new folder `target`, and verify each file of weights.

    It has its name only once all of it is on disk and verified; a process that is killed before
    leaves a hidden folder, which the next call for the same target removes. Parameters and errors
    are those of :func:`modelhub.convert.writers.write_safetensors`.
    """
    if os.path.lexists(target):
        raise taken(target)
    files = folder.beside_weights
    for path in (*files, *(_weights_path(one) for one in folder.components)):
        _require_inside(path)
    needed = folder.nbytes + sum(len(data) for data in files.values())
    total = _Total(progress, folder.nbytes)
    with disk_errors(target, when_full=WHEN_FULL):
        require_space(target.parent, needed, when_full=WHEN_FULL)
        try:
            with new_folder(target) as unfinished:
                _create_all(unfinished, files)
                parts = [
                    _write_part(one, unfinished, folder, overflow, total, cancel, unchanged)
                    for one in folder.components
                    if one.tensors
                ]
        except FileExistsError as error:
            raise taken(target) from error
    return _together(target, parts, sum(len(data) for data in files.values()))


def _weights_path(component: Component) -> str:
    return str(PurePosixPath(component.folder, component.weights_name))


def _require_inside(path: str) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in path:
        raise UsageError(f"a file of the result would lie elsewhere: {path!r}")


def _create_all(unfinished: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (unfinished / path).parent.mkdir(parents=True, exist_ok=True)
        create_file(unfinished / path, data)


def _write_part(
    component: Component,
    unfinished: Path,
    folder: DiffusersFolder,
    overflow: Overflow,
    total: _Total,
    cancel: Event | None,
    unchanged: Callable[[], None],
) -> Written:
    path = _weights_path(component)
    (unfinished / path).parent.mkdir(parents=True, exist_ok=True)
    plan = Plan(tensors=component.tensors, metadata=component.metadata)
    try:
        written = write_safetensors(
            plan,
            unfinished / path,
            overflow=overflow,
            progress=total.of_part,
            cancel=cancel,
            unchanged=unchanged,
        )
    except FP16Overflow:
        everything = _with_paths(folder)
        kept_wider(everything, find_overflows(everything, cancel=cancel), overflow)
        raise
    total.next_part(component.nbytes)
    return replace(
        written,
        path=Path(path),
        kept=tuple(replace(one, name=_within(component, one.name)) for one in written.kept),
        not_finite=tuple(_within(component, name) for name in written.not_finite),
    )


def _within(component: Component, name: str) -> str:
    return f"{component.folder}/{name}" if component.folder else name


def _with_paths(folder: DiffusersFolder) -> Sequence[Planned]:
    return [
        Planned(_within(part, one.name), one.values, one.dtype)
        for part in folder.components
        for one in part.tensors
    ]


def _together(target: Path, parts: Sequence[Written], beside: int) -> Written:
    return Written(
        path=target,
        nbytes=beside + sum(one.nbytes for one in parts),
        hashes=None,
        kept=tuple(kept for one in parts for kept in one.kept),
        not_finite=tuple(name for one in parts for name in one.not_finite),
        parts=tuple(replace(one, path=target / one.path) for one in parts),
        seconds_writing=sum(one.seconds_writing for one in parts),
        seconds_syncing=sum(one.seconds_syncing for one in parts),
        seconds_verifying=sum(one.seconds_verifying for one in parts),
    )


@dataclass(slots=True)
class _Total:
    """Tells what a part gets done as what the whole folder does."""

    progress: Progress | None
    total: int
    before: int = field(default=0)

    def of_part(self, phase: Phase, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(phase, min(self.before + done, self.total), self.total)

    def next_part(self, nbytes: int) -> None:
        self.before += nbytes
