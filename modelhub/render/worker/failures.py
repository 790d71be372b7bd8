"""Errors on their way between two processes: by the name of their class, message and hint."""

from __future__ import annotations

import re

from modelhub import errors
from modelhub.errors import FormatError, ModelhubError, RenderFailed
from modelhub.render.answers import Failed

_WRITTEN_FORMAT_ERROR = re.compile(r"(?P<reason>.*) \(at byte (?P<offset>[\d,]+)\)", re.DOTALL)


def failed(request_id: str, error: ModelhubError) -> Failed:
    """The answer that says this error."""
    return Failed(id=request_id, error=type(error).__name__, message=str(error), hint=error.hint)


def raised(failure: Failed) -> ModelhubError:
    """The error that such an answer says, of the same class, or where that class holds more than
    was said, of the nearest above it. An unknown name is a :class:`RenderFailed`."""
    named = getattr(errors, failure.error, None)
    if not (isinstance(named, type) and issubclass(named, ModelhubError)):
        named = RenderFailed
    written = _WRITTEN_FORMAT_ERROR.fullmatch(failure.message)
    if named is FormatError and written is not None:
        offset = int(written["offset"].replace(",", ""))
        return FormatError(written["reason"], offset=offset, hint=failure.hint)
    plain = next(
        above
        for above in named.__mro__
        if issubclass(above, ModelhubError) and above.__init__ is ModelhubError.__init__
    )
    return plain(failure.message, hint=failure.hint)
