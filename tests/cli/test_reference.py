from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def rendered(**variables: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "modelhub.cli.reference"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_reference_is_current() -> None:
    page = (CHECKOUT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert page == rendered(), "run `make reference`"


def test_the_reference_is_the_same_on_every_terminal() -> None:
    assert rendered(COLUMNS="40", TERM="dumb") == rendered(COLUMNS="200", FORCE_COLOR="1")
