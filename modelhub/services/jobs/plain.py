"""Between the values that services take and give, and the plain ones that a job is kept as."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from modelhub.errors import UsageError

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """`value` (dataclasses, structs, paths, dates ...) as what JSON can hold.

    Names of files whose bytes are no UTF-8 keep their surrogates, which :mod:`json` can write.
    """
    return msgspec.to_builtins(value, enc_hook=_to_plain)


def from_plain(value: Any, kind: type[T], what: str) -> T:
    """`value` as a `kind`.

    :param what: for the message: ``a download job``.
    :raises UsageError: it is none; the message says where.
    """
    try:
        return msgspec.convert(value, kind, dec_hook=_from_plain)
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError(f"{what} cannot be done as it was asked for: {error}") from error


def _to_plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _from_plain(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"{value!r} is no {kind.__name__}")
