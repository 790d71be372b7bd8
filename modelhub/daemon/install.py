"""Having the system start the daemon at login: a systemd user unit, or a launchd agent."""

from __future__ import annotations

import os
import plistlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelhub.daemon.spawn import program
from modelhub.errors import DiskError, NameTaken
from modelhub.whole_files import create_file

_UNIT = "modelhub.service"
_LABEL = "com.github.modelhub"
_KEPT = ("MODELHUB_HOME", "MODELHUB_CONFIG")


@dataclass(frozen=True, slots=True)
class Service:
    """A file that tells the system to start the daemon.

    :param commands: what lets it do so from now on.
    """

    path: Path
    text: bytes
    commands: tuple[str, ...]


def service(options: Sequence[str], environ: Mapping[str, str], platform: str) -> Service:
    """The service of this user on this platform.

    :param options: global options of the command line, such as ``--config FILE``.
    :param environ: where folders of its own are named, the service gets them as well.
    :param platform: as :data:`sys.platform`.
    """
    words = [*program(), *options, "daemon", "run", "--quiet"]
    kept = {name: str(Path(environ[name]).absolute()) for name in _KEPT if environ.get(name)}
    if platform == "darwin":
        return _launchd(words, kept)
    return _systemd(words, kept, environ)


def install(wanted: Service) -> bool:
    """Write the file; False where it is there as it should be.

    :raises NameTaken: another file is there, which is left as it is.
    :raises DiskError: it cannot be written.
    """
    try:
        if wanted.path.read_bytes() == wanted.text:
            return False
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DiskError(f"cannot read {wanted.path}: {error.strerror}") from error
    else:
        raise NameTaken(
            f"{wanted.path} is there already, and is another one",
            hint="look at it, and delete it to have it written anew",
        )
    try:
        wanted.path.parent.mkdir(parents=True, exist_ok=True)
        create_file(wanted.path, wanted.text)
    except OSError as error:
        raise DiskError(f"cannot write {wanted.path}: {error.strerror}") from error
    return True


def _systemd(words: Sequence[str], kept: Mapping[str, str], environ: Mapping[str, str]) -> Service:
    base = environ.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    path = Path(base) / "systemd" / "user" / _UNIT
    lines = [
        "[Unit]",
        "Description=modelhub: jobs and library upkeep",
        "After=network-online.target",
        "",
        "[Service]",
        "ExecStart=" + " ".join(_unit_word(word) for word in words),
        "ExecReload=/bin/kill -HUP $MAINPID",
        *(f"Environment={_unit_word(f'{name}={value}')}" for name, value in kept.items()),
        "Restart=on-failure",
        "RestartSec=5",
        "TimeoutStopSec=60",
        "UMask=0077",
        "Nice=5",
        "",
        "[Install]",
        "WantedBy=default.target",
        "",
    ]
    commands = ("systemctl --user daemon-reload", f"systemctl --user enable --now {_UNIT}")
    return Service(path, "\n".join(lines).encode(errors="surrogateescape"), commands)


def _unit_word(word: str) -> str:
    """A word as systemd reads it: quoted, without its own percent and dollar signs."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _launchd(words: Sequence[str], kept: Mapping[str, str]) -> Service:
    path = Path("~/Library/LaunchAgents").expanduser() / f"{_LABEL}.plist"
    text = plistlib.dumps(
        {
            "Label": _LABEL,
            "ProgramArguments": list(words),
            "EnvironmentVariables": dict(kept),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ProcessType": "Background",
            "Umask": 0o077,
        }
    )
    quoted = shlex.quote(os.fspath(path))
    return Service(path, text, (f"launchctl bootstrap gui/$(id -u) {quoted}",))


def platform() -> str:
    """This platform, as :func:`service` takes it."""
    return sys.platform
