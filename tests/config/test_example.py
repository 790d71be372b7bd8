from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from modelhub.config import Config
from modelhub.config.edit import example_text
from modelhub.config.keys import each_setting
from modelhub.config.load import SourceKind, load_config

CHECKOUT = Path(__file__).parents[2]
_COMMENTED_OUT = re.compile(r"^#(?=\w+ = )", re.MULTILINE)


@pytest.fixture
def uncommented(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(_COMMENTED_OUT.sub("", example_text()), encoding="utf-8")
    return file


def test_the_example_changes_nothing_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(example_text(), encoding="utf-8")
    loaded = load_config(file, {})
    assert loaded.config == Config()
    assert {source.kind for source in loaded.sources.values()} == {SourceKind.DEFAULT}


def test_the_example_names_every_setting_with_its_default(uncommented: Path) -> None:
    loaded = load_config(uncommented, {})
    assert loaded.config == Config()
    missing = [name for name, s in loaded.sources.items() if s.kind is not SourceKind.FILE]
    assert missing == []


def test_the_example_lists_settings_in_the_order_of_the_program(uncommented: Path) -> None:
    document = tomllib.loads(uncommented.read_text(encoding="utf-8"))
    listed = [f"{section}.{key}" for section, table in document.items() for key in table]
    assert listed == [setting.name for setting in each_setting()]


def test_the_example_explains_every_setting(uncommented: Path) -> None:
    lines = uncommented.read_text(encoding="utf-8").splitlines()
    bare = [
        line
        for before, line in pairwise(lines)
        if re.match(r"\w+ = ", line) and not before.startswith("# ")
    ]
    assert bare == []


def test_the_guide_explains_every_section_and_variable() -> None:
    guide = (CHECKOUT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert [s.name for s in each_setting() if f"`{s.section}.{s.key}`" not in guide] == []


def test_the_wheel_carries_the_example(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packaged = archive.read("modelhub/config/config.example.toml").decode()
    assert packaged == example_text()
