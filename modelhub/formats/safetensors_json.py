"""The header of a safetensors file in any form that JSON allows, decoded strictly.

For the few headers that are not in the form in which the reference writes them, and for all that
are no good: what is wrong is said as exactly as can be.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelhub.errors import FormatError
from modelhub.formats.tensors import Tensor

_START = 8
"""Where the header begins, in bytes from the start of the file."""
_BEYOND_64_BITS = 1 << 64


def decode_strictly(header: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a header; whether their places fit is not looked at.

    :raises FormatError: it is not as the format requires; without its path.
    """
    import json

    try:
        text = header.decode()
        root = json.loads(
            text, object_pairs_hook=_object, parse_int=_whole, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise FormatError("the header is not UTF-8", offset=_START + error.start) from error
    except json.JSONDecodeError as error:
        offset = _START + len(text[: error.pos].encode())
        raise FormatError(f"the header is no JSON: {error.msg}", offset=offset) from error
    except RecursionError as error:
        raise FormatError("the header is nested too deep", offset=_START) from error
    if not isinstance(root, dict):
        raise FormatError("the header holds no object", offset=_START)
    if isinstance(root, _Twice):
        raise FormatError(f"{shown(root.key)} is in the header twice", offset=_START)
    metadata = _strict_metadata(root.pop("__metadata__", None))
    for name, tensor in root.items():
        if isinstance(tensor, _Twice):
            raise FormatError(f"tensor {shown(name)} has a key twice", offset=_START)
        if not isinstance(tensor, Tensor):
            raise FormatError(
                f"tensor {shown(name)} has no proper dtype, shape and data_offsets",
                offset=_START,
            )
        _refuse_surrogates(name)
        _refuse_surrogates(tensor.dtype)
    return root, metadata


def _strict_metadata(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(type(one) is str for one in value.values()):
        raise FormatError("__metadata__ holds something else than texts", offset=_START)
    for key, one in value.items():
        _refuse_surrogates(key)
        _refuse_surrogates(one)
    return dict(value)


class _Twice(dict[str, Any]):
    """An object of which a key was there more than once; the last one counts."""

    key = ""


def _object(pairs: list[tuple[str, Any]]) -> object:
    """One JSON object: a tensor as soon as it can be one, to keep no lists of its numbers."""
    values = dict(pairs)
    if len(values) != len(pairs):
        twice = _Twice(values)
        twice.key = _first_repeated(key for key, _ in pairs)
        return twice
    dtype, shape = values.get("dtype"), values.get("shape")
    offsets = values.get("data_offsets")
    if (
        type(dtype) is str
        and type(shape) is list
        and type(offsets) is list
        and len(offsets) == 2
        and all(type(number) is int and number >= 0 for number in (*shape, *offsets))
    ):
        return Tensor(dtype, tuple(shape), (offsets[0], offsets[1]))
    return values


def _first_repeated(keys: Iterable[str]) -> str:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    return ""


def _whole(digits: str) -> int:
    """An integer of JSON; beyond 64 bits it is all the same, and so is what has a sign."""
    if digits[0] == "-":
        return -1
    return int(digits) if len(digits) <= 20 else _BEYOND_64_BITS


def _no_constant(word: str) -> object:
    import json

    raise json.JSONDecodeError(f"{word} is no value of JSON", "", 0)


def _refuse_surrogates(text: str) -> None:
    # Half a surrogate pair, written as \ud800, is no text that UTF-8 could hold.
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise FormatError(f"{shown(text)} is no text", offset=_START)


def shown(text: str) -> str:
    """A name out of a file, as an error may show it."""
    short = text if len(text) <= 80 else f"{text[:79]}…"
    return repr(short)
