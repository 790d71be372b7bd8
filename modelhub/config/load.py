"""Settings from the configuration file and the environment, with every mistake found at once.

What a variable says goes before the file, and the file before the defaults. See
`docs/configuration.md`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modelhub.config.keys import (
    OTHER_VARIABLES,
    VARIABLE_PREFIX,
    Setting,
    did_you_mean,
    each_setting,
    section_type,
    settings,
)
from modelhub.config.locate import KeyPath, key_lines, line_of
from modelhub.config.paths import config_file
from modelhub.config.settings import Config
from modelhub.config.values import Refused, from_file, from_text
from modelhub.errors import ConfigError

LARGEST_FILE = 1 << 20
_SYNTAX_LINE = re.compile(r"\(at line (\d+), column \d+\)$")
_SYNTAX_PLACE = re.compile(r" \(at (?:line \d+, column (\d+)|end of document)\)$")
_KEY_NAMES = frozenset(("key", "api_key", "apikey", "token", "api_token"))


class SourceKind(StrEnum):
    """What a setting's value came from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a setting's value came from; `place` is ``FILE:LINE``, a variable, or empty."""

    kind: SourceKind
    place: str = ""

    def __str__(self) -> str:
        return self.place or self.kind.value


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """The settings in effect.

    :param file: the file that was read; None where there is none.
    :param sources: by the setting's name (``download.connections``).
    """

    config: Config
    file: Path | None
    sources: Mapping[str, Source]


@dataclass(slots=True)
class _Findings:
    values: dict[str, dict[str, Any]] = field(default_factory=lambda: {s: {} for s in settings()})
    sources: dict[str, Source] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)

    def take(self, setting: Setting, value: Any, source: Source) -> None:
        self.values[setting.section][setting.key] = value
        self.sources[setting.name] = source


def file_in_effect(path: Path | None, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """The configuration file, and whether it was asked for (`--config`, MODELHUB_CONFIG)."""
    if path is not None:
        return path.expanduser().absolute(), True
    if environ.get("MODELHUB_CONFIG"):
        return Path(environ["MODELHUB_CONFIG"]).expanduser().absolute(), True
    return config_file(environ).absolute(), False


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None) -> LoadedConfig:
    """The settings in effect.

    :param path: the file of `--config`; None: that of MODELHUB_CONFIG, or the usual place, where
        it may be missing.
    :param environ: instead of this process's environment.
    :raises ConfigError: naming file and line (or variable) of every mistake.
    """
    environ = os.environ if environ is None else environ
    file, explicit = file_in_effect(path, environ)
    findings = _Findings()
    text = _read(file, explicit=explicit)
    if text is not None:
        _take_file(findings, file, text)
    _take_environment(findings, environ)
    if findings.mistakes:
        raise _config_error(findings.mistakes)
    sections = {name: section_type(name)(**values) for name, values in findings.values.items()}
    sources = {
        setting.name: findings.sources.get(setting.name, Source(SourceKind.DEFAULT))
        for setting in each_setting()
    }
    return LoadedConfig(
        config=Config(**sections),  # type: ignore[arg-type]
        file=file if text is not None else None,
        sources=MappingProxyType(sources),
    )


def _config_error(mistakes: list[str]) -> ConfigError:
    if len(mistakes) == 1:
        return ConfigError(mistakes[0], mistakes=tuple(mistakes))
    listed = "".join(f"\n  {mistake}" for mistake in mistakes)
    return ConfigError(
        f"{len(mistakes)} mistakes in the settings:{listed}", mistakes=tuple(mistakes)
    )


def _read(file: Path, *, explicit: bool) -> str | None:
    """The file's text; None where the usual place has no file.

    :raises ConfigError: it cannot be read, or is no text.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except FileNotFoundError as error:
        if not explicit:
            return None
        raise ConfigError(
            f"there is no configuration file {file}",
            hint="check --config and MODELHUB_CONFIG, or make it: `modelhub config edit`",
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}", hint="") from error
    if len(data) > LARGEST_FILE:
        raise ConfigError(f"{file} is larger than 1 MiB: no configuration file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file}:{line}: not UTF-8 text") from error


def _take_file(findings: _Findings, file: Path, text: str) -> None:
    try:
        document = tomllib.loads(text)
        lines = key_lines(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(file, text, error) from error
    except RecursionError as error:
        raise ConfigError(f"{file}: nested too deep") from error
    known = settings()
    for section, table in document.items():
        place = _place(file, lines, (section,))
        if section not in known:
            findings.mistakes.append(f"{place}: {_unknown_section(section)}")
        elif not isinstance(table, dict):
            findings.mistakes.append(f"{place}: {section} is a section: write [{section}]")
        else:
            _take_table(findings, file, lines, section, table)


def _take_table(
    findings: _Findings, file: Path, lines: dict[KeyPath, int], section: str, table: dict[str, Any]
) -> None:
    known = settings()[section]
    for key, value in table.items():
        path: KeyPath = (section, key)
        place = _place(file, lines, path)
        if key not in known:
            findings.mistakes.append(f"{place}: {_unknown_key(section, key)}")
            continue
        try:
            taken = from_file(known[key], value, file.parent)
        except Refused as error:
            place = _place(file, lines, path + error.path)
            findings.mistakes.append(f"{place}: {section}.{key}: {error}")
        else:
            findings.take(known[key], taken, Source(SourceKind.FILE, place))


def _place(file: Path, lines: dict[KeyPath, int], path: KeyPath) -> str:
    line = line_of(lines, path)
    return f"{file}:{line}" if line else str(file)


def _syntax_error(file: Path, text: str, error: tomllib.TOMLDecodeError) -> ConfigError:
    message = str(error)
    line = _SYNTAX_LINE.search(message)
    number = int(line[1]) if line else text.rstrip("\n").count("\n") + 1
    what = _SYNTAX_PLACE.sub("", message)
    column = _SYNTAX_PLACE.search(message)
    at = f" (column {column[1]})" if column and column[1] else ""
    return ConfigError(f"{file}:{number}: {what[:1].lower()}{what[1:]}{at}")


def _unknown_section(name: str) -> str:
    owners = [setting.section for setting in each_setting() if setting.key == name]
    if owners:
        return f"{name} belongs below [{owners[0]}]"
    return f'no such section "{name}"{did_you_mean(name, settings())}'


def _unknown_key(section: str, key: str) -> str:
    if key.lower() in _KEY_NAMES:
        return f"{section}.{key}: API keys are not kept in this file; run `modelhub login`"
    text = f'no such setting "{section}.{key}"'
    near = did_you_mean(key, settings()[section])
    owners = [s.section for s in each_setting() if s.key == key and s.section != section]
    if not near and owners:
        return f"{text}; it belongs below [{owners[0]}]"
    return text + near


def _take_environment(findings: _Findings, environ: Mapping[str, str]) -> None:
    by_variable = {setting.variable: setting for setting in each_setting()}
    for name in sorted(environ):
        # Compose files and CI systems set variables to nothing to leave them out.
        if not name.startswith(VARIABLE_PREFIX) or not environ[name].strip():
            continue
        setting = by_variable.get(name)
        if setting is None:
            _report_unknown(findings, name, [*by_variable, *OTHER_VARIABLES])
            continue
        try:
            value = from_text(setting, environ[name], Path.cwd())
        except Refused as error:
            findings.mistakes.append(f"{name}: {error}")
        else:
            findings.take(setting, value, Source(SourceKind.ENVIRONMENT, name))


def _report_unknown(findings: _Findings, name: str, known: list[str]) -> None:
    """A variable of ours that means nothing; those of other programs may share the prefix."""
    if name in OTHER_VARIABLES:
        return
    ours = any(name.startswith(f"{VARIABLE_PREFIX}{section}_".upper()) for section in settings())
    close = get_close_matches(name, known, n=1, cutoff=0.85)
    if ours or close:
        near = close or get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]}?" if near else ""
        findings.mistakes.append(f"{name}: no such setting{hint}")
