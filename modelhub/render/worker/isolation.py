"""What the process that renders may do to the machine: nothing over the network, nothing on the
terminal, no waiting that keeps others from their work, and when memory runs out it is the first to
go.

To be called before torch and its companions are imported, which read the environment once.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "YES",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # cuBLAS gives the same bits twice only with this: docs.nvidia.com/cuda/cublas, Reproducibility.
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "PYTORCH_ENABLE_MPS_FALLBACK": "1",
}
_WAITING = {"GOMP_SPINCOUNT": "10000"}
"""How long a thread of torch that is through with its share waits for the others before it sleeps.

GNU's OpenMP lets it spin for some milliseconds (gcc.gnu.org/onlinedocs/libgomp, GOMP_SPINCOUNT).
On a processor that has something else to do, too, it spins for the time slice that the others are
waiting for, thousands of times a step: a picture takes three times as long.
"""
_SAID_BY_THE_USER = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
_REACHING_OUT = frozenset(
    (
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.sendmsg",
        "socket.sendto",
    )
)
"""Events of docs.python.org/3/library/audit_events.html."""
_OOM_SCORE = Path("/proc/self/oom_score_adj")
_FIRST_TO_GO = "500"


def isolate() -> None:
    """Shut this process off; there is no way back."""
    # Ctrl-C reaches the whole group of processes: the parent decides what is still wanted.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(_ENVIRONMENT)
    if not any(name in os.environ for name in _SAID_BY_THE_USER):
        os.environ.update(_WAITING)
    faulthandler.enable()
    with suppress(OSError):
        _OOM_SCORE.write_text(_FIRST_TO_GO)
    forbid_network()


def forbid_network() -> None:
    """Refuse every connection and every look-up of a name from Python, from now on.

    Only sockets of this machine's files (Unix) stay.
    """
    import sys

    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _REACHING_OUT:
        return
    if event == "socket.connect" and isinstance(arguments[1], str | bytes):
        return
    raise PermissionError(f"the renderer asks nobody: {event} is refused")
