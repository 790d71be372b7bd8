"""The daemon's log: a JSON object a line, in a file that is rotated, without secrets."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LARGEST = 2 << 20
"""Bytes after which the file is put aside."""
KEPT = 3
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time (UTC), level, logger, message, and what was given it.

    :param redact: takes secrets out of a text.
    """

    def __init__(self, redact: Any) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": record.name.removeprefix("modelhub."),
            "message": self._redact(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD:
                line[name] = self._redact(value) if isinstance(value, str) else value
        if record.exc_info:
            line["traceback"] = self._redact(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


class PatientFile(logging.handlers.RotatingFileHandler):
    """A rotated file whose disk may be full: lines are lost then, and nothing else."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Go on without this line; the next one opens the file anew, without what is left of it."""
        stream, self.stream = self.stream, None
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.close()


def log_to(path: Path, redact: Any, *, foreground: bool) -> None:
    """Send all logging to the file, and to standard error where somebody may read it.

    A log that cannot be opened is told on standard error, and is no reason not to run.
    """
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    formatter = JsonLines(redact)
    handlers: list[logging.Handler] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(PatientFile(path, maxBytes=LARGEST, backupCount=KEPT, encoding="utf-8"))
        path.chmod(0o600)
    except OSError as error:
        print(f"modelhub: no log: {path}: {error.strerror}", file=sys.stderr)  # noqa: T201
    if foreground:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    for noisy in ("httpx", "httpcore", "watchdog", "alembic", "dbos"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def last_lines(path: Path, number: int) -> list[str]:
    """The last lines of the log, the oldest first, across its last rotation.

    :raises OSError: it cannot be read.
    """
    lines: list[str] = []
    for one in (path, path.with_name(f"{path.name}.1")):
        with suppress(FileNotFoundError):
            text = one.read_text(encoding="utf-8", errors="replace").splitlines()
            lines = text[-(number - len(lines)) :] + lines
        if len(lines) >= number:
            break
    return lines
