"""Sidecars on disk: written whole, merged into what is there, and never a reason to fail a pull."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from modelhub.config.settings import SidecarKind
from modelhub.placement.kinds import Kind
from modelhub.placement.sidecars import a1111, civitai_info, lora_manager, stability_matrix
from modelhub.placement.sidecars.contract import AnotherModels, Json, SidecarFacts, SidecarWriter
from modelhub.placement.sidecars.read import NotASidecar, read_json
from modelhub.whole_files import Changed, create_file, replace_file

WRITERS: Mapping[SidecarKind, SidecarWriter] = {
    "civitai.info": civitai_info,
    "a1111": a1111,
    "lora-manager": lora_manager,
    "stability-matrix": stability_matrix,
}
"""The writer of each kind that `sidecars.write` may name."""

_ATTEMPTS = 3


class Written(StrEnum):
    """What became of one sidecar."""

    CREATED = "created"
    MERGED = "merged"
    UNCHANGED = "unchanged"
    LEFT_ALONE = "left alone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SidecarResult:
    """One sidecar's outcome; `notice` is a sentence for the user, or empty."""

    kind: SidecarKind
    path: Path
    outcome: Written
    notice: str = ""


def sidecar_path(model_file: Path, kind: SidecarKind) -> Path:
    """Where the sidecar of `model_file` is: beside it, with its stem."""
    return model_file.with_name(model_file.stem + WRITERS[kind].SUFFIX)


def write_sidecars(facts: SidecarFacts, kinds: Iterable[SidecarKind]) -> list[SidecarResult]:
    """Write the sidecars of `kinds`, each once, in that order.

    A sidecar that is there is merged with; one that is damaged, or another model's, is left alone.
    Nothing is raised: the model itself is in place, and a failure is told in the result.
    A config file has none: it shares its stem with the checkpoint, whose sidecars these are.
    """
    if facts.kind is Kind.CONFIG:
        return []
    return [_write(facts, kind) for kind in dict.fromkeys(kinds)]


def _write(facts: SidecarFacts, kind: SidecarKind) -> SidecarResult:
    path = sidecar_path(facts.path, kind)
    if path == facts.path:
        notice = f"{path} is the model itself, so it has no {kind} sidecar"
        return SidecarResult(kind, path, Written.LEFT_ALONE, notice)
    writer = WRITERS[kind]
    fresh = writer.build(facts)
    for _ in range(_ATTEMPTS):
        try:
            return SidecarResult(kind, path, _write_once(path, writer, fresh))
        except (FileExistsError, Changed):
            continue
        except NotASidecar as why:
            notice = f"{path} {why}; it was left alone"
            return SidecarResult(kind, path, Written.LEFT_ALONE, notice)
        except AnotherModels as whose:
            notice = f"{path} describes {whose}; it was left alone"
            return SidecarResult(kind, path, Written.LEFT_ALONE, notice)
        except OSError as error:
            notice = f"could not write {path}: {error.strerror or error}"
            return SidecarResult(kind, path, Written.FAILED, notice)
    notice = f"{path} is being written by another program; it was left alone"
    return SidecarResult(kind, path, Written.LEFT_ALONE, notice)


def _write_once(path: Path, writer: SidecarWriter, fresh: Json) -> Written:
    if not os.path.lexists(path):
        if not fresh:
            return Written.UNCHANGED
        create_file(path, _encoded(fresh))
        return Written.CREATED
    target = path.resolve()
    existing, read_as = read_json(target)
    merged = writer.merge(existing, fresh)
    if merged == existing:
        return Written.UNCHANGED
    replace_file(target, _encoded(merged), read_as=read_as)
    return Written.MERGED


def _encoded(sidecar: Json) -> bytes:
    """Four spaces and no escapes, as A1111 writes; a lone surrogate is replaced, not refused."""
    written = json.dumps(sidecar, indent=4, ensure_ascii=False)
    return written.encode("utf-8", errors="replace") + b"\n"
