"""The catalog's methods for test images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelhub.catalog.base import Methods, Selection

if TYPE_CHECKING:
    from modelhub.catalog.records import RenderRecord
    from modelhub.catalog.showing import RenderRow


class RenderMethods(Methods):
    """See the module."""

    def record_render(self, render: RenderRecord) -> int:
        """Record a test image, and that the contents that took part were used; return its id.

        :raises UnknownFile: the content that was tested is not known.
        """
        from modelhub.catalog import rendering

        return rendering.record_render(self._store, self._clock(), render)

    def renders(
        self, files: Selection | None = None, *, limit: int = 100, before: int | None = None
    ) -> list[RenderRow]:
        """The test images, the latest first.

        :param files: only of the contents of these files.
        :param before: the id of an image, to page on.
        :raises QuerySyntaxError: `files` is a query with a mistake.
        """
        from modelhub.catalog import rendering

        ids = None if files is None else self._ids(files)
        return rendering.list_renders(self._store, ids, limit, before)

    def render(self, render_id: int) -> RenderRow | None:
        """One test image, or None."""
        from modelhub.catalog import rendering

        return rendering.render(self._store, render_id)

    def forget_render(self, render_id: int) -> bool:
        """Drop the row of a test image; whether there was one. Its file is not touched."""
        from modelhub.catalog import rendering

        return rendering.forget_render(self._store, render_id)
