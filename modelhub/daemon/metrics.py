"""The daemon's figures in the text format of Prometheus, served on loopback where configured."""

from __future__ import annotations

import http.server
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from modelhub.errors import DaemonFailed

_log = logging.getLogger(__name__)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_Samples: TypeAlias = Sequence[tuple[dict[str, str], float]]


def figures(
    counts: Mapping[tuple[str, str], int],
    at_work: Mapping[str, int],
    ended: Mapping[str, int],
    began: float,
    version: str,
) -> str:
    """All figures as text.

    :param counts: how many jobs there are, by kind and state.
    :param at_work: how many of each kind this daemon does now.
    :param ended: how many runs this daemon has brought to an end, by kind.
    :param began: when it started, in seconds since 1970.
    """
    lines: list[str] = []

    def add(
        name: str, kind: str, text: str, samples: Sequence[tuple[dict[str, str], float]]
    ) -> None:
        lines.append(f"# HELP modelhub_{name} {text}")
        lines.append(f"# TYPE modelhub_{name} {kind}")
        lines.extend(f"modelhub_{name}{_labels(labels)} {_number(v)}" for labels, v in samples)

    add("info", "gauge", "The version.", [({"version": version}, 1)])
    add("up_seconds", "gauge", "Since the start.", [({}, time.time() - began)])
    add("cpu_seconds_total", "counter", "Of the processor.", [({}, time.process_time())])
    add("resident_bytes", "gauge", "Memory in use.", [({}, resident_bytes())])
    jobs = [({"kind": kind, "state": state}, n) for (kind, state), n in sorted(counts.items())]
    add("jobs", "gauge", "Jobs that are remembered.", jobs)
    running = [({"kind": kind}, number) for kind, number in sorted(at_work.items())]
    add("jobs_at_work", "gauge", "Jobs that this daemon does now.", running)
    through = [({"kind": kind}, number) for kind, number in sorted(ended.items())]
    add("runs_total", "counter", "Runs of jobs since the start.", through)
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    parts = [f'{name}="{_escaped(value)}"' for name, value in labels.items()]
    return "{" + ",".join(parts) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.3f}"


def resident_bytes() -> int:
    """The memory of this process that is in use; where the system does not say, the most it was."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


class MetricsServer:
    """Serves the figures at ``http://127.0.0.1:PORT/metrics``.

    :param text: gives them.
    """

    def __init__(self, port: int, text: Callable[[], str]) -> None:
        handler = type("Handler", (_Handler,), {"text": staticmethod(text)})
        try:
            self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        except OSError as error:
            raise DaemonFailed(
                f"cannot serve metrics at 127.0.0.1:{port}: {error.strerror}",
                hint="choose another daemon.metrics_port, or 0 for none",
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(5.0,), name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        threading.Thread(target=self._server.shutdown, daemon=True).start()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    text: Callable[[], str]

    def do_GET(self) -> None:
        """Answer with the figures."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        body = self.text().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: Any) -> None:
        """Nothing: the log is not for every look at the figures."""
        del format, values
