from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.config.edit import create_from_example, editor_command, open_editor
from modelhub.errors import ConfigError, DiskError


def test_an_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "config.toml"
    assert create_from_example(file)
    file.write_text("# mine\n")
    assert not create_from_example(file)
    assert file.read_text() == "# mine\n"


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("")
    with pytest.raises(DiskError, match="cannot make"):
        create_from_example(tmp_path / "config" / "config.toml")


def test_the_editor_is_visual_before_editor_and_may_have_arguments() -> None:
    assert editor_command({"VISUAL": "code --wait", "EDITOR": "vi"}) == ["code", "--wait"]
    assert editor_command({"VISUAL": " ", "EDITOR": "'my editor' -n"}) == ["my editor", "-n"]
    with pytest.raises(ConfigError, match="VISUAL is no command"):
        editor_command({"VISUAL": "'unclosed"})


def test_an_editor_that_is_missing_or_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot start the editor"):
        open_editor(tmp_path / "x", {"EDITOR": "/no/such/editor"})
    with pytest.raises(ConfigError, match="ended with code 1"):
        open_editor(tmp_path / "x", {"EDITOR": "false"})
