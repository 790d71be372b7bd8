"""Where the folders of a shared library are on this host.

A team's catalog names each folder in one way; hosts mount it in different places. What the catalog
and the jobs keep is the former, what this process works with is the latter, and this module is
between them. There is one mapping a process, that of the settings in effect, and usually an empty
one: then nothing here costs anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_pairs: tuple[tuple[str, str], ...] = ()
"""Each folder as the catalog names it, and where it is here."""


def use_mounts(mounts: Mapping[str, str]) -> None:
    """Go by these from now on: folders as the catalog names them, and where they are here."""
    global _pairs
    _pairs = tuple(
        (there.rstrip("/"), here.rstrip("/")) for there, here in mounts.items() if there != here
    )


def to_catalog(path: str) -> str:
    """A path of this host, as the catalog names it."""
    return _moved(path, [(here, there) for there, here in _pairs]) if _pairs else path


def to_host(path: str) -> str:
    """A path of the catalog, as it is on this host."""
    return _moved(path, _pairs) if _pairs else path


def all_to_catalog(value: Any) -> Any:
    """Plain values with every path in them as the catalog names it."""
    return _each(value, to_catalog) if _pairs else value


def all_to_host(value: Any) -> Any:
    """Plain values with every path in them as it is on this host."""
    return _each(value, to_host) if _pairs else value


def _moved(path: str, pairs: Any) -> str:
    """`path` with the longest folder that it is in exchanged."""
    found = max(
        ((old, new) for old, new in pairs if path == old or path.startswith(old + "/")),
        key=lambda pair: len(pair[0]),
        default=None,
    )
    return path if found is None else found[1] + path[len(found[0]) :]


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value) if value.startswith("/") else value
    if isinstance(value, Mapping):
        return {name: _each(one, change) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_each(one, change) for one in value]
    return value
