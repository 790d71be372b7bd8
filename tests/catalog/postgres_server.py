"""A PostgreSQL server in a folder of its own, on a free port of loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

_NOBODY = 65534


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl, if there is one."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda found: found.parts[-3]
    )
    return versions[-1].parent if versions else None


class PostgresServer:
    """Started on entering. The server refuses to run as root, so it is then nobody's."""

    def __init__(self, folder: Path) -> None:
        self._bin = folder
        self._home = Path(tempfile.mkdtemp(prefix="modelhub-pg-"))
        self._user = _NOBODY if os.geteuid() == 0 else None
        self.port = _free_port()

    def __enter__(self) -> PostgresServer:
        if self._user is not None:
            os.chown(self._home, self._user, -1)
        data = str(self._home / "data")
        self._run("initdb", "-D", data, "-U", "modelhub", "-A", "trust", "-E", "UTF8", "-N")
        self.start()
        return self

    def start(self) -> None:
        """Start it, at first or again."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off"
        options += f" -c unix_socket_directories={self._home}"
        data, log = str(self._home / "data"), str(self._home / "log")
        self._run("pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start")

    def stop(self) -> None:
        """Stop it as an administrator would who does not wait for anybody."""
        self._run("pg_ctl", "-D", str(self._home / "data"), "-m", "fast", "-w", "stop")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._run("pg_ctl", "-D", str(self._home / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._home, ignore_errors=True)

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"catalog_{uuid.uuid4().hex}"
        address = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "modelhub")
        self._run("createdb", *address, "-T", "template0", name)
        return f"postgresql+psycopg://modelhub@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._bin / program), *arguments],
            check=True,
            user=self._user,
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", "")},
        )


def empty(url: str) -> None:
    """Empty the tables of the catalog there, its revision aside."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename <> 'alembic_version'"
        ).fetchall()
        names = sql.SQL(", ").join(sql.Identifier(name) for (name,) in rows)
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(names))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
