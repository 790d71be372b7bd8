from __future__ import annotations

from typing import Any

import pytest

from tests.render.quiet import quiet_torch  # noqa: F401 (a fixture)

from .models import Models


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, torch: Any) -> Models:
    return Models(tmp_path_factory.mktemp("models"))
