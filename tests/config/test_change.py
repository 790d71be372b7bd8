"""A setting changed in the file: checked first, and everything else kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.config.change import (
    change_setting,
    expectation,
    explanations,
    reset_setting,
    setting_named,
    shown_value,
)
from modelhub.config.keys import each_setting
from modelhub.config.load import SourceKind, load_config
from modelhub.config.values import from_text
from modelhub.errors import ConfigError

TEXT = """\
# mine
[download]
connections = 4  # not more here
limit_rate = "1MB/s"

[library]
root = "~/models"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    return path


def test_comments_and_other_settings_stay(file: Path) -> None:
    change_setting(file, "download.connections", "6")
    assert file.read_text() == TEXT.replace("= 4 ", "= 6 ")


def test_sizes_and_paths_are_written_as_they_were_typed(file: Path) -> None:
    change_setting(file, "download.limit_rate", "20MB/s")
    change_setting(file, "library.root", "~/other")
    assert 'limit_rate = "20MB/s"' in file.read_text()
    assert 'root = "~/other"' in file.read_text()
    assert load_config(file, {}).config.download.limit_rate == 20_000_000


def test_lists_and_tables_are_read_with_commas(file: Path) -> None:
    change_setting(file, "sidecars.write", "civitai.info, a1111")
    change_setting(file, "library.folders", "LORA=loras/new")
    config = load_config(file, {}).config
    assert config.sidecars.write == ["civitai.info", "a1111"]
    assert config.library.folders == {"LORA": "loras/new"}


def test_what_may_not_stand_there_is_refused_and_nothing_written(file: Path) -> None:
    with pytest.raises(ConfigError, match="from 1 to 64"):
        change_setting(file, "download.connections", "900")
    with pytest.raises(ConfigError, match="no setting"):
        change_setting(file, "download.connection", "9")
    assert file.read_text() == TEXT


def test_a_file_with_a_mistake_is_left_alone(file: Path) -> None:
    file.write_text(TEXT + 'layot = "flat"\n')
    with pytest.raises(ConfigError, match="layot"):
        change_setting(file, "download.connections", "6")
    assert file.read_text() == TEXT + 'layot = "flat"\n'


def test_the_file_is_made_from_the_example(tmp_path: Path) -> None:
    file = tmp_path / "new" / "config.toml"
    change_setting(file, "download.connections", "6")
    loaded = load_config(file, {})
    assert loaded.config.download.connections == 6
    assert loaded.sources["download.retries"].kind is SourceKind.DEFAULT
    assert "# Seconds to wait for an answer." in file.read_text()


def test_a_reset_brings_the_default_back(file: Path) -> None:
    assert reset_setting(file, "download.connections")
    assert not reset_setting(file, "download.connections")
    assert load_config(file, {}).config.download.connections == 8


def test_what_the_example_says_is_found_by_the_setting() -> None:
    told = explanations()
    assert told["civitai.timeout"] == "Seconds to wait for an answer."
    assert set(told) <= {setting.name for setting in each_setting()}
    assert all(told.values())


def test_every_default_is_what_its_setting_takes(tmp_path: Path) -> None:
    for setting in each_setting():
        assert expectation(setting)
        assert setting_named(setting.name) is setting
        text = shown_value(setting.default)
        if text:
            assert from_text(setting, text, tmp_path) == setting.default
