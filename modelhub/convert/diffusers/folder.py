"""What a folder of diffusers consists of, before it is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelhub.convert.planning import Dropped, Renamed
from modelhub.convert.values import Planned


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One part: its configuration and its weights, in a folder of its own.

    :param folder: its name; empty where the part is all there is, and lies in the folder itself.
    :param config_name: of the file with its configuration.
    :param weights_name: of the file with its weights, a safetensors file.
    :param metadata: of that file: what the plan has of it, and ``format``, without which
        transformers refuses it.
    """

    folder: str
    config_name: str
    config: Mapping[str, Any]
    tensors: tuple[Planned, ...]
    weights_name: str
    metadata: Mapping[str, str]

    @property
    def nbytes(self) -> int:
        """Of its tensors, in bytes."""
        return sum(one.nbytes for one in self.tensors)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusersFolder:
    """A whole folder.

    :param model_index: of the pipeline; empty where there is one part alone.
    :param files: what lies beside the weights and the index, by the path within the folder, the
        configurations of the components included.
    :param dropped: tensors of the plan that the folder has no place for.
    :param notices: what the user should know of it beforehand.
    """

    model_index: Mapping[str, Any]
    components: tuple[Component, ...]
    files: Mapping[str, bytes]
    dropped: tuple[Dropped, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Of all tensors, in bytes."""
        return sum(one.nbytes for one in self.components)

    @property
    def beside_weights(self) -> dict[str, bytes]:
        """All files but the weights, the index included, by the path within the folder."""
        index = {"model_index.json": as_json(self.model_index)} if self.model_index else {}
        return index | dict(self.files)


def as_json(settings: Mapping[str, Any]) -> bytes:
    """A file of settings as diffusers writes its own: sorted, indented by two."""
    return (json.dumps(settings, indent=2, sort_keys=True) + "\n").encode()
