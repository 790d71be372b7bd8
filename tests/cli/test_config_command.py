from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from modelhub.config.edit import example_text
from modelhub.config.keys import each_setting

from .conftest import Cli


@pytest.fixture
def file(home: Path) -> Path:
    path = home / "config" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def editor(folder: Path, *contents: str) -> str:
    """An editor that writes `contents`, one after the other, each time it is called."""
    for number, content in enumerate(contents):
        (folder / f"content{number}").write_text(content)
    script = folder / "editor"
    script.write_text(
        "#!/bin/sh\n"
        f'n=$(cat "{folder}/calls" 2>/dev/null || echo 0)\n'
        f'cp "{folder}/content$n" "$2"\n'
        f'echo $((n + 1)) > "{folder}/calls"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return f"{script} --wait"


def test_path_is_that_of_the_home_or_of_the_option(cli: Cli, home: Path, tmp_path: Path) -> None:
    assert cli("config", "path").out == f"{home}/config/config.toml\n"
    assert cli("--config", str(tmp_path / "x.toml"), "config", "path").out == f"{tmp_path}/x.toml\n"


def test_show_names_every_value_and_where_it_came_from(
    cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('[download]\nlimit_rate = "20MB/s"\n')
    monkeypatch.setenv("MODELHUB_CIVITAI_RETRIES", "2")
    monkeypatch.setenv("MODELHUB_CATALOG_DATABASE_URL", "postgresql://me:secret@db/hub")
    lines = cli("config", "show").out.splitlines()
    shown = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if line}
    assert shown["download.limit_rate"] == f'"20MB" {file}:2'
    assert shown["civitai.retries"] == "2 MODELHUB_CIVITAI_RETRIES"
    assert shown["download.min_free"] == '"1GiB" default'
    assert shown["file:"] == str(file)
    assert shown["catalog:"] == "postgresql://***@db/hub"
    assert {setting.name for setting in each_setting()} <= set(shown)


def test_show_as_json_is_stable_and_hides_passwords(
    cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('[network]\nproxy = "http://me:secret@proxy:3128"\n')
    ended = cli("config", "show", "--json")
    document = json.loads(ended.out)
    assert set(document) == {"file", "folders", "settings"}
    assert document["settings"]["network.proxy"] == {
        "value": "http://***@proxy:3128",
        "source": "file",
        "place": f"{file}:2",
    }
    assert document["settings"]["download.min_free"]["value"] == 1 << 30
    assert list(document["settings"]) == [setting.name for setting in each_setting()]


def test_check_prints_every_mistake(cli: Cli, file: Path) -> None:
    file.write_text("[download]\nconections = 4\ntimeout = -1\n")
    ended = cli("config", "check")
    assert ended.code == 2
    assert ended.err.splitlines() == [
        "modelhub: error: 2 mistakes in the settings:",
        f'  {file}:2: no such setting "download.conections"; did you mean "connections"?',
        f"  {file}:3: download.timeout: expected a number greater than 0, not -1",
        "hint: `modelhub config edit` opens the file, `modelhub config check` checks it",
    ]
    file.write_text("[download]\nconnections = 4\n")
    assert cli("config", "check").out == f"{file}: no mistakes\n"


def test_a_missing_file_that_was_named_is_an_error(cli: Cli, tmp_path: Path) -> None:
    ended = cli("config", "show", "--config", str(tmp_path / "missing.toml"))
    assert ended.code == 2
    assert f"there is no configuration file {tmp_path}/missing.toml" in ended.err


def test_edit_makes_the_file_from_the_example_and_checks_it(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "true")
    ended = cli("config", "edit")
    file = home / "config" / "config.toml"
    assert ended.out == f"{file}: no mistakes\n"
    assert ended.err == f"made {file}\n"
    assert file.read_text() == example_text()


def test_edit_reports_the_mistakes_that_were_made_and_keeps_the_text(
    cli: Cli, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("[download]\n")
    monkeypatch.setenv("VISUAL", editor(tmp_path, "[download]\nx = 1\n"))
    ended = cli("config", "edit")
    assert ended.code == 2
    assert f'{file}:2: no such setting "download.x"' in ended.err
    assert file.read_text() == "[download]\nx = 1\n"


def test_edit_opens_a_broken_file_to_mend_it(
    cli: Cli, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("[download\n")
    monkeypatch.setenv("VISUAL", editor(tmp_path, "[download]\n"))
    assert cli("config", "edit").out == f"{file}: no mistakes\n"


def test_check_looks_at_template_and_folders_too(cli: Cli, home: Path) -> None:
    file = home / "config" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[library]\nlayout = "template"\ntemplate = "{typ}/{file}"\n')
    ended = cli("config", "check")
    assert ended.code == 2
    assert "library.template" in ended.err
    file.write_text('[library]\nfolders = {LORA = "../../outside"}\n')
    assert cli("config", "check").code == 2
