from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelhub.config import Config
from modelhub.config.load import SourceKind, load_config
from modelhub.errors import ConfigError


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"MODELHUB_HOME": str(tmp_path / "home")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "config"
    folder.mkdir(parents=True)
    return folder / "config.toml"


def mistakes(path: Path | None, environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ)
    assert caught.value.exit_code == 2
    return [mistake.replace(f"{path}:", "line ", 1) for mistake in caught.value.mistakes]


def test_without_a_file_everything_is_the_default(environ: dict[str, str]) -> None:
    loaded = load_config(None, environ)
    assert loaded.config == Config()
    assert loaded.file is None
    assert {source.kind for source in loaded.sources.values()} == {SourceKind.DEFAULT}


def test_the_file_goes_before_defaults_and_variables_before_the_file(
    file: Path, environ: dict[str, str]
) -> None:
    file.write_text('[download]\nconnections = 2\nlimit_rate = "20MB/s"\n')
    environ["MODELHUB_DOWNLOAD_CONNECTIONS"] = "5"
    loaded = load_config(None, environ)
    assert loaded.file == file
    assert loaded.config.download.connections == 5
    assert loaded.config.download.limit_rate == 20_000_000
    assert str(loaded.sources["download.connections"]) == "MODELHUB_DOWNLOAD_CONNECTIONS"
    assert str(loaded.sources["download.limit_rate"]) == f"{file}:3"
    assert str(loaded.sources["download.timeout"]) == "default"


def test_the_file_is_that_of_the_option_then_of_the_variable(
    tmp_path: Path, file: Path, environ: dict[str, str]
) -> None:
    file.write_text("[catalog]\nbackups = 1\n")
    by_variable, by_option = tmp_path / "variable.toml", tmp_path / "option.toml"
    by_variable.write_text("[catalog]\nbackups = 2\n")
    by_option.write_text("[catalog]\nbackups = 4\n")
    assert load_config(None, environ).config.catalog.backups == 1
    environ["MODELHUB_CONFIG"] = str(by_variable)
    assert load_config(None, environ).config.catalog.backups == 2
    assert load_config(by_option, environ).config.catalog.backups == 4


def test_a_missing_file_is_an_error_where_it_was_asked_for(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    missing = tmp_path / "missing.toml"
    assert "no configuration file" in mistakes(missing, environ)[0]
    environ["MODELHUB_CONFIG"] = str(missing)
    assert str(missing) in mistakes(None, environ)[0]


def test_every_mistake_is_listed_with_its_line(file: Path, environ: dict[str, str]) -> None:
    file.write_text(
        "connections = 8\n"
        "[download]\n"
        'connections = "many"\n'
        "extra_hashes = [\n"
        '  "blake3",\n'
        '  "crc33",\n'
        "]\n"
        "min_free = -1\n"
        "retires = 3\n"
        "preview = true\n"
        "[civitai]\n"
        'url = "ftp://me:secret@example.com"\n'
        "[librari]\n"
        "[network]\n"
        "proxy = 1\n"
    )
    assert mistakes(file, environ) == [
        "line 1: connections belongs below [download]",
        'line 3: download.connections: expected a whole number from 1 to 64, not "many"',
        'line 6: download.extra_hashes: expected "autov1", "autov3", "blake3" or "crc32", '
        'not "crc33"; did you mean "crc32"?',
        'line 8: download.min_free: expected a size such as "20MB", "1GiB" or "500k", or a number '
        "of bytes, not -1",
        'line 9: no such setting "download.retires"; did you mean "retries"?',
        'line 10: no such setting "download.preview"; it belongs below [sidecars]',
        'line 12: civitai.url: expected an https:// or http:// URL, not "ftp://***@example.com"',
        'line 13: no such section "librari"; did you mean "library"?',
        "line 15: network.proxy: expected text in quotes, not 1",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MODELHUB_DOWNLOAD_CONNECTIONS", "65", "expected a whole number from 1 to 64, not 65"),
        ("MODELHUB_DOWNLOAD_CONNECTIONS", "4.5", "expected a whole number from 1 to 64, not 4.5"),
        ("MODELHUB_CIVITAI_TIMEOUT", "0", "expected a number greater than 0, not 0"),
        ("MODELHUB_CIVITAI_TIMEOUT", "nan", "expected a number greater than 0"),
        ("MODELHUB_CIVITAI_TIMEOUT", "inf", "expected a number greater than 0"),
        ("MODELHUB_CIVITAI_CACHE", "maybe", 'expected true or false, not "maybe"'),
        ("MODELHUB_LIBRARY_LAYOUT", "confyui", 'did you mean "comfyui"?'),
        ("MODELHUB_LIBRARY_FOLDERS", "LORA", "expected NAME=VALUE"),
        ("MODELHUB_SIDECARS_WRITE", "a1111,civitai", 'did you mean "civitai.info"?'),
        ("MODELHUB_DOWNLOAD_MIN_FREE", "lots", 'expected a size such as "20MB"'),
        ("MODELHUB_DOWNLOAD_CONECTIONS", "4", "did you mean MODELHUB_DOWNLOAD_CONNECTIONS?"),
        ("MODELHUB_DOWNLAOD_CONNECTIONS", "4", "did you mean MODELHUB_DOWNLOAD_CONNECTIONS?"),
        ("MODELHUB_CIVITAI_KEY", "abc", "did you mean MODELHUB_CIVITAI_API_KEY?"),
        ("MODELHUB_CATALOG_URL", "mysql://u:pw@h/db", "no such setting"),
        ("MODELHUB_CATALOG_DATABASE_URL", "mysql://u:pw@h/db", 'not "mysql://***@h/db"'),
    ],
)
def test_mistakes_in_variables_are_named(
    environ: dict[str, str], variable: str, value: str, message: str
) -> None:
    environ[variable] = value
    (mistake,) = mistakes(None, environ)
    assert mistake.startswith(f"{variable}: ")
    assert message in mistake
    assert "pw" not in mistake


def test_variables_are_typed_like_the_file(environ: dict[str, str]) -> None:
    environ |= {
        "MODELHUB_CIVITAI_CACHE": "off",
        "MODELHUB_CIVITAI_TIMEOUT": "5",
        "MODELHUB_DOWNLOAD_LIMIT_RATE": "1.5MiB/s",
        "MODELHUB_DOWNLOAD_EXTRA_HASHES": "blake3, crc32",
        "MODELHUB_SIDECARS_WRITE": "[]",
        "MODELHUB_LIBRARY_FOLDERS": "LORA=loras/x, VAE=vae",
        "MODELHUB_DOWNLOAD_UNSAFE": "allow",
    }
    config = load_config(None, environ).config
    assert config.civitai.cache is False
    assert config.civitai.timeout == 5.0
    assert config.download.limit_rate == 3 << 19
    assert config.download.extra_hashes == ["blake3", "crc32"]
    assert config.sidecars.write == []
    assert config.library.folders == {"LORA": "loras/x", "VAE": "vae"}
    assert config.download.unsafe == "allow"


def test_empty_variables_and_those_of_others_are_left_alone(environ: dict[str, str]) -> None:
    environ |= {
        "MODELHUB_CIVITAI_URL": "",
        "MODELHUB_IMAGE": "modelhub:latest",
        "MODELHUB_CIVITAI_API_KEY": "k" * 32,
    }
    assert load_config(None, environ).config == Config()


def test_relative_folders_are_meant_from_the_file_that_names_them(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "elsewhere" / "my.toml"
    file.parent.mkdir()
    file.write_text('[library]\nroot = "models"\n[network]\nca_file = "~/ca.pem"\n')
    monkeypatch.chdir(tmp_path)
    config = load_config(file, environ).config
    assert config.library.root == str(file.parent / "models")
    assert config.network.ca_file == str(Path("~/ca.pem").expanduser())
    environ["MODELHUB_LIBRARY_ROOT"] = "here"
    assert load_config(file, environ).config.library.root == str(tmp_path / "here")


def test_an_api_key_in_the_file_is_answered_with_login_and_not_shown(
    file: Path, environ: dict[str, str]
) -> None:
    file.write_text('[civitai]\napi_key = "0123456789abcdef"\n')
    (mistake,) = mistakes(file, environ)
    assert "modelhub login" in mistake
    assert "0123456789abcdef" not in mistake


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[download\nx = 1\n", "line 1: "),
        (b"[download]\nconnections 8\n", "line 2: expected '='"),
        (b"[download]\nconnections = 1\nconnections = 2\n", "line 3: "),
        (b"[download]\nextra_hashes = [", "line 2: "),
        (b'[library]\nroot = "\xff\xfe"\n', "line 2: not UTF-8 text"),
        (b"download = 5\n", "line 1: download is a section: write [download]"),
        (b"[[download]]\nconnections = 1\n", "line 1: download is a section"),
        (b"x = " + b"[" * 5000, "nested too deep"),
        (b"#" * (1 << 20) + b"\n", "larger than 1 MiB"),
    ],
)
def test_what_is_no_toml_is_named_with_its_line(
    file: Path, environ: dict[str, str], content: bytes, message: str
) -> None:
    file.write_bytes(content)
    assert message in mistakes(file, environ)[0]


def test_files_of_windows_editors_are_read(file: Path, environ: dict[str, str]) -> None:
    file.write_bytes(b"\xef\xbb\xbf[catalog]\r\nbackups = 7\r\nbackup = 1\r\n")
    assert mistakes(file, environ) == [
        'line 3: no such setting "catalog.backup"; did you mean "backups"?'
    ]


def test_a_folder_in_place_of_the_file_is_an_error(file: Path, environ: dict[str, str]) -> None:
    file.mkdir()
    assert "cannot read" in mistakes(None, environ)[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_an_unreadable_file_is_an_error(file: Path, environ: dict[str, str]) -> None:
    file.write_text("")
    file.chmod(0)
    assert "Permission denied" in mistakes(None, environ)[0]
