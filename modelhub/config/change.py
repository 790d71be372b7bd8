"""One setting changed in the configuration file, comments and all else kept as they are."""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.config.edit import create_from_example, example_text
from modelhub.config.keys import Setting, each_setting, expected
from modelhub.config.load import load_config
from modelhub.config.values import Refused, from_text
from modelhub.errors import ConfigError, DiskError, MissingExtra

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

_KEY_LINE = re.compile(r"#?([a-z_]+) = ")
_SECTION_LINE = re.compile(r"\[([a-z_]+)\]")


def setting_named(name: str) -> Setting:
    """The setting ``download.connections``.

    :raises ConfigError: there is none of that name.
    """
    for setting in each_setting():
        if setting.name == name:
            return setting
    raise ConfigError(f"there is no setting {name}")


def change_setting(file: Path, name: str, text: str) -> None:
    """Write a setting; the file is made from the example where there is none.

    The file as it would be is read as every start reads it, before it replaces the one that is
    there, so no change can leave settings behind that do not load.

    :param text: as a variable would hold it: lists with commas, tables as ``NAME=VALUE,...``.
    :raises ConfigError: `text` may not stand there, or the file has mistakes already.
    :raises DiskError: the file cannot be written.
    """
    setting = setting_named(name)
    try:
        value = from_text(setting, text, file.parent)
    except Refused as error:
        raise ConfigError(f"{name}: {error}", hint="") from error
    create_from_example(file)
    document = _document(file)
    if setting.section not in document:
        import tomlkit

        document[setting.section] = tomlkit.table()
    document[setting.section][setting.key] = _written(setting, value, text)
    _replace(file, document)


def reset_setting(file: Path, name: str) -> bool:
    """Take a setting out of the file, so that its default holds; whether it was there.

    :raises ConfigError: the file has mistakes.
    :raises DiskError: the file cannot be written.
    """
    setting = setting_named(name)
    if not file.exists():
        return False
    document = _document(file)
    section = document.get(setting.section)
    if section is None or setting.key not in section:
        return False
    section.remove(setting.key)
    _replace(file, document)
    return True


def _written(setting: Setting, value: Any, text: str) -> Any:
    """Sizes and paths as they were typed: "20MB/s" and "~/models" say more than what they mean."""
    if setting.extra.get("path"):
        return text
    if setting.extra.get("unit") and not text.strip().isdigit():
        return text.strip()
    return value


def _document(file: Path) -> TOMLDocument:
    try:
        import tomlkit
        from tomlkit.exceptions import ParseError
    except ImportError as error:
        raise MissingExtra(
            "changing settings needs tomlkit, which is not installed",
            hint="pip install 'modelhub[tui]', or `modelhub config edit`",
        ) from error
    try:
        return tomlkit.parse(file.read_text(encoding="utf-8-sig"))
    except ParseError as error:
        raise ConfigError(f"{file}: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}", hint="") from error


def _replace(file: Path, document: TOMLDocument) -> None:
    from modelhub.whole_files import Changed, replace_file

    data = document.as_string().encode()
    with tempfile.TemporaryDirectory(prefix="modelhub-") as folder:
        trial = Path(folder, file.name)
        trial.write_bytes(data)
        try:
            load_config(trial, {})
        except ConfigError as error:
            raise ConfigError(error.message.replace(str(trial), str(file))) from error
    try:
        replace_file(file, data, read_as=file.stat())
    except Changed as error:
        raise DiskError(f"{file} was changed by someone else", hint="try again") from error
    except OSError as error:
        raise DiskError(f"cannot write {file}: {error.strerror}") from error


@cache
def explanations() -> dict[str, str]:
    """What `config.example.toml` says of each setting, by its name."""
    found: dict[str, str] = {}
    section, block = "", list[str]()
    for line in example_text().splitlines():
        if heading := _SECTION_LINE.match(line):
            section, block = heading[1], []
        elif not line.startswith("#"):
            block = []
        elif key := _KEY_LINE.match(line):
            if section:
                found[f"{section}.{key[1]}"] = " ".join(block)
            block = []
        else:
            block.append(line.removeprefix("#").strip())
    return found


def shown_value(value: Any) -> str:
    """A value as :func:`change_setting` takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "[]"
    if isinstance(value, dict):
        return ", ".join(f"{name}={one}" for name, one in value.items())
    return str(value)


def expectation(setting: Setting) -> str:
    """What may stand there, in words; of a list, what its items may be."""
    if setting.item_type is not None and setting.holds is list:
        return f"a list with commas, each {expected(setting.item_type)}"
    if setting.holds is dict:
        return "NAME=VALUE, NAME=VALUE ..."
    return expected(setting.type).replace("text in quotes", "text")
