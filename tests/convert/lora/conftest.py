from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from modelhub.convert.readers import Source, open_source

from . import made

Write = Callable[..., Source]


@pytest.fixture(scope="module")
def checkpoint_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write_checkpoint(tmp_path_factory.mktemp("base") / "base.safetensors")


@pytest.fixture
def checkpoint(checkpoint_path: Path) -> Iterator[Source]:
    with open_source(checkpoint_path) as source:
        yield source


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Write]:
    """Writes a file of these tensors and opens it, under a name of its own each time."""
    with ExitStack() as stack:
        count = iter(range(1000))

        def write(tensors: made.Arrays, metadata: dict[str, str] | None = None) -> Source:
            path = made.write(tmp_path / f"made{next(count)}.safetensors", tensors, metadata)
            return stack.enter_context(open_source(path))

        yield write
