"""Files of tensors opened for a render: what a conversion refuses is told in a render's words."""

from __future__ import annotations

from pathlib import Path

from modelhub.convert.readers import Source, open_source
from modelhub.errors import CannotRender, ConversionRefused


def open_to_render(path: Path) -> Source:
    """A model or an add-on, open to be read; to be closed.

    :raises CannotRender: it holds no tensors, some that cannot be read, or is of files that are
        not all there.
    :raises FormatError, FileUnreadable, SourceChanged: as
        :func:`modelhub.convert.readers.open_source`.
    """
    try:
        return open_source(path)
    except ConversionRefused as error:
        hint = error.hint or "`modelhub inspect` shows what the file is"
        raise CannotRender(error.message, hint=hint) from error
