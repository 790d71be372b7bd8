"""Which files of one folder are the shards of one model, by their names.

``model-00001-of-00003.safetensors`` with ``model.safetensors.index.json`` is how transformers and
diffusers write a model that is too large for one file (``huggingface_hub``'s
``serialization/_base.py``, ``split_state_dict_into_shards_factory``); a variant stands before the
extension or before the number (``diffusers/src/diffusers/utils/hub_utils.py``, ``_add_variant``);
``-00001-of-00003.gguf`` is what ``llama-gguf-split`` writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_SHARD: Final = re.compile(
    r"(?P<stem>.+)-(?P<number>\d{1,5})-of-(?P<total>\d{1,5})"
    r"(?P<variant>\.[A-Za-z0-9_]{1,16})?\.(?P<suffix>safetensors|sft|bin|gguf|pt|pth|ckpt)",
    re.ASCII | re.DOTALL,
)
_MOST_SHARDS: Final = 10_000
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Group:
    """One model: the name of its main file, of all its files in order, and what there should be.

    :param main: its first file.
    :param parts: all files that hold its weights, the main one among them.
    :param index: the JSON file that lists where each tensor is, or None.
    :param expected: of how many files the names speak; None for a model in one file.
    :param missing: the names of those that are not there.
    """

    main: str
    parts: tuple[str, ...]
    index: str | None = None
    expected: int | None = None
    missing: tuple[str, ...] = ()

    @property
    def notice(self) -> str:
        """What is to be said of a model that is not whole, or empty."""
        return missing_notice(self.missing, self.expected or 0)


@dataclass(frozen=True, slots=True)
class _Shard:
    name: str
    number: int
    digits: int


INCOMPLETE: Final = "incomplete: "
"""How the notice on a model begins of which files are missing."""


def missing_notice(missing: Sequence[str], expected: int) -> str:
    """``incomplete: 1 of 3 files is missing: model-00002-of-00003.safetensors``, or empty."""
    if not missing:
        return ""
    named = ", ".join(missing[:_MOST_NAMED])
    more = f" and {len(missing) - _MOST_NAMED:,} more" if len(missing) > _MOST_NAMED else ""
    verb = "is" if len(missing) == 1 else "are"
    return f"{INCOMPLETE}{len(missing):,} of {expected:,} files {verb} missing: {named}{more}"


def groups_of(names: Sequence[str]) -> list[Group]:
    """The models among the files of one folder, in the order of their first files' names.

    A file that is no shard is a group of its own; an index belongs to its shards' group, where
    there are any.

    :param names: plain names of files, of any kind, without their folder.
    """
    present = set(names)
    sharded: dict[tuple[str, str, str, str], list[_Shard]] = {}
    groups: list[Group] = []
    singles: list[str] = []
    for name in present:
        match = _SHARD.fullmatch(name) if "-of-" in name else None
        number, total = (int(match["number"]), int(match["total"])) if match else (0, 0)
        if match is None or not 1 <= number <= total <= _MOST_SHARDS:
            singles.append(name)
            continue
        key = (match["stem"], match["total"], match["variant"] or "", match["suffix"])
        sharded.setdefault(key, []).append(_Shard(name, number, len(match["number"])))
    used: set[str] = set()
    for (stem, count, variant, suffix), shards in sharded.items():
        group = _group(stem, count, variant, suffix, shards, present)
        groups.append(group)
        if group.index is not None:
            used.add(group.index)
    groups.extend(Group(name, (name,)) for name in singles if name not in used)
    return sorted(groups, key=lambda group: group.main)


def _group(
    stem: str, total: str, variant: str, suffix: str, shards: list[_Shard], present: set[str]
) -> Group:
    expected = int(total)
    shards.sort(key=lambda shard: (shard.number, shard.name))
    there = {shard.number for shard in shards}
    digits = shards[0].digits
    missing = tuple(
        f"{stem}-{number:0{digits}d}-of-{total}{variant}.{suffix}"
        for number in range(1, expected + 1)
        if number not in there
    )
    candidates = (
        f"{stem}.{suffix}.index{variant}.json",
        f"{stem}{variant}.{suffix}.index.json",
        f"{stem}.{suffix}.index.json",
    )
    index = next((name for name in candidates if name in present), None)
    parts = tuple(shard.name for shard in shards)
    return Group(parts[0], parts, index, expected, missing)


def group_containing(name: str, names: Sequence[str]) -> Group:
    """The group that `name` belongs to, as a shard or as an index; one of its own if to none."""
    if "-of-" in name or name.endswith(".json"):
        for group in groups_of([*names, name]):
            if name == group.index or name in group.parts:
                return group
    return Group(name, (name,))
