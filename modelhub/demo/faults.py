"""Faults that the hub makes on request, each matched to requests and counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias, get_args

ServerName: TypeAlias = Literal["api", "storage"]
FaultKind: TypeAlias = Literal[
    "drop",
    "stall",
    "corrupt",
    "wrong_length",
    "ignore_range",
    "change_file",
    "expire_link",
    "rate_limit",
    "server_error",
    "html_page",
    "slow",
    "truncated_json",
    "wrong_shape",
    "redirect_loop",
    "redirect_to",
    "wrong_hash",
    "missing_hashes",
    "no_etag",
    "no_content_length",
]
KINDS: tuple[str, ...] = get_args(FaultKind)
_STORAGE_KINDS = frozenset(
    {
        "drop",
        "stall",
        "corrupt",
        "wrong_length",
        "ignore_range",
        "change_file",
        "expire_link",
        "slow",
        "no_etag",
        "no_content_length",
    }
)
_API_KINDS = frozenset(
    {
        "truncated_json",
        "wrong_shape",
        "wrong_hash",
        "missing_hashes",
        "redirect_loop",
        "redirect_to",
    }
)


class BadFault(ValueError):
    """A fault that was asked for over HTTP and makes no sense."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong, `times` times (None: until it is removed).

    It meets requests whose path contains `path`, on `server` (None: where its kind belongs; both
    servers for kinds that belong to both), after `skip` such requests went well.

    - ``drop``: the connection ends after `after` bytes of a body (`reset`: with a TCP reset).
    - ``stall``: silence after `after` bytes, for `seconds`, or until the fault is removed.
    - ``corrupt``: the byte at `offset` of the file is another one.
    - ``wrong_length``: Content-Length is `by` bytes off.
    - ``ignore_range``: 200 and the whole file, whatever Range says.
    - ``change_file``: after `after` bytes the connection ends, and the file is another one (that
      of `content`, else the same size in other bytes), with another ETag.
    - ``expire_link``: all links to the file expire, at once or `after` bytes into a body, which
      ends there.
    - ``rate_limit``: 429, with Retry-After when `retry_after` is given, in seconds.
    - ``server_error``: `status` (500 if none is given), as an HTML page from 520 on.
    - ``html_page``: `page` is ``login`` (status 200) or ``maintenance`` (503), or `status`.
    - ``slow``: the body comes at `rate` bytes a second.
    - ``truncated_json``, ``wrong_shape``: half an answer; an answer whose fields are of other
      types (or `body`, as it is).
    - ``redirect_loop``, ``redirect_to``: a download redirects to itself; to `url`.
    - ``wrong_hash``, ``missing_hashes``: the hashes named in `hashes` (all, when empty) are those
      of other bytes; are left out.
    - ``no_etag``, ``no_content_length``: storage leaves the header out (and sends chunks).
    """

    kind: str
    path: str = ""
    server: ServerName | None = None
    times: int | None = 1
    skip: int = 0
    after: int = 0
    offset: int = 0
    by: int = 1000
    status: int | None = None
    retry_after: int | None = None
    rate: int = 100_000
    seconds: float | None = None
    reset: bool = False
    url: str = ""
    page: Literal["login", "maintenance"] = "maintenance"
    hashes: tuple[str, ...] = ()
    content: bytes | None = None
    body: str | None = None
    id: int = 0
    hits: int = 0
    """How often it struck."""
    removed: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadFault(f"unknown kind {self.kind!r}: one of {', '.join(KINDS)}")
        if self.server not in (None, "api", "storage"):
            raise BadFault(f"unknown server {self.server!r}: api or storage")

    def meets(self, server: ServerName, target: str) -> bool:
        """Whether a request for `target` (path, on the API with the query) is of the kind meant."""
        if self.server is not None:
            if self.server != server:
                return False
        elif (self.kind in _STORAGE_KINDS and server != "storage") or (
            self.kind in _API_KINDS and server != "api"
        ):
            return False
        if self.kind.startswith("redirect") and server == "api" and "/download/" not in target:
            return False
        return self.path in target

    def as_json(self) -> dict[str, Any]:
        """What the control endpoint shows."""
        shown = {f.name: getattr(self, f.name) for f in fields(self)}
        del shown["removed"]
        shown["content"] = None if self.content is None else len(self.content)
        return shown

    @classmethod
    def from_json(cls, data: object) -> Fault:
        """A fault from the body of a control request.

        :raises BadFault: no object, an unknown key, or a value of the wrong type.
        """
        if not isinstance(data, dict):
            raise BadFault("a fault is a JSON object")
        unknown = set(data) - _SETTABLE.keys()
        if unknown:
            raise BadFault(f"unknown key {sorted(unknown)[0]!r}: one of {', '.join(_SETTABLE)}")
        for name, value in data.items():
            allowed = _SETTABLE[name]
            if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
                raise BadFault(f"{name}: not a value of the right type")
        given = dict(data)
        if "content" in given:
            given["content"] = given["content"].encode()
        if "hashes" in given:
            given["hashes"] = tuple(str(name) for name in given["hashes"])
        if "kind" not in given:
            raise BadFault("a fault needs a kind")
        return cls(**given)


_NONE = type(None)
_SETTABLE: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "path": (str,),
    "server": (str, _NONE),
    "times": (int, _NONE),
    "skip": (int,),
    "after": (int,),
    "offset": (int,),
    "by": (int,),
    "status": (int, _NONE),
    "retry_after": (int, _NONE),
    "rate": (int,),
    "seconds": (int, float, _NONE),
    "reset": (bool,),
    "url": (str,),
    "page": (str,),
    "hashes": (list,),
    "content": (str,),
    "body": (str, _NONE),
}


class Faults:
    """All faults that are switched on; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._last_id = 0

    def add(self, fault: Fault) -> Fault:
        """Switch `fault` on; the answer is the same fault, with its id."""
        with self._lock:
            self._last_id += 1
            fault.id = self._last_id
            self._faults.append(fault)
        return fault

    def remove(self, fault_id: int) -> bool:
        """Switch one off, and end what it holds up; False when there is none of that id."""
        with self._lock:
            for fault in self._faults:
                if fault.id == fault_id:
                    self._faults.remove(fault)
                    fault.removed.set()
                    return True
        return False

    def clear(self) -> None:
        """Switch all off."""
        with self._lock:
            for fault in self._faults:
                fault.removed.set()
            self._faults.clear()

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter(list(self._faults))

    def claim(
        self,
        kinds: tuple[FaultKind, ...],
        server: ServerName,
        target: str,
        applies: Callable[[Fault], bool] = lambda fault: True,
    ) -> Fault | None:
        """The first fault of `kinds` that strikes this request, counted as struck once more.

        :param applies: whether a fault can strike it at all: a drop after a megabyte cannot meet
            a shorter body, and is not used up by one.
        """
        with self._lock:
            for fault in self._faults:
                if fault.kind not in kinds or fault.times == fault.hits:
                    continue
                if not fault.meets(server, target) or not applies(fault):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.hits += 1
                return fault
        return None
