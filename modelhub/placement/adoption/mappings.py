"""Mappings in the YAML files of other tools, read without trusting them.

A file is composed into nodes and no value is ever constructed, so that tags mean nothing; what
``<<`` merges is counted, which stops aliases in aliases; and the file itself is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from modelhub.errors import UsageError

MAX_BYTES = 1 << 20
"""A larger file holds no settings of folders."""
_MOST_PAIRS = 10_000
_DEEPEST_MERGE = 16
_MERGE = "tag:yaml.org,2002:merge"


class Mappings:
    """The mapping that a YAML file is, and those in it.

    :raises UsageError: the file cannot be read, or is no mapping; the message says where.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = _MOST_PAIRS
        root = self._composed()
        if not isinstance(root, yaml.MappingNode):
            raise UsageError(f"{path} names no folders")
        self._root = root

    def pairs(self, of: yaml.Node | None = None) -> list[tuple[str, yaml.Node]]:
        """Keys and values of a mapping, or of the file's own; none where it is no mapping.

        :raises UsageError: it merges more than any list of folders.
        """
        node = self._root if of is None else of
        return list(self._pairs(node, 0)) if isinstance(node, yaml.MappingNode) else []

    def _pairs(self, node: yaml.MappingNode, depth: int) -> Iterator[tuple[str, yaml.Node]]:
        """What is merged comes first, so that a mapping's own keys win."""
        own = []
        for key, value in node.value:
            self._left -= 1
            if self._left < 0 or depth > _DEEPEST_MERGE:
                raise UsageError(f"{self._path} merges more than any list of folders")
            if key.tag == _MERGE:
                merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for one in merged:
                    if isinstance(one, yaml.MappingNode):
                        yield from self._pairs(one, depth + 1)
            elif isinstance(key, yaml.ScalarNode):
                own.append((str(key.value), value))
        yield from own

    def _composed(self) -> yaml.Node | None:
        try:
            with self._path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise UsageError(f"{self._path} cannot be read: {error.strerror or error}") from error
        if len(content) > MAX_BYTES:
            raise UsageError(f"{self._path} is larger than 1 MiB, and no list of folders")
        try:
            return yaml.compose(content, Loader=yaml.SafeLoader)
        except RecursionError as error:
            raise UsageError(f"{self._path} is nested too deeply") from error
        except (yaml.YAMLError, ValueError) as error:
            raise UsageError(f"{self._path} is no YAML: {_where(error)}") from error


def scalar(node: yaml.Node | None) -> str:
    """The text of a scalar, as it is written; empty for everything else."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"line {mark.line + 1}: {what}" if mark is not None else str(what)
