from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

from modelhub.errors import DiskError, FolderNotWritable, KeyFileExposed, MalformedKey
from modelhub.services import credentials
from modelhub.services.credentials import (
    Key,
    KeyPlace,
    StoredAt,
    find_key,
    forget_key,
    store_key,
)
from tests.patience import SOON

KEY = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


class MemoryKeyring(KeyringBackend):
    """A keyring that works, as long as the process does."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.held.pop((service, username), None) is None:
            raise PasswordDeleteError("not found")


class LockedKeyring(MemoryKeyring):
    """A keyring that the user has not unlocked."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("locked")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked("locked")


class CrashingKeyring(MemoryKeyring):
    """A keyring whose library fails in its own way."""

    def get_password(self, service: str, username: str) -> str | None:
        raise OSError("no bus")

    set_password = get_password  # type: ignore[assignment]


class ForgetfulKeyring(MemoryKeyring):
    """A keyring that takes everything and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class SilentKeyring(MemoryKeyring):
    """A keyring that waits for a dialog which nobody sees."""

    released = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.released.wait(30)
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        self.released.wait(30)


class UnrecommendedKeyring(MemoryKeyring):
    """One of those that keep passwords in plain text."""

    priority = 0.5  # type: ignore[assignment]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"MODELHUB_HOME": str(tmp_path)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "civitai.key"


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    from keyring.backends.fail import Keyring

    use(monkeypatch, Keyring())  # type: ignore[no-untyped-call]


def use(monkeypatch: pytest.MonkeyPatch, backend: KeyringBackend) -> None:
    monkeypatch.setattr(keyring, "get_keyring", lambda: backend)


@pytest.mark.parametrize("name", ["MODELHUB_CIVITAI_API_KEY", "CIVITAI_API_KEY", "CIVITAI_TOKEN"])
def test_the_environment_goes_before_what_was_stored(environ: dict[str, str], name: str) -> None:
    store_key(OTHER, environ)
    environ[name] = f" {KEY}\n"
    assert find_key(environ) == Key(KEY, StoredAt(KeyPlace.VARIABLE, name))


def test_our_own_variable_goes_before_those_of_other_tools(environ: dict[str, str]) -> None:
    environ |= {"CIVITAI_TOKEN": OTHER, "CIVITAI_API_KEY": OTHER, "MODELHUB_CIVITAI_API_KEY": KEY}
    found = find_key(environ)
    assert found is not None
    assert found.value == KEY


def test_a_key_never_shows_in_its_repr(environ: dict[str, str]) -> None:
    store_key(KEY, environ)
    found = find_key(environ)
    assert KEY not in repr(found)
    assert KEY not in str(found)


def test_a_working_keyring_keeps_the_key_and_no_file_is_written(
    environ: dict[str, str], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_key(OTHER, environ)
    assert file.exists()
    use(monkeypatch, MemoryKeyring())
    stored = store_key(KEY, environ)
    assert stored.place is KeyPlace.KEYRING
    assert not file.exists(), "the earlier key must not stay behind"
    assert find_key(environ) == Key(KEY, stored)
    assert [place.place for place in forget_key(environ)] == [KeyPlace.KEYRING]
    assert find_key(environ) is None


def test_each_home_has_a_key_of_its_own(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, MemoryKeyring())
    store_key(KEY, environ)
    assert find_key({"MODELHUB_HOME": str(tmp_path / "other")}) is None


@pytest.mark.parametrize(
    "backend",
    [
        LockedKeyring,
        CrashingKeyring,
        ForgetfulKeyring,
        UnrecommendedKeyring,
    ],
)
def test_a_keyring_that_does_not_work_is_replaced_by_the_file(
    environ: dict[str, str],
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: type[KeyringBackend],
) -> None:
    use(monkeypatch, backend())
    assert store_key(KEY, environ) == StoredAt(KeyPlace.FILE, str(file))
    found = find_key(environ)
    assert found is not None
    assert found.value == KEY
    assert [place.place for place in forget_key(environ)] == [KeyPlace.FILE]


def test_a_keyring_that_never_answers_is_given_up(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "READ_PATIENCE", 0.1)
    monkeypatch.setattr(credentials, "WRITE_PATIENCE", 0.1)
    use(monkeypatch, SilentKeyring())
    began = time.perf_counter()
    assert store_key(KEY, environ).place is KeyPlace.FILE
    found = find_key(environ)
    assert found is not None
    assert found.value == KEY
    assert time.perf_counter() - began < SOON
    SilentKeyring.released.set()


def test_a_machine_without_bus_and_keyring_uses_the_file(tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if k not in ("DBUS_SESSION_BUS_ADDRESS",)}
    environ |= {"MODELHUB_HOME": str(tmp_path), "DBUS_SESSION_BUS_ADDRESS": "unix:path=/no/bus"}
    script = (
        "from modelhub.services.credentials import find_key, store_key\n"
        f"print(store_key({KEY!r}).place, find_key().source.place)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "file file\n"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_file_is_for_the_user_alone_whatever_the_umask(
    environ: dict[str, str], file: Path, umask: int
) -> None:
    file.parent.mkdir()
    before = os.umask(umask)
    try:
        store_key(KEY, environ)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_new_key_replaces_the_old_one(environ: dict[str, str]) -> None:
    store_key(OTHER, environ)
    store_key(KEY, environ)
    found = find_key(environ)
    assert found is not None
    assert found.value == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_that_others_can_read_is_refused_with_the_remedy(
    environ: dict[str, str], file: Path, mode: int
) -> None:
    store_key(KEY, environ)
    file.chmod(mode)
    with pytest.raises(KeyFileExposed) as caught:
        find_key(environ)
    assert f"chmod 600 {file}" in caught.value.hint
    assert KEY not in caught.value.message


@pytest.mark.parametrize("text", ["", " \n", "two words", "ключ", "x" * 513, "a\nb: c", "a\0b"])
def test_what_is_no_key_is_neither_stored_nor_used(
    environ: dict[str, str], file: Path, text: str
) -> None:
    with pytest.raises(MalformedKey):
        store_key(text, environ)
    assert not file.exists()
    file.parent.mkdir()
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(MalformedKey, match="key file"):
        find_key(environ)


def test_nothing_stored_is_no_error(environ: dict[str, str], file: Path) -> None:
    assert find_key(environ) is None
    assert forget_key(environ) == []
    file.parent.write_text("a file where the folder should be")
    assert find_key(environ) is None
    with pytest.raises(DiskError):
        store_key(KEY, environ)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_folder_that_cannot_be_written_names_the_variable(
    environ: dict[str, str], file: Path
) -> None:
    file.parent.mkdir()
    file.parent.chmod(0o500)
    with pytest.raises(FolderNotWritable) as caught:
        store_key(KEY, environ)
    assert "MODELHUB_CIVITAI_API_KEY" in caught.value.hint
