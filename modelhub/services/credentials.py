"""The Civitai API key: found in the environment, the system keyring or a 0600 file.

A broken keyring (none installed, no bus, locked, silent) is no error: the key file takes its place.
The key itself never appears in a message, a `repr` or a command line.
"""

from __future__ import annotations

import os
import secrets
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from modelhub.config.paths import key_file
from modelhub.errors import DiskError, FolderNotWritable, KeyFileExposed, MalformedKey

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

    from modelhub.config import Config

VARIABLES = ("MODELHUB_CIVITAI_API_KEY", "CIVITAI_API_KEY", "CIVITAI_TOKEN")
SERVICE = "modelhub"
ACCOUNT = "civitai"
LARGEST_KEY = 512
READ_PATIENCE = 10.0
"""Seconds that a keyring may take to answer; one that waits for a dialog nobody sees never does."""
WRITE_PATIENCE = 60.0
"""Seconds for storing: the user is there, and may be typing the keyring's password."""

Result = TypeVar("Result")


class KeyPlace(StrEnum):
    """Where a key was found or put."""

    VARIABLE = "variable"
    KEYRING = "keyring"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class StoredAt:
    """Where a key is, in words that can be shown: `str()` gives ``the file /home/...``."""

    place: KeyPlace
    name: str

    def __str__(self) -> str:
        return f"the {self.place} {self.name}"


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. Its value is not part of its `repr`."""

    value: str = field(repr=False)
    source: StoredAt


def check_form(text: str, where: str) -> str:
    """`text` without the white space around it, if it can be an API key at all.

    :param where: for the message.
    :raises MalformedKey: empty, too long, or with characters that no HTTP header may hold.
    """
    key = text.strip()
    if not key:
        raise MalformedKey(f"{where} is empty")
    if len(key) > LARGEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise MalformedKey(f"{where} is no API key: it must be one word of letters and digits")
    return key


def variable_in_effect(environ: Mapping[str, str]) -> str | None:
    """The variable that holds a key and goes before the stored one."""
    return next((name for name in VARIABLES if environ.get(name, "").strip()), None)


def whose_key(config: Config, key: str) -> str:
    """Ask Civitai whose key it is: the user's name there.

    :raises KeyRefused: Civitai does not accept it.
    :raises NetworkError: Civitai could not be asked.
    """
    from modelhub.civitai.client import CivitaiClient

    with CivitaiClient(config, key) as client:
        me = client.me().value
    return me.username or f"user {me.id}"


def find_key(environ: Mapping[str, str] | None = None) -> Key | None:
    """The key to use: of the environment, else of the keyring, else of the key file; or None.

    :raises MalformedKey: a variable or the file holds something that is no key.
    :raises KeyFileExposed: the key file can be read by other users.
    """
    environ = os.environ if environ is None else environ
    name = variable_in_effect(environ)
    if name:
        value = check_form(environ[name], f"the variable {name}")
        return Key(value, StoredAt(KeyPlace.VARIABLE, name))
    return stored_key(environ)


def stored_key(environ: Mapping[str, str] | None = None) -> Key | None:
    """The key that `modelhub login` stored, whatever the environment's variables say.

    :raises MalformedKey: as :func:`find_key`.
    :raises KeyFileExposed: as :func:`find_key`.
    """
    environ = os.environ if environ is None else environ
    account = _account(environ)
    found = _with_keyring(
        lambda backend: (backend.get_password(SERVICE, account), _name_of(backend)), READ_PATIENCE
    )
    if found and found[0]:
        value = check_form(found[0], f"what the keyring {found[1]} holds")
        return Key(value, StoredAt(KeyPlace.KEYRING, found[1]))
    return _read_file(key_file(environ))


def store_key(text: str, environ: Mapping[str, str] | None = None) -> StoredAt:
    """Store the key, replacing an earlier one: in the keyring if it works, else in the key file.

    :raises MalformedKey: it cannot be a key.
    :raises FolderNotWritable: there is no keyring, and the file cannot be written.
    :raises DiskError: likewise, for another reason.
    """
    environ = os.environ if environ is None else environ
    key = check_form(text, "the key")
    account = _account(environ)

    def store(backend: KeyringBackend) -> str | None:
        backend.set_password(SERVICE, account, key)
        # Some backends take everything and keep nothing.
        return _name_of(backend) if backend.get_password(SERVICE, account) == key else None

    name = _with_keyring(store, WRITE_PATIENCE)
    file = key_file(environ)
    if name:
        _remove(file)
        return StoredAt(KeyPlace.KEYRING, name)
    _write_file(file, key)
    return StoredAt(KeyPlace.FILE, str(file))


def forget_key(environ: Mapping[str, str] | None = None) -> list[StoredAt]:
    """Delete the stored key wherever it is.

    :returns: the places where one was; variables are the user's to unset.
    :raises DiskError: the key file cannot be deleted.
    """
    environ = os.environ if environ is None else environ
    account = _account(environ)

    def forget(backend: KeyringBackend) -> str | None:
        if backend.get_password(SERVICE, account) is None:
            return None
        backend.delete_password(SERVICE, account)
        return _name_of(backend)

    places = []
    name = _with_keyring(forget, WRITE_PATIENCE)
    if name:
        places.append(StoredAt(KeyPlace.KEYRING, name))
    file = key_file(environ)
    if _remove(file):
        places.append(StoredAt(KeyPlace.FILE, str(file)))
    return places


def _account(environ: Mapping[str, str]) -> str:
    """A home of its own (MODELHUB_HOME) has a key of its own."""
    home = environ.get("MODELHUB_HOME")
    return f"{ACCOUNT} {Path(home).expanduser().absolute()}" if home else ACCOUNT


def _with_keyring(use: Callable[[KeyringBackend], Result], patience: float) -> Result | None:
    """What `use` makes of the system keyring; None where there is none that works in time."""
    results: list[Result] = []

    def work() -> None:
        # Backends raise whatever their libraries raise (D-Bus, GLib, ctypes): all of it means
        # that this keyring is of no use now.
        with suppress(Exception):
            backend = _backend()
            if backend is not None:
                results.append(use(backend))

    # A daemon thread: a keyring that hangs must not keep the process from ending.
    thread = threading.Thread(target=work, name="keyring", daemon=True)
    thread.start()
    thread.join(patience)
    return results[0] if results else None


def _backend() -> KeyringBackend | None:
    import keyring
    from keyring.backends.fail import Keyring as NoKeyring

    backend = keyring.get_keyring()
    # Below 1 are those that keyring itself does not recommend: null, fail, plain-text files.
    if isinstance(backend, NoKeyring) or backend.priority < 1:
        return None
    return backend


def _name_of(backend: KeyringBackend) -> str:
    return backend.name


def _read_file(file: Path) -> Key | None:
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            data = stream.read(LARGEST_KEY + 2)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DiskError(f"cannot read the key file {file}: {error.strerror}") from error
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise KeyFileExposed(
            f"other users of this machine can read the key file {file}",
            hint=f"`chmod 600 {file}`; if others may have read it, make a new key; or set "
            f"{VARIABLES[0]} instead",
        )
    value = check_form(data.decode("utf-8", "replace"), f"the key file {file}")
    return Key(value, StoredAt(KeyPlace.FILE, str(file)))


def _write_file(file: Path, key: str) -> None:
    """Beside, flushed, and renamed; never readable by others, whatever the umask."""
    beside = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.write(f"{key}\n")
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
    except PermissionError as error:
        raise FolderNotWritable(
            f"cannot write the key file {file}: {error.strerror}",
            hint=f"set {VARIABLES[0]} instead",
        ) from error
    except OSError as error:
        raise DiskError(
            f"cannot write the key file {file}: {error.strerror}",
            hint=f"set {VARIABLES[0]} instead",
        ) from error


def _remove(file: Path) -> bool:
    try:
        file.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DiskError(f"cannot delete the key file {file}: {error.strerror}") from error
    return True
