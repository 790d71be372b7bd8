"""Files of the same bytes: which one is kept, and what the others would save as links to it."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.placement.relink import shares_blocks
from modelhub.services.dupes.model import Group, Member, Part, Same

if TYPE_CHECKING:
    from modelhub.catalog.keeprows import Copy, DuplicateSet

_Seen = tuple["Copy", os.stat_result]


def group_of(duplicates: DuplicateSet, library: Path) -> Group | None:
    """The group of one set of files, as they are on disk now; None if fewer than two are left.

    On each disk the kept one is: the one below the library's own folder, else the oldest, else the
    one with the shortest path.
    """
    members: list[Member] = []
    disks: dict[int, list[_Seen]] = {}
    for copy in duplicates.files:
        try:
            now = copy.file.lstat()
        except OSError:
            continue
        if stat.S_ISLNK(now.st_mode):
            members.append(_member(copy, Part.LINKED, detail="a symbolic link"))
        elif (now.st_size, now.st_mtime_ns) != (copy.size, copy.mtime_ns):
            members.append(_member(copy, Part.CHANGED, detail="changed since it was hashed"))
        else:
            disks.setdefault(now.st_dev, []).append((copy, now))
    for seen in disks.values():
        members += _on_one_disk(seen, library, alone=len(disks) > 1)
    if len(members) < 2:
        return None
    return Group(same=Same.BYTES, key=duplicates.sha256, members=tuple(members))


def _on_one_disk(seen: Sequence[_Seen], library: Path, *, alone: bool) -> list[Member]:
    ordered = sorted(seen, key=lambda one: _preference(one[0], library))
    kept, kept_as = ordered[0]
    if len(ordered) == 1:
        part, detail = (Part.APART, "the only one on its disk") if alone else (Part.KEPT, "")
        return [_member(kept, part, detail=detail)]
    names: dict[int, int] = {}
    for _, now in ordered:
        names[now.st_ino] = names.get(now.st_ino, 0) + 1
    members, counted = [_member(kept, Part.KEPT)], set()
    for copy, now in ordered[1:]:
        if now.st_ino == kept_as.st_ino:
            members.append(_member(copy, Part.LINKED, detail="a hard link"))
        elif shares_blocks(kept.file, copy.file):
            members.append(_member(copy, Part.LINKED, detail="a reflink"))
        else:
            # The space is free when the last name is gone; those we do not know keep it.
            whole = now.st_nlink <= names[now.st_ino]
            saves = now.st_size if whole and now.st_ino not in counted else 0
            counted.add(now.st_ino)
            detail = "" if whole else "has further names elsewhere"
            members.append(_member(copy, Part.COPY, saves=saves, link_to=kept.file, detail=detail))
    return members


def _preference(copy: Copy, library: Path) -> tuple[bool, int, int, bytes]:
    path = os.fsencode(copy.file)
    return not copy.file.is_relative_to(library), copy.mtime_ns, len(path), path


def _member(
    copy: Copy, part: Part, *, saves: int = 0, link_to: Path | None = None, detail: str = ""
) -> Member:
    return Member(
        id=copy.id,
        path=copy.file,
        size=copy.size,
        mtime_ns=copy.mtime_ns,
        part=part,
        sha256=copy.sha256,
        format=copy.format,
        precision=copy.precision,
        saves=saves,
        link_to=link_to,
        detail=detail,
    )
